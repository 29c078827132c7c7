"""Building, loading and refusing models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import SIZE, corpus, tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from trainers.config import LoraConfig, ModelConfig, ScratchConfig
from trainers.models import build_model, context_tokens, load_model, parameter_count
from trainers.tokenizer import train_tokenizer


def test_a_built_model_is_an_ordinary_hugging_face_directory() -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model(), local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(), local_files_only=True)
    assert model.config.eos_token_id == tokenizer.eos_token_id != tokenizer.pad_token_id
    assert len(tokenizer) == model.config.vocab_size <= SIZE.vocab


def test_the_same_corpus_size_and_seed_give_the_same_weights(tmp_path: Path) -> None:
    again = build_model(tmp_path / "again", corpus(), SIZE, seed=0)
    other = build_model(tmp_path / "other", corpus(), SIZE, seed=1)
    first = load_file(tiny_model() / "model.safetensors")
    same, different = load_file(again / "model.safetensors"), load_file(other / "model.safetensors")
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], different["model.embed_tokens.weight"])


def test_every_text_survives_the_tokenizer() -> None:
    _, tokenizer = load_model(tiny_model())
    for text in ("open fridge", "  two  spaces\n\ttab", "ünïcödé 漢字 🗝", "\x00\x1b[2J", "1234 5"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_ids_of_a_longer_chat_begin_with_those_of_the_shorter() -> None:
    _, tokenizer = load_model(tiny_model())
    chat = [{"role": "system", "content": "You play."}, {"role": "user", "content": "A door."}]
    shorter = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True)["input_ids"]
    chat += [{"role": "assistant", "content": "open door"}, {"role": "tool", "content": "It is open."}]
    longer = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True)["input_ids"]
    assert longer[: len(shorter)] == shorter
    assert tokenizer.decode(longer).endswith("open door<|end|><|user|>It is open.<|end|><|assistant|>")


def test_an_empty_corpus_is_refused() -> None:
    with pytest.raises(ValueError, match="no text"):
        train_tokenizer([], vocab=300, context=64)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="kv_heads = 3"):
        ScratchConfig(hidden=64, heads=4, kv_heads=3)
    with pytest.raises(ValueError, match="even multiple of heads"):
        ScratchConfig(hidden=65, heads=4)


def test_adapters_start_as_the_identity_and_are_all_that_learns() -> None:
    plain, _ = load_model(tiny_model())
    adapted, _ = load_model(ModelConfig(path=tiny_model(), lora=LoraConfig(r=4, alpha=8)))
    ids_BL = torch.arange(5, 25)[None]
    assert torch.equal(plain(ids_BL).logits, adapted(ids_BL).logits)
    learning = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert learning
    assert all("lora_" in name for name in learning)
    assert context_tokens(adapted) == SIZE.context
    assert parameter_count(adapted) > parameter_count(plain)


def test_a_saved_adapter_loads_with_its_base(tmp_path: Path) -> None:
    adapted, _ = load_model(tiny_model(), lora=LoraConfig(r=4))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    adapted.save_pretrained(tmp_path)  # type: ignore[operator]
    again, tokenizer = load_model(tmp_path)
    ids_BL = torch.arange(5, 25)[None]
    assert torch.equal(again(ids_BL).logits, adapted(ids_BL).logits)
    assert tokenizer.eos_token == "<|end|>"


def test_what_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no model at"):
        load_model(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"no config\.json"):
        load_model(tmp_path)
    with pytest.raises(ValueError, match="build it first"):
        load_model(ModelConfig())
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"neither a directory nor a \.gguf file"):
        load_model(tmp_path / "weights.bin")
    (tmp_path / "bad.gguf").write_bytes(b"GGUFnot really")
    with pytest.raises(ValueError, match="no GGUF file"):
        load_model(tmp_path / "bad.gguf", cache=tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            load_model(tiny_model(), device="cuda")


def test_weights_that_are_missing_are_never_made_up(tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_model(), tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 of its model's weights, such as model\.layers\.1\.mlp\.up_proj"):
        load_model(broken)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_model(), tmp_path / "broken")
    whole = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="no causal language model that can be loaded"):
        load_model(broken)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    mixed = shutil.copytree(tiny_model(), tmp_path / "mixed")
    train_tokenizer([*corpus(), *corpus(1), "zebra quartz " * 9], vocab=2000, context=512).save_pretrained(mixed)
    with pytest.raises(ValueError, match="do not belong together"):
        load_model(mixed)


def write_gguf(path: Path, directory: Path) -> None:
    """The model of a directory as an unquantised GGUF file, the way llama.cpp's converter lays it out."""
    import gguf

    config = json.loads((directory / "config.json").read_text())
    tokens = json.loads((directory / "tokenizer.json").read_text())
    vocabulary = sorted(tokens["model"]["vocab"].items(), key=lambda item: item[1])
    special = {item["content"] for item in tokens["added_tokens"]}
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([token for token, _ in vocabulary])
    kinds = (gguf.TokenType.CONTROL, gguf.TokenType.NORMAL)
    writer.add_token_types([kinds[token not in special] for token, _ in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in tokens["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_chat_template((directory / "chat_template.jinja").read_text())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, tensor in load_file(directory / "model.safetensors").items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            n = heads if name.endswith("q_proj.weight") else kv_heads
            tensor = tensor.view(n, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        found = names.get_name(name, try_suffixes=(".weight",))
        assert found is not None, name
        writer.add_tensor(found, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_becomes_a_directory_once_and_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="needs the extra [gguf]")
    write_gguf(tmp_path / "tiny.gguf", tiny_model())
    plain, spoken = load_model(tiny_model())
    model, tokenizer = load_model(tmp_path / "tiny.gguf", cache=tmp_path / "cache")
    ids_BL = torch.tensor([spoken.encode("You see a lamp.", add_special_tokens=False)])
    assert torch.allclose(model(ids_BL).logits, plain(ids_BL).logits, atol=1e-5)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|end|>", "<|pad|>")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id  # type: ignore[union-attr]
    [converted] = (tmp_path / "cache").iterdir()
    written = (converted / "model.safetensors").stat().st_mtime_ns
    load_model(tmp_path / "tiny.gguf", cache=tmp_path / "cache")
    assert (converted / "model.safetensors").stat().st_mtime_ns == written
