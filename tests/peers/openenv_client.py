"""OpenEnv's own clients against a server: prints what they saw as JSON. Runs in OpenEnv's virtual environment."""

import asyncio
import json
import sys

from openenv.core import GenericEnvClient
from openenv.core.env_server.mcp_types import CallToolAction
from openenv.core.mcp_client import MCPToolClient


async def generic(url: str) -> dict:
    async with GenericEnvClient(base_url=f"{url}/openenv/keydoor") as env:
        first = await env.reset(key="doors-3/train/0005", seed=3, episode_id="ep-1")
        again = await env.reset(key="doors-3/train/0005", seed=3)
        steps = [await env.step({"command": command}) for command in first.observation["choices"][:2]]
        state = await env.state()
        try:
            await env.step({"comand": "x"})
            refused = None
        except RuntimeError as error:
            refused = str(error)
        after = await env.step({"command": "wait"})
        return {
            "first": first.observation,
            "same": first.observation == again.observation,
            "reward": first.reward,
            "steps": [[step.reward, step.done, sorted(step.observation)] for step in steps],
            "metadata": sorted(after.metadata),
            "state": state,
            "refused": refused,
            "after": after.reward,
        }


async def mcp(url: str) -> dict:
    async with MCPToolClient(base_url=f"{url}/openenv/tooluse") as env:
        first = await env.reset(seed=5)
        tools = await env.list_tools(use_cache=False)
        name = tools[0].name
        called = await env.call_tool(name)
        stepped = await env.step(CallToolAction(tool_name=name, arguments={}))
        unknown = await env.step(CallToolAction(tool_name="nope", arguments={}))
        state = await env.state()
        try:
            await env.call_tool("nope")
            refused = None
        except RuntimeError as error:
            refused = str(error)
        return {
            "text": first.observation.text,
            "tools": [[tool.name, tool.input_schema["type"]] for tool in tools],
            "called": called,
            "stepped": [stepped.observation.tool_name, stepped.observation.result["data"], stepped.reward],
            "unknown": unknown.observation.error.error_type.value,
            "steps": state.step_count,
            "refused": refused,
        }


async def main(url: str) -> None:
    print(json.dumps({"generic": await generic(url), "mcp": await mcp(url)}))


asyncio.run(main(sys.argv[1]))
