"""Real tokenizers made here, from a few lines: no hub is asked."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agents.chat import Chat

LINES = [
    "You are in a small room. There is a locked door. You have the brass key.",
    "go east. take the key. open the door with the key. look around. inventory.",
    "Thought: the door is locked. Action: unlock the door with the brass key",
    "1. go east 2. go west 3. take key from table 4. open door",
] * 5

TEMPLATES = {
    "chatml": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' "
        "+ m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    ),
    "zephyr": (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    ),
    "no_system": (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}"
        "{{ raise_exception('there is no system role') }}{% endif %}"
        "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
        "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
    ),
}
SPECIALS = {
    "chatml": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "zephyr": ["<s>", "</s>"],
    "no_system": ["<s>", "</s>"],
}
ENDS = {
    "chatml": {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"},
    "llama3": {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
    "zephyr": {"bos_token": "<s>", "eos_token": "</s>"},
    "no_system": {"bos_token": "<s>", "eos_token": "</s>"},
}


def make_tokenizer(template: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with one of the chat templates above."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIALS[template], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, extra_special_tokens=SPECIALS[template], **ENDS[template]
    )
    wrapped.chat_template = TEMPLATES[template]
    return wrapped


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    """One tokenizer for each template."""
    return {template: make_tokenizer(template) for template in TEMPLATES}


@pytest.fixture(scope="session", params=sorted(TEMPLATES))
def chat(request, tokenizers) -> Chat:
    """A chat of each template."""
    return Chat(tokenizers[request.param])


@pytest.fixture(scope="session")
def chatml(tokenizers) -> Chat:
    """A chat in ChatML."""
    return Chat(tokenizers["chatml"])
