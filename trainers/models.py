"""Where policies come from: a Hugging Face directory, a GGUF file, or a small Llama-style model built here.

Nothing is fetched: every path is on this machine. A model built here is an ordinary Hugging Face directory that
AutoModelForCausalLM and AutoTokenizer load again. Weights that a directory lacks are an error, never random numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainers.config import LoraConfig, ModelConfig, ScratchConfig
from trainers.tokenizer import train_tokenizer

transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar for a file of 12 MB hides ours

__all__ = [
    "add_lora",
    "blocks",
    "build_model",
    "causal_lm",
    "context_tokens",
    "embedding_shape",
    "load_model",
    "parameter_count",
    "saved_weights",
    "sees_all",
    "untrained",
    "weights_lock",
]


def build_model(directory: Path, corpus: Iterable[str], size: ScratchConfig, seed: int) -> Path:
    """Write a model of `size` with random weights and a tokenizer trained on `corpus`; returns `directory`.

    The same corpus, size and seed give the same files. Raises ValueError where the corpus is empty.
    """
    tokenizer = train_tokenizer(corpus, vocab=size.vocab, context=size.context)
    model = untrained(size, len(tokenizer), seed, end=tokenizer.eos_token_id, pad=tokenizer.pad_token_id)
    _save(directory, model, tokenizer)
    return directory


def untrained(size: ScratchConfig, vocabulary: int, seed: int, *, end: int = 0, pad: int = 0) -> LlamaForCausalLM:
    """A model of `size` with random weights; `end` and `pad` are ids of its tokenizer's."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.ffn,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=size.context,
        tie_word_embeddings=size.tied,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def load_model(
    source: ModelConfig | Path | str,
    *,
    lora: LoraConfig | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    cache: Path | None = None,
) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """The causal LM and the tokenizer at `source`: a Hugging Face directory, a peft adapter's directory, a .gguf file.

    A ModelConfig brings its own lora, dtype and device. A GGUF file is converted once into `cache` (default
    `~/.cache/turnhalle/models`), named by its content. Raises ValueError, in one sentence, where there is no such
    model, weights are missing, or the tokenizer has no end-of-turn token.
    """
    if isinstance(source, ModelConfig):
        if source.path is None:
            raise ValueError("the model has no path; build it first with build_model, or set model.path")
        lora, dtype, device = source.lora, source.dtype, source.device
        source = source.path
    path = Path(source).expanduser()
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device '{device}' is asked for, but torch sees no CUDA device here; use device = 'cpu'")
    if not path.exists():
        raise ValueError(f"there is no model at {path}; give a Hugging Face directory or a .gguf file on this machine")
    if path.is_file():
        path = _converted(path, cache or _cache())
    if (path / "adapter_config.json").is_file():
        model, tokenizer = _load_adapter(path, dtype=dtype, device=device, cache=cache)
    else:
        model, tokenizer = _load_directory(path, dtype), _load_tokenizer(path)
        if lora is not None:
            model = add_lora(model, lora)
    if len(tokenizer) > embedding_shape(model)[0]:
        raise ValueError(f"the tokenizer of {path} has more tokens than its model; the two do not belong together")
    return model.to(device).eval(), tokenizer


def add_lora(model: nn.Module, lora: LoraConfig) -> nn.Module:
    """The model wrapped by peft: adapters on all linear layers, base weights frozen. They start as the identity."""
    import peft

    config = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, config)


def causal_lm(model: nn.Module) -> PreTrainedModel:
    """The Hugging Face model inside, with its adapters in place."""
    inner = getattr(model, "base_model", None) if hasattr(model, "peft_config") else None
    return model if inner is None else inner.model  # type: ignore[return-value]


def blocks(model: nn.Module) -> list[nn.Module]:
    """The layers that belong together on one device, as the model's own class names them, in order."""
    names = {name for part in model.modules() for name in getattr(part, "_no_split_modules", None) or ()}
    return [part for part in model.modules() if type(part).__name__.removeprefix("FSDP") in names]


def context_tokens(model: nn.Module) -> int:
    """Longest sequence the model's positions allow."""
    return int(causal_lm(model).config.get_text_config().max_position_embeddings)


def sees_all(model: nn.Module) -> bool:
    """Whether every layer attends to all tokens before one, by a mask that may be given."""
    config: Any = causal_lm(model).config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return kinds == {"full_attention"} and not window and config._attn_implementation in ("sdpa", "eager")


def embedding_shape(model: nn.Module) -> tuple[int, int]:
    """(V, D): how many ids the model knows, and the width of its states."""
    weight = cast(Tensor, causal_lm(model).get_input_embeddings().weight)
    return weight.shape[0], weight.shape[1]


def parameter_count(model: nn.Module) -> int:
    """Parameters, each tied matrix once."""
    return sum(parameter.numel() for parameter in model.parameters())


def saved_weights(model: nn.Module, path: Path) -> dict[str, Tensor]:
    """What learns of a model of this kind, by its names, as a Hugging Face or peft directory holds it.

    Raises ValueError where that is another model's.
    """
    if hasattr(model, "peft_config"):
        import peft

        held = peft.load_peft_weights(str(path), device="cpu")
        names = {name: name.replace(".default", "") for name, p in model.named_parameters() if p.requires_grad}
    else:
        held = dict(_load_directory(path, "float32").named_parameters())
        names = {name: name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        if name in names and (names[name] not in held or held[names[name]].shape != parameter.shape):
            raise ValueError(f"{path} belongs to another model: it has no {tuple(parameter.shape)} '{name}'")
    return {name: held[there].detach() for name, there in names.items()}


_LOCKS: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


def weights_lock(model: nn.Module) -> threading.RLock:
    """The one lock of a model's weights: held while they change, and while a forward pass samples from them."""
    return _LOCKS.setdefault(causal_lm(model), threading.RLock())


def _save(directory: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Both, under a temporary name first: a directory that is there is whole."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}-"))
    try:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        draft.chmod(0o755)
        if directory.exists():
            shutil.rmtree(directory)
        draft.rename(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _load_directory(path: Path, dtype: str) -> PreTrainedModel:
    if not (path / "config.json").is_file():
        raise ValueError(f"{path} is no model directory: it has no config.json")
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, dtype), local_files_only=True, output_loading_info=True
        )
        model, found = loaded
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path} holds no causal language model that can be loaded: {_first_line(error)}") from error
    if found["missing_keys"] or found["mismatched_keys"]:
        lost = sorted(str(key) for key in [*found["missing_keys"], *found["mismatched_keys"]])
        raise ValueError(f"{path} lacks {len(lost)} of its model's weights, such as {lost[0]}; it was not saved whole")
    return cast(PreTrainedModel, model)


def _load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} has no tokenizer that can be loaded: {_first_line(error)}") from error
    if tokenizer.eos_token_id is None:
        raise ValueError(f"the tokenizer of {path} has no eos token, so a turn could not end; set one in its config")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _load_adapter(
    path: Path, *, dtype: str, device: str, cache: Path | None
) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    import peft

    base = peft.PeftConfig.from_pretrained(str(path)).base_model_name_or_path
    if not base or not Path(base).exists():
        raise ValueError(f"the adapter at {path} was trained on {base}, which is not on this machine")
    model, tokenizer = load_model(base, dtype=dtype, device=device, cache=cache)
    return peft.PeftModel.from_pretrained(model, str(path), is_trainable=True), tokenizer


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "turnhalle" / "models"


def _converted(path: Path, cache: Path) -> Path:
    """The directory a GGUF file was, or now is, converted to."""
    if path.suffix != ".gguf":
        raise ValueError(f"{path} is neither a directory nor a .gguf file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    directory = cache / f"{path.stem}-{digest[:16]}"
    if not directory.exists():
        try:
            import gguf
        except ModuleNotFoundError as error:
            raise ValueError(f"{path} needs the extra: pip install 'turnhalle[gguf]'") from error
        try:
            fields = gguf.GGUFReader(path).fields
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"{path} is no GGUF file that can be read: {_first_line(error)}") from error
        _save(directory, *_from_gguf(path, fields))
    return directory


def _from_gguf(path: Path, fields: dict[str, Any]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer in float32; `fields` is the file's own metadata."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
        read = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{path} holds no model that can be converted: {_first_line(error)}") from error
    finally:
        transformers.logging.set_verbosity(before)
    # The file's own ids bind: some versions of transformers guess another end-of-turn token.
    end = fields.get("tokenizer.ggml.eos_token_id")
    if end is None:
        raise ValueError(f"{path} does not say which token ends a turn (tokenizer.ggml.eos_token_id)")
    pad = fields.get("tokenizer.ggml.padding_token_id") or end
    tokenizer = _cut_to(tokenizer, embedding_shape(read)[0])
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(int(end.contents()))
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(int(pad.contents()))
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # save_pretrained refuses a model that says it is quantised
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.load_state_dict(read.state_dict())
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def _cut_to(tokenizer: Any, vocabulary: int) -> Any:
    """The tokenizer without the special tokens that transformers adds to every GGUF file beyond its vocabulary."""
    if len(tokenizer) <= vocabulary:
        return tokenizer
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    parts["added_tokens"] = [token for token in parts["added_tokens"] if token["id"] < vocabulary]
    cut = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(parts)), clean_up_tokenization_spaces=False
    )
    bos = tokenizer.bos_token
    cut.bos_token = bos if bos in cut.get_vocab() else None
    cut.chat_template = tokenizer.chat_template
    return cut


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
