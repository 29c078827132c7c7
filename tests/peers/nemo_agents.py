"""NeMo Gym's agents against a server: prints what they saw as JSON. Runs in NeMo Gym's virtual environment.

Each agent is served as NeMo Gym serves it, and asked to `/run` a row; the model is a script.
"""

import asyncio
import json
import socket
import sys

import nemo_gym.global_config
import requests
import uvicorn
from fastapi import FastAPI, Request
from nemo_gym.config_types import ModelServerRef, ResourcesServerRef
from nemo_gym.server_utils import BaseServerConfig, ServerClient
from omegaconf import OmegaConf
from responses_api_agents.gymnasium_agent.app import GymnasiumAgent, GymnasiumAgentConfig
from responses_api_agents.simple_agent.app import SimpleAgent, SimpleAgentConfig

HOST = "127.0.0.1"
ROW = {
    "responses_create_params": {"input": [{"role": "user", "content": "Get out."}]},
    "key": "doors-3/train/0005",
    "seed": 3,
}


def free_port():
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        return bound.getsockname()[1]


async def serve(app, port):
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_level="warning"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "an agent did not begin to serve"
        await asyncio.sleep(0.05)


def model(script):
    """A model that says a script's lines in turn; a line that is a list is a call."""
    app = FastAPI()
    lines = iter(script)

    @app.post("/v1/responses")
    async def respond(request: Request):
        await request.json()
        line = next(lines)
        if isinstance(line, list):
            name, arguments = line
            item = {"type": "function_call", "call_id": "c", "name": name, "arguments": json.dumps(arguments)}
        else:
            content = [{"annotations": [], "text": line, "type": "output_text"}]
            item = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
        return {
            "id": "r",
            "created_at": 0.0,
            "model": "script",
            "object": "response",
            "output": [item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    return app


async def run(kind, config, script, url):
    """One row through one agent."""
    agent_port, model_port = free_port(), free_port()
    # Where its client builds an address of host and port, a path may follow the port.
    _, _, address = url.partition("://")
    host, _, port = address.partition(":")
    servers = {
        "world": {"resources_servers": {"it": {"host": host, "port": f"{port}/nemo/keydoor"}}},
        "model": {"responses_api_models": {"it": {"host": HOST, "port": model_port}}},
        "agent": {"responses_api_agents": {"it": {"host": HOST, "port": agent_port}}},
    }
    client = ServerClient(
        head_server_config=BaseServerConfig(host=HOST, port=1), global_config_dict=OmegaConf.create(servers)
    )
    agent = kind(
        config=config(
            host=HOST,
            port=agent_port,
            entrypoint="",
            name="agent",
            resources_server=ResourcesServerRef(type="resources_servers", name="world"),
            model_server=ModelServerRef(type="responses_api_models", name="model"),
            max_steps=8,
        ),
        server_client=client,
    )
    await serve(model(script), model_port)
    await serve(agent.setup_webserver(), agent_port)
    answer = await asyncio.to_thread(requests.post, f"http://{HOST}:{agent_port}/run", json=ROW, timeout=60)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    said = [item.get("output") or item.get("content") for item in seen["response"]["output"]]
    return {**{name: value for name, value in seen.items() if isinstance(value, (bool, float))}, "said": said}


async def main(url):
    # Else it is read from the command line, which is ours.
    nemo_gym.global_config._GLOBAL_CONFIG_DICT = OmegaConf.create({})
    texts = ["light lamp", "take red key", "open red door"]
    calls = [["act", {"text": text}] for text in texts]
    seen = {
        "gymnasium": await run(GymnasiumAgent, GymnasiumAgentConfig, [*texts[:2], calls[2]], url),
        "simple": await run(SimpleAgent, SimpleAgentConfig, [*calls, "I am out."], url),
    }
    print(json.dumps(seen), flush=True)


asyncio.run(main(sys.argv[1]))
