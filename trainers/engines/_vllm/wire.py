"""One vLLM server over HTTP: token ids in, token ids out, and the routes by which its weights change.

Rule: every request has a deadline, and whatever goes wrong is one of three errors, in a sentence that names the
server: it is not there (Gone), it is full (Full), or it will not (Refused).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

__all__ = ["Answer", "Full", "Gone", "Refused", "ServerError", "Silent", "Wire"]

CONNECT_S = 10.0
"""Longest wait for a connection."""
ASK_S = 30.0
"""Longest wait for what a server knows without computing."""


class ServerError(RuntimeError):
    """Raised when a vLLM server fails a run."""


class Gone(ServerError):
    """The server is not there, or died before it answered."""


class Silent(Gone):
    """The server holds the connection and does not answer."""


class Full(ServerError):
    """The server's queue has no room; ask later."""


class Refused(ServerError):
    """The server will not do it, and asking again would not help."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server drew."""

    ids: list[int]
    logprobs: list[float]
    """(A,) nats, of the distribution that was drawn from, temperature included."""
    finish: str
    """stop, length, or abort where weights changed before it was done."""
    weights: tuple[str, ...]
    """Names of the weights it was drawn from, in order of use; more than one where they changed under way."""


class Wire:
    """The routes of one server."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.headers = headers
        """Sent with every request."""
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=256),
        )

    async def generate(
        self,
        model: str,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        temperature: float,
        stop_ids: Sequence[int],
        seed: int | None,
        within_s: float,
    ) -> Answer:
        """Continue the prompt from the plain softmax at this temperature. Raises Gone, Full, Refused."""
        # What a server's own defaults may say otherwise is said in full: they come from the model's directory.
        sampling = {
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": list(stop_ids),
            "ignore_eos": True,  # of the tokenizer's: what ends an answer are `stop_ids`
            "logprobs": 0,
            "detokenize": False,
            "seed": seed,
        }
        body = {"model": model, "token_ids": list(prompt), "sampling_params": sampling}
        found = await self.post("/inference/v1/generate", body, within_s=within_s)
        try:
            choice = found["choices"][0]
            ids = [int(one) for one in choice["token_ids"] or ()]
            drawn = (choice["logprobs"] or {}).get("content") or ()
            spans = choice.get("weight_versions") or ()
            logprobs = [float(one["logprob"]) for one in drawn]
            if [one["token_id"] for one in drawn] != ids:
                raise ValueError("its log-probabilities are not of the ids it answered")
            weights = tuple(dict.fromkeys(str(span["version"]) for span in spans))
            return Answer(ids, logprobs, str(choice["finish_reason"]), weights)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Refused(f"the answer of {self.url} cannot be read ({error!r}); is it a vLLM of 0.32?", 200) from error

    async def models(self) -> dict[str, int | None]:
        """The names it serves, with the longest sequence of each."""
        found = await self.get("/v1/models")
        return {str(one["id"]): one.get("max_model_len") for one in found.get("data", ())}

    async def tokenize(self, model: str, text: str) -> list[int]:
        """Ids of a text by the server's tokenizer, without special tokens."""
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        return [int(one) for one in (await self.post("/tokenize", body, within_s=ASK_S))["tokens"]]

    async def weights_name(self) -> str:
        """Name of the weights it holds."""
        return str((await self.get("/weight_info"))["weight_version"])

    async def healthy(self) -> bool:
        """Whether it is there and its engine lives."""
        try:
            return (await self._http.get("/health", timeout=CONNECT_S)).is_success
        except httpx.HTTPError:
            return False

    async def get(self, path: str) -> dict[str, Any]:
        """What a route says. Raises Gone, Full, Refused."""
        return await self._ask("GET", path, None, None, ASK_S)

    async def post(
        self, path: str, body: object = None, *, within_s: float, params: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Have something done. Raises Gone, Full, Refused."""
        return await self._ask("POST", path, body, params, within_s)

    async def tell(self, path: str, body: object, *, within_s: float) -> None:
        """Have something done by a route that answers in words. Raises Gone, Full, Refused."""
        await self._said("POST", path, body, None, within_s)

    async def close(self) -> None:
        """Close all connections; answers under way are given up, and the server drops them."""
        await self._http.aclose()

    async def _ask(
        self, verb: str, path: str, body: object, params: dict[str, str] | None, within_s: float
    ) -> dict[str, Any]:
        answer = await self._said(verb, path, body, params, within_s)
        try:
            found = answer.json() if answer.content else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Refused(f"{self.url} is no vLLM server: {path} answered no JSON object", answer.status_code)
        return found

    async def _said(
        self, verb: str, path: str, body: object, params: dict[str, str] | None, within_s: float
    ) -> httpx.Response:
        timeout = httpx.Timeout(within_s, connect=min(CONNECT_S, within_s))
        try:
            answer = await self._http.request(verb, path, json=body, params=params, timeout=timeout)
        except httpx.ConnectTimeout as error:
            raise Gone(f"{self.url} is not there: no connection within {timeout.connect:g} s") from error
        except httpx.TimeoutException as error:
            raise Silent(f"{self.url} did not answer {path} within {within_s:g} s") from error
        except httpx.HTTPError as error:
            raise Gone(f"{self.url} is not there: {error or type(error).__name__}") from error
        if answer.status_code in (429, 503):
            raise Full(f"the queue of {self.url} is full: {_words(answer)}")
        if answer.status_code >= 500 and not await self.healthy():
            raise Gone(f"{self.url} died: {_words(answer)}")
        if not answer.is_success:
            raise Refused(f"{self.url} refused {path} with {answer.status_code}: {_words(answer)}", answer.status_code)
        return answer


def _words(answer: httpx.Response) -> str:
    """A server's own words, in one line."""
    try:
        found = answer.json()
        error = found.get("error", found.get("detail", found))
        text = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = answer.text
    return " ".join(str(text).split())[:300] or "it said nothing"
