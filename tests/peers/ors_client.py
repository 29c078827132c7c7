"""The openreward SDK against a server: prints what it saw as JSON. Runs in openreward's virtual environment."""

import asyncio
import json
import os
import sys

URL = sys.argv[1]
os.environ["OPENREWARD_SESSION_URL"] = os.environ["OPENREWARD_API_URL"] = URL

import aiohttp  # noqa: E402
from openreward import AsyncOpenReward  # noqa: E402
from openreward.api.environments.client import ToolCallError  # noqa: E402


class Cut:
    """A wire that loses every stream of `/call` once, after the event with its task id."""

    def __init__(self, url):
        self.host, port = url.removeprefix("http://").split(":")
        self.port = int(port)
        self.cuts = 0

    async def serve(self):
        server = await asyncio.start_server(self.pipe, "127.0.0.1", 0)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def pipe(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
        calls = []

        async def up():
            while data := await reader.read(65536):
                if b"/call " in data.split(b"\r\n")[0]:
                    calls.append(b'"task_id"' in data)
                up_writer.write(data)
            up_writer.close()

        sender = asyncio.create_task(up())
        while data := await up_reader.read(65536):
            at = data.find(b"event: task_id")
            if at >= 0 and calls and not calls[-1]:
                self.cuts += 1
                end = data.find(b"\n\n", at) + 2
                writer.write(data[:end])
                await writer.drain()
                break
            writer.write(data)
        writer.close()
        up_writer.close()
        sender.cancel()


async def played(client, **task):
    env = client.environments.get("keydoor")
    splits, count = await env.list_splits(), await env.num_tasks("train")
    task = task.get("task") or await env.get_task("train", 5)
    async with env.session(task=task) as session:
        prompt = await session.get_prompt()
        tools = await session.list_tools()
        outputs = [await session.call_tool("act", {"text": "wait"}) for _ in range(2)]
        refused = []
        for name, given in (("fly", {}), ("act", {"text": 1})):
            try:
                await session.call_tool(name, given)
            except ToolCallError as error:
                refused.append(error.reason)
        async with aiohttp.ClientSession() as http, http.get(f"{URL}/v1/sessions/{session.sid}") as answer:
            steps = (await answer.json())["index"]
        return {
            "splits": splits,
            "count": count,
            "task": task.task_spec,
            "prompt": prompt[0].text,
            "tools": [tool.name for tool in tools],
            "texts": [output.blocks[0].text for output in outputs],
            "reward": outputs[0].reward,
            "finished": outputs[0].finished,
            "refused": refused,
            "steps": steps,
        }


async def by_index(client):
    """The environment named by the path, the task by its index."""
    env = client.environments.get("turnhalle", variant="keydoor")
    async with env.session(split="train", index=5) as session:
        return (await session.call_tool("act", {"text": "wait"})).blocks[0].text


async def main():
    async with AsyncOpenReward().environments as environments:
        client = type("Client", (), {"environments": environments})
        seen = {"whole": await played(client), "by_index": await by_index(client)}
    cut = Cut(URL)
    os.environ["OPENREWARD_SESSION_URL"] = os.environ["OPENREWARD_API_URL"] = await cut.serve()
    async with AsyncOpenReward().environments as environments:
        seen["cut"] = await played(type("Client", (), {"environments": environments}))
    print(json.dumps({**seen, "cuts": cut.cuts}))


asyncio.run(main())
