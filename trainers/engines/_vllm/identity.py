"""Who a server is, before it is given anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.engines._vllm.fleet import Server
from trainers.engines._vllm.wire import Refused

if TYPE_CHECKING:
    from agents.chat import Tokenizer

__all__ = ["known"]

WORDS = "You are in a kitchen. Go to room 17: it's café-like!\n"
"""What two tokenizers are told apart by."""


async def known(server: Server, nonce: str, context_tokens: int, tokenizer: Tokenizer | None) -> None:
    """Its model's name, its context, its tokenizer. Raises ServerError where it is none of this run's."""
    wire = server.wire
    try:
        served = await wire.models()
    except Refused as error:
        raise Refused(f"{wire.url} is no vLLM server that this run may use: {error}", error.status) from error
    base = next((name for name in served if not name.startswith(f"{nonce}-")), None)
    if base is None:
        raise Refused(f"{wire.url} serves no model", 200)
    server.model = server.model if server.model in served else base
    room = served[base]
    if room is not None and room < context_tokens:
        raise Refused(
            f"{wire.url} takes {room} tokens and this run needs {context_tokens}: start it with "
            f"--max-model-len={context_tokens}, or set engine.context_tokens={room}",
            200,
        )
    if tokenizer is not None:
        ours = tokenizer.encode(WORDS, add_special_tokens=False)
        theirs = await wire.tokenize(server.model, WORDS)
        if ours != theirs:
            raise Refused(
                f"{wire.url} has another tokenizer: the same {len(WORDS)} characters are {len(theirs)} tokens "
                f"there and {len(ours)} here; serve the model and the tokenizer that are trained",
                200,
            )
