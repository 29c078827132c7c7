"""verl's own agent loop worker in our worlds: prints what it saw as JSON. Runs in verl's virtual environment, with ours
beside it.

The worker, its tool parser, its tokens and its batch are verl's; the inference server behind it is a script, since verl
has none that runs without a GPU.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import httpx
import numpy as np
import yaml
from hydra import compose, initialize_config_module
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.protocol import DataProto
from verl.workers.rollout.replica import TokenOutput

from agents.adapters.verl import briefing
from envserver.schema import Task
from envserver.sync import SyncGym

URL = sys.argv[1]
TASK = {"key": "doors-2/train/0001", "seed": 0, "options": {"dark": 0.0}}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
LOSE = "It goes."
TEMPLATE = """{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>
{{ call.function | tojson }}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def model_at(directory):
    """A model's files: verl reads its configuration and its tokenizer."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator([], trainers.BpeTrainer(special_tokens=SPECIAL, initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(directory)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
    )
    Qwen3ForCausalLM(config).save_pretrained(directory)
    return tokenizer


class Script:
    """An inference server that says what is written for the row, turn by turn."""

    def __init__(self, tokenizer, scripts):
        self.tokenizer = tokenizer
        self.waiting = list(scripts)
        self.going = {}
        self.prompts = []

    async def generate(self, request_id, *, prompt_ids, **_):
        if request_id not in self.going:
            self.going[request_id] = iter(self.waiting.pop(0))
        self.prompts.append(self.tokenizer.decode(prompt_ids))
        text = next(self.going[request_id])
        if text.startswith(LOSE):
            lose()
        ids = self.tokenizer.encode(text + "<|im_end|>", add_special_tokens=False)
        return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids), num_preempted=0)


def lose():
    """Close every session, as a server does whose lease ran out."""
    for session in httpx.get(f"{URL}/v1/sessions").json():
        httpx.delete(f"{URL}/v1/sessions/{session['session']}")


def call(text):
    return f'<tool_call>\n{{"name": "act", "arguments": {{"text": "{text}"}}}}\n</tool_call>'


def settings(directory, tools):
    """verl's own configuration, with our loop and our tool in it."""
    loops = [{"name": "keydoor", "_target_": "agents.adapters.verl.WorldLoop", "url": URL, "env": "keydoor"}]
    (directory / "loops.yaml").write_text(yaml.safe_dump(loops))
    config = {"type": "native", "url": URL, "env": "keydoor", "tool": "act"}
    listed = [{"class_name": "agents.adapters.verl.WorldTool", "config": config}]
    (directory / "tools.yaml").write_text(yaml.safe_dump({"tools": listed}))
    rollout = "actor_rollout_ref.rollout"
    overrides = [
        f"actor_rollout_ref.model.path={directory / 'model'}",
        f"{rollout}.name=vllm",
        f"{rollout}.prompt_length=1200",
        f"{rollout}.response_length=900",
        f"{rollout}.calculate_log_probs=True",
        f"{rollout}.agent.agent_loop_config_path={directory / 'loops.yaml'}",
        f"{rollout}.multi_turn.format=hermes",
    ]
    if tools:
        overrides.append(f"{rollout}.multi_turn.tool_config_path={directory / 'tools.yaml'}")
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=overrides)


async def batch(directory, tokenizer, rows, scripts, *, tools=False):
    """What the worker makes of these rows."""
    server = Script(tokenizer, scripts)
    worker = AgentLoopWorker(settings(directory, tools), server)
    columns = {name: np.array([row[name] for row in rows] + [None], dtype=object)[:-1] for name in rows[0]}
    out = await worker.generate_sequences(DataProto(non_tensor_batch=columns, meta_info={"validate": False}))
    scores = out.batch.get("rm_scores", None)
    played = []
    for place in range(len(rows)):
        ids, masks = out.batch["responses"][place].tolist(), out.batch["response_mask"][place].tolist()
        sampled = [at for at, mask in enumerate(masks) if mask]
        one = {
            "said": tokenizer.decode([ids[at] for at in sampled]),
            "tool_rewards": out.non_tensor_batch["tool_rewards"][place],
            "extras": out.non_tensor_batch["extras"][place],
        }
        if scores is not None:
            one["score"] = scores[place].sum().item()
            one["at_the_last"] = not scores[place].any() or scores[place].argmax().item() == sampled[-1]
        played.append(one)
    # Which row is asked for first is nobody's to say.
    return {"prompts": server.prompts, "played": sorted(played, key=lambda one: one["said"])}


async def main():
    with tempfile.TemporaryDirectory() as name, SyncGym(URL) as gym:
        directory = Path(name)
        tokenizer = model_at(directory / "model")
        prompt = [{"role": "user", "content": "Get out."}]
        row = {"raw_prompt": prompt, "agent_name": "keydoor", "extra_info": TASK}
        out, trap = ([call(f"take {colour} key"), call(f"open {colour} door")] for colour in ("blue", "green"))
        quits = ["I give up."]
        loop = await batch(directory, tokenizer, [row] * 3, [out, trap, quits])
        lost = await batch(directory, tokenizer, [row], [[out[0], LOSE + out[1]]])
        with gym.open(Task(env="keydoor", **TASK)) as world:
            content = f"Get out.\n\n{briefing(world.opened)}"
        kwargs = {"act": {"create_kwargs": TASK}}
        row = {
            "raw_prompt": [{"role": "user", "content": content}],
            "agent_name": "tool_agent",
            "extra_info": {},
            "tools_kwargs": kwargs,
        }
        tool = await batch(directory, tokenizer, [row] * 2, [[*out, "Done."], [trap[0], "Done."]], tools=True)
    print(json.dumps({"loop": loop, "lost": lost, "tool": tool}), flush=True)


asyncio.run(main())
