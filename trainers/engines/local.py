"""Batched sampling in this process, from any Hugging Face causal LM, on CPU or CUDA, full weights or peft adapters.

The model's own forward pass runs over a cache whose rows outlive a call, so a turn reads only what is new since the
turn before. Concurrent calls of sample() share forward passes: one thread admits requests between steps, reads prompts
in batches, then decodes all rows at once. A log-probability is exactly that of the distribution drawn from; at
temperature 0, which is greedy and has none, it is that of temperature 1, and such a sample must not be trained on.

What is batched together decides the last bits of a log-probability, and who asks first decides what is batched. Where
it is told how many will ask (`expect`), the engine waits for all of them and takes them in an order of its own, so the
same requests give the same bits.

A forward pass holds `weights_lock(model)`; a learner that shares the module holds it while weights change. Between such
a change and `load` nobody should sample: cached states are older than the weights until then. An engine that is
`apart` has weights of its own and may be asked at any time; new ones come between two forward passes.
"""

from __future__ import annotations

import asyncio
import atexit
import copy
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.types import ContextFull, Sample
from trainers.engines._kv import Plan, RowCache
from trainers.engines._rows import Request, Row, Rows
from trainers.models import causal_lm, context_tokens, embedding_shape, weights_lock

__all__ = ["Local"]

_log = logging.getLogger(__name__)

_FULL_ENOUGH = 0.75
"""Rows are moved together where a smaller share of the range that is decoded is in use."""


class Local:
    """The engine `local`."""

    def __init__(
        self,
        model: nn.Module,
        *,
        stop_ids: Sequence[int],
        max_sessions: int = 64,
        context_tokens: int | None = None,
        prefill_tokens: int = 4096,
        threads: int | None = None,
        device: str | torch.device | None = None,
        apart: bool = False,
    ) -> None:
        """`model` is shared with whoever else holds it, and copied where `apart` or `device` is another than its own.

        `max_sessions` rows are remembered between calls; the longest unused one gives way. Raises ValueError where the
        model's attention cannot be cached by position.
        """
        home = next(model.parameters()).device
        self.device = torch.device(device) if device is not None else home
        if apart or (self.device.type, self.device.index or 0) != (home.type, home.index or 0):
            model = copy.deepcopy(model).to(self.device)
        self.model = model.eval()
        self.stop_ids = frozenset(stop_ids)
        self.prefill_tokens = prefill_tokens
        self.context_tokens = _checked_context(model, context_tokens)
        self.vocabulary = embedding_shape(model)[0]
        self.version = 0
        self.busy_s = 0.0
        """Time spent sampling so far."""
        self._dtype = next(model.parameters()).dtype
        self._lock = weights_lock(model)
        self._threads = threads
        self._draws = np.random.default_rng()
        self._rows = Rows(RowCache(max_sessions, self.context_tokens))
        self._waiting: deque[Request] = deque()
        self._line: list[Request] = []  # of those that waited, the ones that are to be admitted next
        self._expected: int | None = None
        self._errands: deque[tuple[Callable[[], None], asyncio.Future[None]]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sampler", daemon=True)
        self._thread.start()
        atexit.register(self._stop)  # a thread inside torch when the interpreter goes would abort the process

    async def sample(
        self, prompt_ids: Sequence[int], *, max_tokens: int, temperature: float, seed: int | None = None
    ) -> Sample:
        """Continue `prompt_ids` (P,) by at most `max_tokens` ids, the stop id included.

        With a `seed` the draw is a function of prompt, seed and weights, whatever else is sampled (up to rounding).
        Raises ContextFull where prompt and tokens do not fit, ValueError for ids the model does not know.
        """
        prompt = list(prompt_ids)
        if not prompt or min(prompt) < 0 or max(prompt) >= self.vocabulary:
            raise ValueError(f"a prompt is one or more ids in [0, {self.vocabulary})")
        if max_tokens < 1 or not 0 <= temperature < float("inf"):
            raise ValueError("max_tokens must be positive and temperature finite and not negative")
        if len(prompt) + max_tokens > self.context_tokens:
            raise ContextFull(
                f"{len(prompt)} prompt tokens and {max_tokens} to sample do not fit {self.context_tokens} of context"
            )
        draws = self._draws if seed is None else np.random.Generator(np.random.Philox(seed))
        future: asyncio.Future[Sample] = asyncio.get_running_loop().create_future()
        request = Request(prompt, max_tokens, temperature, draws.random(max_tokens), future)
        self._submit(self._waiting, request)
        try:
            return await future
        finally:
            request.cancelled = True

    async def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Sample from these weights from the next step on; what was read with older ones is dropped.

        `weights` are parameters by the model's own names, all or some; those that share the module's memory are not
        copied. Samples under way begin anew from their prompt, so that each is drawn from one version. Raises
        ValueError for weights of another model.
        """
        own = dict(self.model.named_parameters())
        for name, tensor in weights.items():
            if name not in own or own[name].shape != tensor.shape:
                raise ValueError(f"these weights belong to another model: it has no {tuple(tensor.shape)} '{name}'")

        def errand() -> None:
            with self._lock:
                for name, tensor in weights.items():
                    if own[name].data_ptr() != tensor.data_ptr() or own[name].device != tensor.device:
                        own[name].copy_(tensor)
            self._rows.forget()
            self.version = version

        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._submit(self._errands, (errand, future))
        await future

    def expect(self, requests: int | None) -> None:
        """Begin to sample when so many requests are there, and take no other before they are answered; None at once."""
        with self._wake:
            self._expected = requests
            self._wake.notify()

    def report(self) -> Mapping[str, float]:
        """Nothing happens here that a run would not measure itself."""
        return {}

    @property
    def cached_token_bytes(self) -> float:
        """What a token of a row costs, once something was read."""
        cache = self._rows.cache
        return cache.bytes / (cache.rows * (cache.slots + 1))

    async def close(self) -> None:
        """Stop the thread; samples under way raise RuntimeError."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        atexit.unregister(self._stop)

    def _submit(self, queue: deque[Any], item: object) -> None:
        with self._wake:
            if self._closed:
                raise RuntimeError("the engine is closed")
            queue.append(item)
            self._wake.notify()

    # ---- below, everything runs in the one thread

    @torch.no_grad()  # not inference_mode: a module that caches a tensor of its own must still be able to learn
    def _work(self) -> None:
        if self._threads:
            torch.set_num_threads(self._threads)
        while True:
            with self._wake:
                while not (self._closed or self._errands or self._line or self._rows.busy or self._due):
                    self._wake.wait()
                if self._closed:
                    break
            started = time.perf_counter()
            try:
                self._step()
            except Exception as error:
                _log.debug("a sampling step failed", exc_info=True)
                self._fail(error)
                self._rows.forget()
                self._rows.cache.clear()
            self.busy_s += time.perf_counter() - started
        self._fail(RuntimeError("the engine was closed before it had answered"))

    def _fail(self, error: Exception) -> None:
        """Everybody who waits is told."""
        for row in self._rows.busy:
            assert row.request is not None
            _settle(row.request.future, error=error)
            self._rows.release(row)
        with self._wake:
            waiting, errands = list(self._waiting), list(self._errands)
            self._waiting.clear()
            self._errands.clear()
        waiting += self._line
        self._line = []
        for request in waiting:
            _settle(request.future, error=error)
        for _, future in errands:
            _settle(future, error=error)

    def _step(self) -> None:
        """Errands, then all reading there is to do, then one token for everybody."""
        while self._errands:
            errand, future = self._errands.popleft()
            try:
                errand()
            except Exception as error:
                _settle(future, error=error)
            else:
                _settle(future, result=None)
        for row in self._rows.busy:
            if row.request is not None and row.request.cancelled:
                self._rows.release(row)
        self._admit()
        while batch := self._to_read():
            self._forward(batch, max(row.missing for row in batch))
            self._admit()
        if active := self._rows.busy:
            span = active[-1].index - active[0].index + 1
            if len(active) < _FULL_ENOUGH * span:
                self._rows.compact(active)
                active = self._rows.busy
            self._forward(active, 1)

    @property
    def _due(self) -> bool:
        """Whether those that wait are to be served; under the lock."""
        if self._expected is None:
            return bool(self._waiting)
        return len(self._waiting) >= max(1, self._expected) and not (self._line or self._rows.busy)

    def _admit(self) -> None:
        with self._wake:
            if self._due:
                # Their own draws are an order that does not depend on who came first.
                found = self._waiting if self._expected is None else sorted(self._waiting, key=lambda r: r.uniforms[0])
                self._line += found
                self._waiting.clear()
        left: list[Request] = []
        for request in self._line:
            if request.cancelled:
                continue
            row = self._rows.admit(request)
            if row is None:
                left.append(request)
            else:
                self._rows.cache.grow(len(request.prompt) + request.max_tokens)
        self._line = left

    def _to_read(self) -> list[Row]:
        """Rows of similar length with more than one id to read, as many as one pass may hold."""
        rows = sorted((row for row in self._rows.busy if row.missing > 1), key=lambda row: -row.missing)
        if not rows:
            return []
        longest = min(rows[0].missing, self.prefill_tokens)
        most = max(1, self.prefill_tokens // longest)
        return sorted((row for row in rows[:most] if 2 * row.missing >= longest), key=lambda row: row.index)

    def _forward(self, rows: list[Row], longest: int) -> None:
        """Read up to `longest` ids of each row; whoever has then read all draws the next one. Rows in cache order."""
        cache = self._rows.cache
        tokens = min(longest, self.prefill_tokens)
        first, last = rows[0].index, rows[-1].index
        dense = tokens == 1 or last - first + 1 == len(rows)
        # Decoding computes the few idle rows between busy ones too: views cost less than gathered keys and values.
        index_B = np.arange(first, last + 1) if dense else np.array([row.index for row in rows])
        place = {int(index): b for b, index in enumerate(index_B)}
        ids_BT = np.zeros((len(index_B), tokens), np.int64)
        position_BT = np.zeros((len(index_B), tokens), np.int64)
        slot_BT = np.full((len(index_B), tokens), cache.spare, np.int64)
        for row in rows:
            b, n = place[row.index], min(row.missing, tokens)
            ids_BT[b, tokens - n :] = row.ids[row.length : row.length + n]
            position_BT[b, tokens - n :] = slot_BT[b, tokens - n :] = np.arange(row.length, row.length + n)
            row.length += n
        seen = max(row.length for row in rows)
        index = torch.from_numpy(index_B).to(self.device)
        position = torch.from_numpy(position_BT).to(self.device)
        cache.plan = Plan(
            rows=slice(first, last + 1) if dense else index,
            index_B1=index[:, None],
            slot_BT=torch.from_numpy(slot_BT).to(self.device),
            seen=seen,
        )
        hidden_B1TS = torch.arange(seen, device=self.device) > position[:, None, :, None]
        mask_B1TS = torch.zeros(hidden_B1TS.shape, dtype=self._dtype, device=self.device)
        mask_B1TS.masked_fill_(hidden_B1TS, torch.finfo(self._dtype).min)
        with self._lock:
            version = self.version
            logits_BV = self.model(
                input_ids=torch.from_numpy(ids_BT).to(self.device),
                attention_mask=mask_B1TS,
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        drawing = [row for row in rows if not row.missing]
        if drawing:
            self._draw(drawing, logits_BV[[place[row.index] for row in drawing]].float(), version)

    def _draw(self, rows: list[Row], logits_BV: Tensor, version: int) -> None:
        """One id for each row, by inversion of the cumulative distribution at the request's own uniform number."""
        requests = [row.request for row in rows]
        temperature_B = torch.tensor([r.temperature for r in requests if r], device=self.device)
        greedy_B = temperature_B == 0
        logp_BV = torch.log_softmax(logits_BV / torch.where(greedy_B, 1.0, temperature_B)[:, None], -1)
        cumulative_BV = logp_BV.double().exp_().cumsum_(-1)
        total_B = cumulative_BV[:, -1]
        if not bool(torch.isfinite(total_B).all()):
            raise FloatingPointError("the model's logits are not finite; the learning rate is likely too high")
        uniform_B = torch.tensor([r.uniforms[len(r.ids)] for r in requests if r], device=self.device)
        threshold_B = torch.minimum(uniform_B * total_B, torch.nextafter(total_B, torch.zeros_like(total_B)))
        id_B = torch.searchsorted(cumulative_BV, threshold_B[:, None], right=True).squeeze(1)
        id_B = torch.where(greedy_B, logits_BV.argmax(-1), id_B)
        logp_B = logp_BV.gather(1, id_B[:, None]).squeeze(1)
        for row, request, drawn, logp in zip(rows, requests, id_B.tolist(), logp_B.tolist(), strict=True):
            assert request is not None
            if not request.ids:
                request.version = version
            request.ids.append(drawn)
            request.logprobs.append(logp)
            row.ids.append(drawn)
            stopped = drawn in self.stop_ids
            if stopped or len(request.ids) == request.max_tokens:
                stop = "stop" if stopped else "length"
                sample = Sample(request.ids, request.logprobs, stop, request.temperature, request.version)  # type: ignore[arg-type]
                self._rows.release(row)
                _settle(request.future, result=sample)


def _checked_context(model: nn.Module, wanted: int | None) -> int:
    """How many tokens a row may hold."""
    config = causal_lm(model).config.get_text_config()
    limit = context_tokens(model)
    context = min(wanted or limit, limit)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    if kinds - {"full_attention", "sliding_attention"}:
        raise ValueError(f"the engine 'local' caches attention only, this model has layers of kind {sorted(kinds)}")
    if window and getattr(config, "use_sliding_window", True) and context > window:
        raise ValueError(f"this model's attention slides over {window} tokens; set context_tokens to at most that")
    if config._attn_implementation not in ("sdpa", "eager"):
        raise ValueError(f"the engine 'local' needs attention 'sdpa' or 'eager', not '{config._attn_implementation}'")
    return context


def _settle(future: asyncio.Future[Any], *, result: object = None, error: Exception | None = None) -> None:
    """Answer a caller in its own event loop; one that is gone needs no answer."""

    def set_it() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        future.get_loop().call_soon_threadsafe(set_it)
    except RuntimeError:  # the caller's loop is closed
        _log.debug("nobody waits for this sample any more")
