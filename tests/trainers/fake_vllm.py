"""A vLLM server without vLLM: its routes over real HTTP, its words where they matter, our own sampler behind them.

`python fake_vllm.py --model=DIR --port=N ...` is a process of its own. It takes vLLM's arguments, and one of ours:
--faults=JSON, what it does wrong; POST /faults changes that while it serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from peft import PeftModel
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[2]))
from trainers.engines.local import Local
from trainers.models import load_model

__all__ = ["Fake", "served"]


class Fake:
    """One server: a model, the name of its weights, and its faults."""

    url = ""

    def __init__(self, model: Path, *, name: str = "policy", **faults: Any) -> None:
        self.path, self.name = model, name
        self.faults: dict[str, Any] = faults
        self.asked: list[dict[str, Any]] = []
        """Bodies of /generate, in the order in which they came."""
        self.drawing = 0
        """Answers under way."""
        self.most = 0
        self.renew()
        self._going = asyncio.Event()
        self._going.set()
        self.app = FastAPI()
        for verb, path, route in (
            ("GET", "/health", self.health),
            ("GET", "/v1/models", self.models),
            ("GET", "/weight_info", self.weight_info),
            ("POST", "/tokenize", self.tokenize),
            ("POST", "/pause", self.pause),
            ("POST", "/resume", self.resume),
            ("POST", "/init_weight_transfer_engine", self.nothing),
            ("POST", "/start_weight_update", self.nothing),
            ("POST", "/update_weights", self.update),
            ("POST", "/finish_weight_update", self.finish),
            ("POST", "/inference/v1/generate", self.generate),
            ("POST", "/v1/load_lora_adapter", self.load_adapter),
            ("POST", "/v1/unload_lora_adapter", self.unload_adapter),
            ("POST", "/faults", self.misbehave),
        ):
            self.app.add_api_route(path, route, methods=[verb])

    def renew(self) -> None:
        """As it was started: the weights of its directory, and no name for them."""
        self.model, self.tokenizer = load_model(self.path)
        self.engine = Local(self.model, stop_ids=[1], threads=1)
        self.weights = "default"
        self.waiting: dict[str, torch.Tensor] = {}
        self.adapters: dict[str, Local] = {}

    async def health(self) -> Any:
        return {}

    async def nothing(self, request: Request) -> Any:
        await self._stumble(request)
        return {}

    async def models(self) -> Any:
        room = self.faults.get("room", self.engine.context_tokens)
        return {"data": [{"id": name, "max_model_len": room} for name in (self.name, *self.adapters)]}

    async def weight_info(self) -> Any:
        return {"weight_version": self.weights}

    async def tokenize(self, request: Request) -> Any:
        text = (await request.json())["prompt"]
        return {"tokens": self.tokenizer.encode(text, add_special_tokens=False)}

    async def misbehave(self, request: Request) -> Any:
        self.faults = await request.json()
        return {}

    async def pause(self, request: Request) -> Any:
        await self._stumble(request)
        self._going.clear()
        while self.drawing:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return {}

    async def resume(self) -> Any:
        self._going.set()
        return {}

    async def update(self, request: Request) -> Any:
        await self._stumble(request)
        path = (await request.json())["update_info"]["path"]
        try:
            self.waiting = load_file(path)
        except Exception as error:
            return JSONResponse({"error": {"message": f"{error}"}}, 500)
        return {}

    async def finish(self, request: Request) -> Any:
        await self._stumble(request)
        kept = self.faults.get("keeps", ())
        try:
            await self.engine.load({k: v for k, v in self.waiting.items() if k not in kept}, 0)
        except ValueError as error:
            return JSONResponse({"error": {"message": f"{error}"}}, 500)
        self.weights = (await request.json())["weight_version"]
        return {}

    async def load_adapter(self, request: Request) -> Any:
        told = await request.json()
        model = PeftModel.from_pretrained(load_model(self.path)[0], told["lora_path"])
        self.adapters[told["lora_name"]] = Local(model, stop_ids=[1], threads=1)
        return PlainTextResponse(f"Success: LoRA adapter '{told['lora_name']}' added successfully.")

    async def unload_adapter(self, request: Request) -> Any:
        name = (await request.json())["lora_name"]
        await self.adapters.pop(name).close()
        return PlainTextResponse(f"Success: LoRA adapter '{name}' removed successfully.")

    async def generate(self, request: Request) -> Any:
        body = await request.json()
        if self.faults.get("full", 0):
            self.faults["full"] -= 1
            return JSONResponse({"error": {"message": "too many requests are queued"}}, 503)
        if body["model"] not in (self.name, *self.adapters):
            return JSONResponse({"error": {"message": f"The model `{body['model']}` does not exist."}}, 404)
        self.asked.append(body)
        await self._going.wait()
        self.drawing += 1
        self.most = max(self.most, self.drawing)
        try:
            return await self._answered(request, body)
        finally:
            self.drawing -= 1

    async def _answered(self, request: Request, body: dict[str, Any]) -> Any:
        asked = body["sampling_params"]
        await self._stumble(request)
        if self.faults.get("dies_after") is not None and len(self.asked) > self.faults["dies_after"]:
            os._exit(3)
        temperature = asked["temperature"]
        # Our sampler ends at the tokenizer's end, vLLM at what it is told: a probe is told nothing.
        sample = await self.adapters.get(body["model"], self.engine).sample(
            body["token_ids"],
            max_tokens=asked["max_tokens"],
            temperature=temperature * self.faults.get("heat", 1.0),
            seed=asked["seed"],
        )
        logprobs = [{"token_id": i, "logprob": p} for i, p in zip(sample.ids, sample.logprobs, strict=True)]
        span = {"version": self.weights, "start": 0, "end": len(sample.ids)}
        finish = "abort" if self.faults.pop("aborts", False) else sample.stop
        choice = {"token_ids": sample.ids, "logprobs": {"content": logprobs}, "finish_reason": finish}
        return {"choices": [choice | {"index": 0, "weight_versions": [span]}]}

    async def _stumble(self, request: Request) -> None:
        if request.url.path == self.faults.get("hangs"):
            await asyncio.sleep(self.faults.get("hang_s", 3600))


@contextmanager
def served(model: Path, **faults: Any) -> Iterator[Fake]:
    """One that listens at its `url`, in a thread."""
    fake = Fake(model, **faults)
    server = uvicorn.Server(uvicorn.Config(fake.app, port=0, log_level="critical", timeout_graceful_shutdown=0))
    bound = server.config.bind_socket()
    fake.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    thread = threading.Thread(target=asyncio.run, args=(server.serve([bound]),), daemon=True)
    thread.start()
    yield fake
    server.should_exit = True
    thread.join(10)
    fake.engine._stop()


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--faults", default="{}")
    told, _ = parser.parse_known_args()
    fake = Fake(told.model, **json.loads(told.faults))
    uvicorn.run(fake.app, port=told.port, log_level="warning")
