"""SkyRL's generator in our worlds: prints what it saw as JSON. Runs in SkyRL's virtual environment, with ours there.

The generator, its tokens and its rewards are SkyRL's; the inference engine behind it is a script.
"""

import asyncio
import json
import sys

import httpx
import skyrl_gym
from skyrl.train.config import GeneratorConfig, SkyRLGymConfig
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

URL = sys.argv[1]
TASK = {"key": "doors-2/train/0001", "seed": 0, "options": {"dark": 0.0}}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LOSE = "It goes."
TEMPLATE = """{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def tokenizer_of_bytes():
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator([], trainers.BpeTrainer(special_tokens=SPECIAL, initial_alphabet=alphabet))
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = TEMPLATE
    return made


class Script:
    """An inference engine that says what is written for the row, turn by turn."""

    weight_version = None

    def __init__(self, tokenizer, scripts):
        self.tokenizer = tokenizer
        self.waiting = list(scripts)
        self.going = {}
        self.prompts = []

    async def generate(self, asked, **_):
        (session,), (prompt,) = asked["session_ids"], asked["prompt_token_ids"]
        if session not in self.going:
            self.going[session] = iter(self.waiting.pop(0))
        self.prompts.append(self.tokenizer.decode(prompt))
        text = next(self.going[session])
        if text == LOSE:
            lose()
        ids = self.tokenizer.encode(text + "<|im_end|>", add_special_tokens=False)
        return {"responses": [text], "response_ids": [ids], "stop_reasons": ["stop"], "response_logprobs": None}

    async def finish_session(self, session):
        self.going.pop(session, None)


def lose():
    """Close every session, as a server does whose lease ran out."""
    for session in httpx.get(f"{URL}/v1/sessions").json():
        httpx.delete(f"{URL}/v1/sessions/{session['session']}")


async def generated(tokenizer, scripts):
    """What the generator makes of rows that are played so."""
    engine = Script(tokenizer, scripts)
    settings = GeneratorConfig(max_turns=3, max_input_length=4096)
    generator = SkyRLGymGenerator(settings, SkyRLGymConfig(), engine, tokenizer)
    made = await generator.generate(
        {
            "prompts": [[{"role": "user", "content": "Get out."}] for _ in scripts],
            "env_classes": ["keydoor"] * len(scripts),
            "env_extras": [dict(TASK) for _ in scripts],
            "sampling_params": None,
            "trajectory_ids": None,
            "batch_metadata": None,
        }
    )
    said = [
        tokenizer.decode([id for id, mask in zip(ids, masks, strict=True) if mask])
        for ids, masks in zip(made["response_ids"], made["loss_masks"], strict=True)
    ]
    metrics = {name: value for name, value in made["rollout_metrics"].items() if name.startswith("environment/")}
    rewards = [sum(one) for one in made["rewards"]]
    return {"prompts": engine.prompts, "played": sorted(zip(said, rewards, strict=True)), "metrics": metrics}


async def main():
    tokenizer = tokenizer_of_bytes()
    out, trap = ([f"take {colour} key", f"open {colour} door"] for colour in ("blue", "green"))
    skyrl_gym.register(
        id="keydoor", entry_point="agents.adapters.skyrl:TextWorld", kwargs={"url": URL, "env": "keydoor"}
    )
    seen = {
        "whole": await generated(tokenizer, [out, trap, ["", "wait", "wait"]]),
        "lost": await generated(tokenizer, [[out[0], LOSE]]),
    }
    print(json.dumps(seen), flush=True)


asyncio.run(main())
