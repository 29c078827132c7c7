"""Sampling by vLLM servers over HTTP: one, or many behind this engine, of this run or of whoever runs them.

Rules. Ids go out and ids come back. A log-probability is that of the distribution drawn from, and a sample's version
is the one the server itself says it drew from: weights have names, and an answer from weights that are not ours is
thrown away and asked for again. A turn gets one whole answer or none: what was asked twice is answered once. After
every sync trainer and server must agree on probes (`_vllm/parity.py`), or `load` raises and nothing more is sampled.

A server that dies is waited for, given the weights anew, and asked again; the others go on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from agents.types import ContextFull, Sample
from trainers.engines._vllm.fleet import Fleet, Server
from trainers.engines._vllm.identity import known
from trainers.engines._vllm.keeper import Keeper
from trainers.engines._vllm.parity import TOKENS, probes, widest_gap
from trainers.engines._vllm.ways import transfer_for
from trainers.engines._vllm.wire import Answer, Full, Gone, Refused, ServerError, Silent, Wire
from trainers.models import context_tokens, embedding_shape

if TYPE_CHECKING:
    from agents.chat import Tokenizer
    from trainers.engine_config import EngineConfig

__all__ = ["Vllm"]

COLDEST = 0.01
"""vLLM takes a temperature between 0 and this for this, and says nothing."""
LOOK_S = 0.5
"""Between two looks whether a server is back."""
FULL_S = (0.05, 2.0)
"""Shortest and longest wait before a full server is asked again."""
PARITY_NATS = {torch.float32: 1e-4, torch.bfloat16: 0.25, torch.float16: 0.1}
"""What the arithmetic of two implementations may differ by."""

_log = logging.getLogger(__name__)


class Vllm:
    """Samples from the weights of one version at a time, on servers."""

    def __init__(
        self,
        model: nn.Module,
        config: EngineConfig,
        *,
        stop_ids: Sequence[int],
        tokenizer: Tokenizer | None = None,
        token: str | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        """`model` is the trainer's own, with which servers are compared; `keeper` starts the server of this run.

        Raises ServerError where the transfer cannot work here.
        """
        self.config = config
        self.model = model
        self.stop_ids = tuple(stop_ids)
        self.context_tokens = min(config.context_tokens or context_tokens(model), context_tokens(model))
        self.vocabulary = embedding_shape(model)[0]
        self.version = 0
        self.busy_s = 0.0
        """Time somebody waited for a sample so far, of all that were asked at once counted once."""
        self._tokenizer = tokenizer
        self._token = token
        self._keeper = keeper
        self._nonce = secrets.token_hex(4)
        self._transfer = transfer_for(config.vllm, model, self._nonce)
        self._fleet = Fleet([self._server(url) for url in config.vllm.urls])
        self._weights: dict[str, Tensor] = {}
        self._versions: dict[str, int] = {}
        """By the name of the weights."""
        self._recent: deque[list[int]] = deque(maxlen=4)
        self._turnstile = asyncio.Lock()
        """Held while weights travel."""
        self._open = asyncio.Event()
        """Set while samples may be asked for."""
        self._news = asyncio.Condition()
        """Told when a server comes up, or what broke it for good."""
        self._broken: ServerError | None = None
        self._closed = False
        self._report: dict[str, float] = {}
        self._asking, self._since = 0, 0.0
        if config.threads:
            torch.set_num_threads(config.threads)

    async def sample(
        self, prompt_ids: Sequence[int], *, max_tokens: int, temperature: float, seed: int | None = None
    ) -> Sample:
        """Continue `prompt_ids` (P,) by at most `max_tokens` ids, the stop id included.

        Raises ContextFull where prompt and tokens do not fit, ValueError for what no server is asked, ServerError where
        servers fail for good, RuntimeError before the first `load` and after `close`.
        """
        prompt = list(prompt_ids)
        if not prompt or min(prompt) < 0 or max(prompt) >= self.vocabulary:
            raise ValueError(f"a prompt is one or more ids in [0, {self.vocabulary})")
        if max_tokens < 1 or not 0 <= temperature < float("inf"):
            raise ValueError("max_tokens must be positive and temperature finite and not negative")
        if 0 < temperature < COLDEST:
            raise ValueError(f"vLLM samples at temperature {COLDEST} where less is asked; use 0 or at least {COLDEST}")
        if len(prompt) + max_tokens > self.context_tokens:
            raise ContextFull(
                f"{len(prompt)} prompt tokens and {max_tokens} to sample do not fit {self.context_tokens} of context"
            )
        if not self._versions:
            raise RuntimeError("the servers have no weights of this run yet; call load first")
        self._recent.append(prompt)
        if not self._asking:
            self._since = time.perf_counter()
        self._asking += 1
        try:
            return await self._sampled(prompt, max_tokens, temperature, seed)
        finally:
            self._asking -= 1
            if not self._asking:
                self.busy_s += time.perf_counter() - self._since

    async def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Sample from these weights from now on, on every server that is up, at least one.

        Raises ValueError for weights of another model, ServerError where a server does not take them in time or does
        not sample from them.
        """
        own = dict(self.model.named_parameters())
        for name, tensor in weights.items():
            if name not in own or own[name].shape != tensor.shape:
                raise ValueError(f"these weights belong to another model: it has no {tuple(tensor.shape)} '{name}'")
        if self._closed:
            raise RuntimeError("the engine is closed")
        started, self._broken = time.monotonic(), None
        self._open.clear()
        async with self._turnstile:
            if not self._fleet.servers:
                await self._hire()
            name = f"{self._nonce}-{len(self._versions)}"  # a version may be loaded twice, and differ
            await self._transfer.lay(weights, name)
            self._weights, self.version = dict(weights), version
            self._versions[name] = version
            for server in self._fleet.servers:
                server.up = False
            giving = [self._given(server, self._weights) for server in self._fleet.servers]
            found = await asyncio.gather(*giving, return_exceptions=True)
        for server, error in zip(self._fleet.servers, found, strict=True):
            if isinstance(error, Gone) and not isinstance(error, Silent):
                self._lost(server, error)
            elif isinstance(error, BaseException):
                self._fail(error)
                raise error
        await self._somebody()
        self._report["sync/time_s"] = time.monotonic() - started
        self._open.set()

    def expect(self, requests: int | None) -> None:
        """vLLM batches as requests come; a run that needs one order is refused with its config."""

    def report(self) -> Mapping[str, float]:
        """What happened since this was asked last."""
        found, self._report = self._report, {}
        return found

    async def close(self) -> None:
        """Leave the servers; one that was started here ends."""
        if self._closed:
            return
        self._closed = True
        self._open.set()
        for server in self._fleet.servers:
            if server.returning is not None:
                server.returning.cancel()
            await server.wire.close()
        async with self._news:
            self._news.notify_all()
        self._transfer.close()
        if self._keeper is not None:
            await self._keeper.close()

    # ---- one answer

    async def _sampled(self, prompt: list[int], max_tokens: int, temperature: float, seed: int | None) -> Sample:
        wait_s = FULL_S[0]
        while True:
            await self._open.wait()
            self._check()
            server = self._fleet.pick(prompt)
            if server is None:
                await self._somebody()
                continue
            server.asked += 1
            try:
                async with server.places:
                    answer = await self._drawn(server, prompt, max_tokens, temperature, self.stop_ids, seed)
            except Full:
                self._count("engine/full")
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(2 * wait_s, FULL_S[1])
                continue
            except Gone as error:
                self._count("engine/asked_again")
                self._lost(server, error)
                continue
            finally:
                server.asked -= 1
            if answer is None:
                self._count("engine/asked_again")
                continue
            version, drawn = answer
            self._fleet.settle(prompt, drawn.ids, server)
            stop = "stop" if drawn.ids[-1] in self.stop_ids else "length"
            return Sample(drawn.ids, drawn.logprobs, stop, temperature, version)  # type: ignore[arg-type]

    async def _drawn(
        self,
        server: Server,
        prompt: Sequence[int],
        max_tokens: int,
        temperature: float,
        stop_ids: Sequence[int],
        seed: int | None,
    ) -> tuple[int, Answer] | None:
        """An answer with its version; None where it is to be asked for again. Raises ServerError."""
        model = server.model
        try:
            answer = await server.wire.generate(
                model,
                prompt,
                max_tokens=max_tokens,
                temperature=temperature,
                stop_ids=stop_ids,
                seed=seed,
                within_s=self.config.vllm.answer_s,
            )
        except Refused as error:
            if error.status != 404 or model in await server.wire.models():
                raise
            raise Gone(f"{server.wire.url} does not serve '{model}' any more: it was started anew") from error
        if answer.finish == "abort":
            return None
        names = answer.weights if self._transfer.named_in_answers else (model,)
        if not names or any(name not in self._versions for name in names):
            raise Gone(f"{server.wire.url} drew from weights '{', '.join(names)}', which are not this run's")
        if not answer.ids:
            raise Refused(f"{server.wire.url} answered nothing", 200)
        return self._versions[names[0]], answer

    # ---- the servers

    def _server(self, url: str) -> Server:
        return Server(Wire(url, self._token), asyncio.Semaphore(self.config.max_sessions))

    async def _hire(self) -> None:
        """Start the server of this run."""
        if self._keeper is None:
            raise ServerError("there is no vLLM server; give engine.vllm.urls, or let one be started")
        self._fleet = Fleet([self._server(await self._keeper.start())])

    async def _given(self, server: Server, weights: Mapping[str, Tensor]) -> None:
        """See who a server is, give it the weights, and see that it samples from them. Under the turnstile."""
        settings, wire = self.config.vllm, server.wire
        await known(server, self._nonce, self.context_tokens, self._tokenizer)
        await wire.post("/pause", within_s=settings.sync_s, params={"mode": settings.in_flight})
        try:
            await self._transfer.send(server, settings.sync_s)
        except Refused as error:
            raise Refused(
                f"{error}; it serves '{server.model}': is that this run's model, and was it started as `trainer serve` "
                "starts it?",
                error.status,
            ) from error
        await wire.post("/resume", within_s=settings.sync_s)
        await self._agreed(server, weights)
        server.up = True
        async with self._news:
            self._news.notify_all()

    async def _agreed(self, server: Server, weights: Mapping[str, Tensor]) -> None:
        """Raises ServerError where the server does not sample from the weights that were sent."""
        waves = probes(list(self._recent), self.vocabulary, self.context_tokens)
        asked = [probe for wave in waves for probe in wave]
        answers: list[Answer] = []
        for wave in waves:
            asking = [self._drawn(server, one.prompt, TOKENS, one.temperature, (), None) for one in wave]
            for drawn in await asyncio.gather(*asking):
                if drawn is None or drawn[0] != self.version:
                    raise Refused(f"{server.wire.url} drew a probe from other weights than it was given last", 200)
                answers.append(drawn[1])
        gap = await asyncio.to_thread(widest_gap, self.model, weights, asked, answers)
        limit = self.config.vllm.parity_nats or PARITY_NATS[next(self.model.parameters()).dtype]
        self._report["sync/parity_max_nats"] = max(gap, self._report.get("sync/parity_max_nats", 0.0))
        if not gap <= limit:
            raise Refused(
                f"{server.wire.url} does not sample from the weights of version {self.version}: a log-probability "
                f"differs by {gap:.2g} nats, {limit:g} is allowed; it serves another model, kept part of its old "
                "weights, or was not started with --logprobs-mode=processed_logprobs",
                200,
            )

    def _lost(self, server: Server, error: Gone) -> None:
        """Nobody is asked there until it is back."""
        if server.returning is not None or self._closed:
            return
        server.up = False
        _log.warning("%s; it is waited for", error)
        self._count("engine/servers_lost")
        self._transfer.forget(server)
        server.returning = asyncio.create_task(self._back(server, error))

    async def _back(self, server: Server, error: Gone) -> None:
        """Wait for a server to come back, and give it the weights."""
        deadline = time.monotonic() + self.config.vllm.start_s
        final: ServerError = Gone(f"{error}, and it did not come back within {self.config.vllm.start_s:g} s")
        try:
            while time.monotonic() < deadline:
                if self._keeper is not None and self._keeper.failed:
                    final = Gone(self._keeper.failed)
                    break
                try:
                    if await server.wire.healthy() and await self._again(server):
                        return
                except Silent:
                    raise
                except (Gone, Full) as again:
                    _log.info("%s", again)
                await asyncio.sleep(LOOK_S)
            if any(other.up or other.returning for other in self._fleet.servers if other is not server):
                _log.warning("%s; the others go on", final)
            else:
                self._fail(final)
        except Exception as found:  # nobody awaits this task: who waits for the server has to be told
            self._fail(found)
        finally:
            server.returning = None
            async with self._news:
                self._news.notify_all()

    async def _again(self, server: Server) -> bool:
        """Give a server that is back the weights; False where it has to wait for those that are being learned."""
        async with self._turnstile:
            if not server.up:
                laid = await asyncio.to_thread(self._transfer.laid)
                if laid is None and self._fleet.up:
                    return False
                await self._given(server, self._weights if laid is None else laid)
        return True

    async def _somebody(self) -> None:
        """Wait until a server is up. Raises ServerError where none will be."""
        async with self._news:
            while not self._fleet.up:
                self._check()
                await self._news.wait()

    def _check(self) -> None:
        """Raises where nothing can be sampled any more."""
        if self._closed:
            raise RuntimeError("the engine is closed")
        if self._broken is not None:
            raise self._broken

    def _fail(self, error: BaseException) -> None:
        """Everybody who waits is told, and nobody samples any more."""
        self._broken = error if isinstance(error, ServerError) else ServerError(str(error) or type(error).__name__)
        self._open.set()

    def _count(self, name: str) -> None:
        self._report[name] = self._report.get(name, 0.0) + 1.0
