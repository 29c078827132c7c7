"""A vLLM server of a run: started, watched, started again when it dies, ended with the run whatever ends that."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from trainers.engines._vllm.wire import ServerError, Wire

if TYPE_CHECKING:
    from trainers.config import RunConfig

__all__ = ["PLUGIN", "Keeper", "command", "variables", "vllm_python"]

PLUGIN = Path(__file__).parent / "plugin"
"""The folder of vLLM's plugin `turnhalle`, for a server's PYTHONPATH."""
LEASH = Path(__file__).parent / "leash.py"
DEATHS, WITHIN_S = 5, 1800.0
"""A server that dies so often in so long a time is given up."""
LOOK_S = 0.5
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""


def vllm_python(config: RunConfig) -> Path:
    """The Python a server is started with."""
    return config.engine.vllm.python or Path(os.environ.get("VLLM_PYTHON") or sys.executable)


def command(config: RunConfig, model: Path, *, host: str, port: int, context_tokens: int) -> list[str]:
    """The server's command line for a run's model."""
    engine, lora = config.engine, config.model.lora
    found = [str(vllm_python(config)), "-P", "-m", "vllm.entrypoints.openai.api_server"]
    found += [f"--model={model.resolve()}", "--served-model-name=policy", f"--host={host}", f"--port={port}"]
    found += [f"--dtype={config.model.dtype}", f"--max-model-len={context_tokens}"]
    found += [f"--max-num-seqs={engine.max_sessions}", "--enable-prefix-caching"]
    # Log-probabilities of what is drawn from, and no defaults of the model's own; the route of ids in, ids out.
    found += ["--logprobs-mode=processed_logprobs", "--generation-config=vllm", "--enable-scale-out"]
    if lora is not None:
        rank = next((rank for rank in RANKS if rank >= lora.r), RANKS[-1])
        found += ["--enable-lora", f"--max-lora-rank={rank}", "--max-loras=2"]
    else:
        kind = engine.vllm.transfer
        found += [f"--weight-transfer-config={json.dumps({'backend': 'file' if kind == 'auto' else kind})}"]
    if config.model.device == "cpu":
        # A prompt that is read in pieces, drawn with a seed, ends vLLM 0.32 there: "CPU Generator does not use offset".
        found += [
            "--enforce-eager",
            "--no-enable-chunked-prefill",
            f"--max-num-batched-tokens={max(8192, context_tokens)}",
        ]
    return found + list(engine.vllm.arguments)


def variables(config: RunConfig) -> dict[str, str]:
    """What a server's environment has on top of ours."""
    found = {
        "PYTHONPATH": str(PLUGIN),
        "VLLM_SERVER_DEV_MODE": "1",  # the routes of weight transfer are among these
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "600",  # its default of 5 s cuts connections between turns
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if config.model.lora is not None:
        found["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    if config.engine.vllm.transfer == "ipc":
        found["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"  # handles of memory travel pickled
    if config.model.device == "cpu":
        found["VLLM_CPU_KVCACHE_SPACE"] = str(config.engine.vllm.kv_cache_gib)
        if config.engine.threads:
            found["VLLM_CPU_OMP_THREADS_BIND"] = f"0-{config.engine.threads - 1}"
    return found


class Keeper:
    """One server process, and the next one when it dies."""

    def __init__(
        self,
        command: list[str],
        variables: dict[str, str],
        url: str,
        *,
        log: Path,
        start_s: float,
        token: str | None = None,
    ) -> None:
        """`log` gets what the server prints."""
        self.url = url
        self.failed = ""
        """Why no server will come any more; empty while one may."""
        self.starts = 0
        """How often it was started."""
        self._command = command
        self._environ = {**os.environ, **variables} | ({"VLLM_API_KEY": token} if token else {})
        self._log = log
        self._start_s = start_s
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._deaths: list[float] = []

    @classmethod
    def of(
        cls,
        config: RunConfig,
        model: Path,
        *,
        log: Path,
        context_tokens: int,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
    ) -> Keeper:
        """The keeper of a run's server; port 0 takes a free one, and keeps it."""
        port = port or _free_port(host)
        asked = command(config, model, host=host, port=port, context_tokens=context_tokens)
        reached = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return cls(
            asked,
            variables(config),
            f"http://{reached}:{port}",
            log=log,
            start_s=config.engine.vllm.start_s,
            token=token,
        )

    @property
    def pid(self) -> int | None:
        """Of the process group that is running."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> str:
        """Start it, wait until it answers, and watch it from then on; its URL. Raises ServerError."""
        await self._spawn()
        self._watch = asyncio.create_task(self._watched())
        wire, deadline = Wire(self.url), time.monotonic() + self._start_s
        try:
            while not await wire.healthy():
                if self.starts > 1 or self.failed:
                    raise ServerError(f"vLLM ended before it was ready: {self._last_words()}")
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"vLLM was not ready within {self._start_s:g} s; {self._log} says how far it came"
                    )
                await asyncio.sleep(LOOK_S)
        except BaseException:
            await self.close()
            raise
        finally:
            await wire.close()
        return self.url

    async def ended(self) -> str:
        """Wait until it is given up; why."""
        assert self._watch is not None
        await asyncio.wait({self._watch})
        return self.failed

    async def close(self) -> None:
        """End the server; closing again is fine."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        process, self._process = self._process, None
        if process is not None:
            _let_go(process)
            await process.wait()

    async def _spawn(self) -> None:
        self.starts += 1
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = await self._leashed(log)

    async def _leashed(self, log: IO[bytes]) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                str(LEASH),
                *self._command,
                env=self._environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"vLLM cannot be started: {error}") from error

    async def _watched(self) -> None:
        while self._process is not None:
            await self._process.wait()
            now = time.monotonic()
            self._deaths = [when for when in self._deaths if now - when < WITHIN_S] + [now]
            if len(self._deaths) >= DEATHS:
                self.failed = f"vLLM died {DEATHS} times within {WITHIN_S / 60:g} minutes: {self._last_words()}"
                return
            await asyncio.sleep(min(2.0 ** (len(self._deaths) - 1), 30.0))
            await self._spawn()

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._log.read_text(errors="replace")[-4000:].splitlines() if line.strip()]
        errors = [line for line in lines if "Error" in line]
        return f"{(errors or lines or ['it said nothing'])[-1][-300:]} (see {self._log})"


def _let_go(process: asyncio.subprocess.Process) -> None:
    """Close the pipe its leash waits on."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])
