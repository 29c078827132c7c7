"""The official MCP client against a server: prints what it saw as JSON. Runs in MCP's virtual environment, 1 or 2."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

import anyio
from mcp.client.session import ClientSession
from mcp.shared.message import ClientMessageMetadata

try:
    from mcp.client.streamable_http import streamable_http_client as connect
except ImportError:
    from mcp.client.streamable_http import streamablehttp_client as connect

import mcp

try:
    import mcp_types as types
except ImportError:
    from mcp import types


@asynccontextmanager
async def session(url):
    async with connect(url) as streams, ClientSession(streams[0], streams[1]) as session:
        yield session, await session.initialize()


def _schema(tool):
    return getattr(tool, "input_schema", None) or tool.inputSchema


def _is_error(result):
    return result.is_error if hasattr(result, "is_error") else result.isError


async def bound(url):
    query = "env=keydoor&key=doors-3/train/0005&seed=3"
    async with session(f"{url}/mcp?{query}") as (client, begun):
        tools = (await client.list_tools()).tools
        played = await client.call_tool("act", {"text": "open red door"})
        await client.send_ping()
        return {
            "instructions": begun.instructions,
            "tools": [[tool.name, _schema(tool)["required"]] for tool in tools],
            "text": [part.text for part in played.content],
            "meta": (played.meta or {})["turnhalle/step"],
        }


async def tooluse(url):
    async with session(f"{url}/mcp?env=tooluse&seed=5") as (client, _):
        tools = (await client.list_tools()).tools
        wrong = await client.call_tool(tools[0].name, {})
        unknown = None
        try:
            await client.call_tool("no_such", {})
        except Exception as error:
            unknown = str(error)
        return {"tools": [tool.name for tool in tools], "wrong": wrong.content[0].text, "unknown": unknown}


async def resumed(url):
    """A call is given up while it is played, and resumed by the token of its first event."""
    async with session(f"{url}/mcp?env=wild&key=train/0") as (client, _):
        tokens = []

        async def keep(token):
            tokens.append(token)

        params = types.CallToolRequestParams(name="act", arguments={"text": "sleep 2"})
        request = types.CallToolRequest(method="tools/call", params=params)
        if (
            not hasattr(request, "root")
            and hasattr(types, "ClientRequest")
            and hasattr(types.ClientRequest, "model_fields")
        ):
            request = types.ClientRequest(request)
        with anyio.move_on_after(1.0):
            metadata = ClientMessageMetadata(on_resumption_token_update=keep)
            await client.send_request(request, types.CallToolResult, metadata=metadata)
        metadata = ClientMessageMetadata(resumption_token=tokens[0])
        result = await client.send_request(request, types.CallToolResult, metadata=metadata)
        after = await client.call_tool("act", {"text": "1"})
        return [tokens[0], result.meta["turnhalle/step"]["index"], after.meta["turnhalle/step"]["index"]]


async def hall(url):
    async with session(f"{url}/mcp") as (client, _):
        names = [tool.name for tool in (await client.list_tools()).tools]
        opened = await client.call_tool("open", {"env": "keydoor", "index": 0})
        id = opened.content[0].text.splitlines()[0].removeprefix("session: ")
        stepped = await client.call_tool("step", {"session": id, "text": "wait"})
        refused = await client.call_tool("step", {"session": "nope"})
        await client.call_tool("close", {"session": id})
        return [names, _is_error(stepped), _is_error(refused)]


async def high_level(url):
    """The client of SDK 2, which asks for the wire without a handshake first."""
    if not hasattr(mcp, "Client"):
        return None
    async with mcp.Client(f"{url}/mcp?env=keydoor&seed=1") as client:
        return [tool.name for tool in (await client.list_tools()).tools]


async def main(url):
    seen = {}
    for play in (bound, tooluse, resumed, hall, high_level):
        seen[play.__name__] = await play(url)
    print(json.dumps(seen))


asyncio.run(main(sys.argv[1]))
