"""A byte-level BPE tokenizer trained on transcripts, with a chat template of one token a message boundary.

Every text round-trips, for bytes are the alphabet; digits stand alone, so that numbers are read alike everywhere. A
message is its role's token, its content and the end token, which is also the end of a sampled turn:
`<|system|>You are ...<|end|><|user|>> -= Pantry =-<|end|><|assistant|>open fridge<|end|>`. Boundaries are special
tokens, so the ids of a chat that grows by a message begin with the ids of the chat before.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

__all__ = ["END", "PAD", "train_tokenizer"]

END = "<|end|>"
PAD = "<|pad|>"
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
_TEMPLATE = (
    "{% for message in messages %}"
    "{% set role = 'user' if message['role'] == 'tool' else message['role'] %}"
    "{{ '<|' + role + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(corpus: Iterable[str], *, vocab: int, context: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab` tokens; a regular corpus gives fewer.

    `corpus` holds plain texts: observations, actions, instructions. Raises ValueError where it has none.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    read = 0

    def counted() -> Iterable[str]:
        nonlocal read
        for text in corpus:
            read += len(text)
            yield text

    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        min_frequency=2,
        special_tokens=[PAD, END, *_ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(counted(), trainer)
    if not read:
        raise ValueError("the corpus for the tokenizer has no text; give it transcripts of the worlds to be played")
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(_ROLES),
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    wrapped.chat_template = _TEMPLATE
    return wrapped
