"""TRL's GRPOTrainer in our worlds: prints what it saw as JSON. Runs in TRL's virtual environment, with ours beside it.

The model is made here: some hundred thousand weights, shown two ways to play one room, of which one ends in a trap.
"""

import json
import sys
import tempfile

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen3_instruct_2507_chat_template

from agents.adapters.trl import environment

URL = sys.argv[1]
PROMPT = [{"role": "user", "content": "Get out."}]
ROW = {"prompt": PROMPT, "key": "doors-2/train/0001", "options": {"dark": 0.0}}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
GROUP = 16


def played(commands):
    """What is said where these commands are played, and what they earn."""
    world = World()
    messages = [{"role": "user", "content": PROMPT[0]["content"] + world.reset(**ROW)}]
    for command in commands:
        call = {"type": "function", "function": {"name": "act", "arguments": {"text": command}}}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append({"role": "tool", "name": "act", "content": world.act(text=command)})
    messages.append({"role": "assistant", "content": "Done."})
    return messages, world.get_reward()


def tokenizer_of(texts):
    """A tokenizer that was trained on these texts, with Qwen3's template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    bpe.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = qwen3_instruct_2507_chat_template
    return made


def rendered(messages, tokenizer=None):
    tokenizer = tokenizer or tokenizer_of([])
    return tokenizer.apply_chat_template(messages, tools=[World().act], tokenize=False)


def taught(texts, tokenizer):
    """A model that was shown these texts."""
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=16,
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config)
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(250):
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


torch.manual_seed(0)
torch.set_num_threads(1)
World = environment(URL, "keydoor")
out, trap = (played([f"take {colour} key", f"open {colour} door"]) for colour in ("blue", "green"))
texts = [rendered(messages) for messages, _ in (out, trap)]
tokenizer = tokenizer_of(texts)
model = taught(texts, tokenizer)
before = {name: weight.clone() for name, weight in model.named_parameters()}
with tempfile.TemporaryDirectory() as directory:
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        args=GRPOConfig(
            output_dir=directory,
            max_steps=4,
            per_device_train_batch_size=GROUP,
            num_generations=GROUP,
            max_completion_length=300,
            learning_rate=3e-4,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            seed=0,
        ),
        train_dataset=Dataset.from_list([ROW] * 4),
        environment_factory=World,
    )
    trainer.train()
steps = [log for log in trainer.state.log_history if "reward" in log]
seen = {
    "prompt": out[0][0]["content"],
    "said": [message["content"] for message in out[0] if message["role"] == "tool"],
    "rewards": [out[1], trap[1]],
    "logged": [{name: log[name] for name in sorted(log) if name.startswith(("reward", "tools/"))} for log in steps],
    "changed": sum(not torch.equal(weight, before[name]) for name, weight in model.named_parameters()),
    "weights": len(before),
}
print(json.dumps(seen), flush=True)
