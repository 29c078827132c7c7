"""A chat completions endpoint that is really served and says what it is told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

__all__ = ["Script", "served"]


class Script:
    """Its answers in order, the last for good. Keeps what it was asked."""

    url: str

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.wait_s = 0.0
        """Before each answer."""
        self.most = 0
        """Questions that were open at once."""
        self._open = 0
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self.answer)

    async def answer(self, request: Request) -> Any:
        self._open += 1
        self.most = max(self.most, self._open)
        await asyncio.sleep(self.wait_s)
        self._open -= 1
        self.asked.append(await request.json() | {"bearer": request.headers.get("authorization")})
        code, content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if code != 200 or isinstance(content, dict):
            return JSONResponse(content, code)
        if content is None:
            return PlainTextResponse("<html>hello</html>")
        return {"choices": [{"message": {"role": "assistant", "content": content}}]}


@contextmanager
def served() -> Iterator[Script]:
    """One that listens at its `url`."""
    found = Script()
    server = uvicorn.Server(uvicorn.Config(found.app, port=0, log_level="critical"))
    bound = server.config.bind_socket()
    found.url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
    thread = threading.Thread(target=asyncio.run, args=(server.serve([bound]),), daemon=True)
    thread.start()
    yield found
    server.should_exit = True
    thread.join(10)
