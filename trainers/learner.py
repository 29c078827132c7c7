"""The learner: forward passes with gradients, and the optimizer that turns gradients into weights.

Logits are computed only at the states whose next id the policy sampled. Rows are padded on the right, so causal
attention needs no mask. What comes back lies on the device of the batch. The same seed, batches and machine give the
same weights.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainers import checkpoint
from trainers.algorithms.base import Forward, Metrics
from trainers.batch import Batch, Read, sampled_logprobs
from trainers.config import LearnerConfig
from trainers.critic import Critic
from trainers.models import causal_lm, weights_lock

__all__ = ["Learner"]


class Learner:
    """The policy's weights while they change; the critic's and the frozen reference's with them."""

    def __init__(
        self,
        model: nn.Module,
        config: LearnerConfig,
        *,
        device: str | torch.device = "cpu",
        reference: bool = False,
        critic: bool = False,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        """`model` is moved to `device` and changed in place; adapters alone learn where it has them.

        `reference` keeps the weights of this moment, or of the last `rebase`, for `forward`. `tokenizer` is saved
        beside the model, so that a checkpoint is a whole Hugging Face directory.
        """
        self.config = config
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self.critic = Critic(model).to(self.device).eval() if critic else None
        self.version = 0
        """Optimizer steps taken."""
        self.skipped = 0
        """Optimizer steps not taken, because the gradient was not finite."""
        self.phase_start = 0
        """The version at which the schedule began."""
        self._policy: Any = causal_lm(model)
        self._lock = weights_lock(model)
        self._plain_head = self._head_is_plain()
        self._keeps_reference = reference
        self._reference: dict[str, Tensor] = {}
        self.rebase()

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """What learns: the policy's by their names in the model, the critic's as `critic.<name>`."""
        found = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        if self.critic is not None:
            found |= {f"critic.{name}": p for name, p in self.critic.named_parameters() if p.requires_grad}
        return found

    @property
    def reference(self) -> Mapping[str, Tensor]:
        """The frozen reference policy: a copy of every weight that learns; empty where none is kept."""
        return self._reference

    def weights(self) -> dict[str, Tensor]:
        """The policy's weights that learn, by the model's names; they share its memory."""
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def rebase(self) -> None:
        """What is learned so far becomes the start: a fresh optimizer and schedule, the reference is the policy now."""
        self.phase_start = self.version
        self.optimizer = self.fresh_optimizer()
        if self._keeps_reference:
            self._reference = {name: tensor.clone() for name, tensor in self.weights().items()}

    def forward(self, batch: Batch, needs: frozenset[str] = frozenset()) -> Forward:
        """What `needs` names (`Need`), and the log-probabilities, (B, L).

        All but values are 0 where the policy did not sample. Raises ValueError for greedy samples, whose distribution
        has no gradient, and where a reference or critic is needed that was not kept.
        """
        if not bool((batch.temperature_B > 0).all()):
            raise ValueError("samples drawn at temperature 0 cannot be trained on; play with a temperature above 0")
        home, here = batch.ids_BL.device, batch.to(self.device)
        read = self._read(here, {}, needs)
        reference_BL = value_BL = None
        if "reference" in needs:
            if not self._reference:
                raise ValueError("the loss needs a reference policy, but this learner keeps none")
            with torch.no_grad(), self._lock:  # its weights are in the module's place, where others sample
                reference_BL = self._read(here, self._reference).logp_BL.to(home)
        if "value" in needs:
            if self.critic is None:
                raise ValueError("the loss needs values, but this learner has no critic")
            with self._autocast():
                value_BL = self.critic(here.ids_BL).to(home)
        return Forward(
            logp_BL=read.logp_BL.to(home),
            entropy_BL=None if read.entropy_BL is None else read.entropy_BL.to(home),
            reference_BL=reference_BL,
            value_BL=value_BL,
            greedy_BL=None if read.greedy_BL is None else read.greedy_BL.to(home),
            distribution_SV=None if read.distribution_SV is None else read.distribution_SV.to(home),
        )

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradient to what the next step uses."""
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]

    def step(self, lr_scale: float = 1.0, *, lr: float | None = None) -> Metrics:
        """One optimizer step with the gradients so far, at the schedule's rate times `lr_scale`; or at rate `lr`.

        A gradient that is not finite is dropped and counted. Waits while a sampler reads the weights.
        """
        norms, finite = {}, True
        for name, group in (("policy", self._own(critic=False)), ("critic", self._own(critic=True))):
            if group:
                norm = torch.nn.utils.clip_grad_norm_(group, self.config.grad_clip)
                norms[name] = float(norm)
                finite = finite and math.isfinite(norms[name])
        factor = lr_scale * (self.schedule(self.version - self.phase_start) if lr is None else lr / self.config.lr)
        for settings in self.optimizer.param_groups:
            settings["lr"] = settings["peak"] * factor
        if finite:
            with self._lock:
                self.optimizer.step()
            self.version += 1
        else:
            self.skipped += 1
        self.optimizer.zero_grad(set_to_none=True)
        metrics = {
            "learner/grad_norm": norms.get("policy", 0.0),
            "learner/lr": self.config.lr * factor,
            "learner/skipped": 0.0 if finite else 1.0,
        }
        if "critic" in norms:
            metrics["learner/critic_grad_norm"] = norms["critic"]
        return metrics

    def schedule(self, step: int) -> float:
        """Share of the peak learning rate at an optimizer step of this phase, counted from 0."""
        config = self.config
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        if config.schedule == "constant" or config.total_steps is None:
            return 1.0
        done = min((step - config.warmup_steps) / max(config.total_steps - config.warmup_steps, 1), 1.0)
        left = (1 + math.cos(math.pi * done)) / 2 if config.schedule == "cosine" else 1 - done
        return config.floor + (1 - config.floor) * left

    def save(self, directory: Path) -> None:
        """Write all of it into a directory; see `checkpoint` for the files."""
        checkpoint.save(self, directory)

    def load(self, directory: Path) -> None:
        """Go on as the learner that was saved. Raises ValueError for a checkpoint of another model."""
        with self._lock:
            checkpoint.load(self, directory)

    def restore_reference(self, weights: dict[str, Tensor]) -> None:
        """Put a saved reference back."""
        self._reference = {name: tensor.to(self.device) for name, tensor in weights.items()}

    def _read(self, batch: Batch, weights: Mapping[str, Tensor], needs: frozenset[str] = frozenset()) -> Read:
        """What the model, some of its weights replaced, says of the batch's sampled ids."""
        with self._autocast():
            states_BLX = self._call(weights, batch.ids_BL, trunk_only=self._plain_head)
            head = self._head(weights) if self._plain_head else nn.Identity()
            return sampled_logprobs(states_BLX, head, batch.ids_BL, batch.mask_BL, batch.temperature_B, needs)

    def _call(self, weights: Mapping[str, Tensor], ids_BL: Tensor, *, trunk_only: bool) -> Tensor:
        """(B, L, D) hidden states of the trunk, or (B, L, V) logits of the model."""
        inner = self._policy.base_model if trunk_only else self._policy
        prefix = _name_of(self.model, inner)
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        out: Any = functional_call(inner, own, (), {"input_ids": ids_BL, "use_cache": False})
        found: Tensor = out.last_hidden_state if trunk_only else out.logits
        return found

    def _head(self, weights: Mapping[str, Tensor]) -> Any:
        """The output embedding, maybe with other weights; a tied one is replaced by its input twin."""
        head = self._policy.get_output_embeddings()
        assert head is not None
        by_storage = {p.data_ptr(): weights[name] for name, p in self.model.named_parameters() if name in weights}
        own = {name: by_storage[p.data_ptr()] for name, p in head.named_parameters() if p.data_ptr() in by_storage}
        return lambda hidden_SD: functional_call(head, own, (hidden_SD,))

    @torch.no_grad()
    def _head_is_plain(self) -> bool:
        """Whether the logits are the output embedding of the trunk's states, with nothing done to them after."""
        if self._policy.get_output_embeddings() is None:
            return False
        ids_BL = torch.arange(4, device=self.device)[None]
        hidden_BLD = self._policy.base_model(input_ids=ids_BL, use_cache=False).last_hidden_state
        logits_BLV = self._policy(input_ids=ids_BL, use_cache=False).logits
        return torch.allclose(self._policy.get_output_embeddings()(hidden_BLD), logits_BLV, rtol=1e-3, atol=1e-4)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if not self.config.autocast:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _own(self, *, critic: bool) -> list[nn.Parameter]:
        return [p for name, p in self.parameters.items() if name.startswith("critic.") == critic]

    def fresh_optimizer(self) -> torch.optim.AdamW:
        """An optimizer without moments over all that learns."""
        critic_lr = self.config.critic_lr or 10 * self.config.lr
        groups = []
        for critic, peak in ((False, self.config.lr), (True, critic_lr)):
            for matrices in (True, False):
                own = [p for p in self._own(critic=critic) if (p.ndim >= 2) == matrices]
                decay = self.config.weight_decay if matrices else 0.0
                if own:
                    groups.append({"params": own, "lr": peak, "peak": peak, "weight_decay": decay})
        return torch.optim.AdamW(groups, betas=self.config.betas, fused=True)


def _name_of(model: nn.Module, inner: nn.Module) -> str:
    """Prefix of the names of `inner`'s parameters in `model`."""
    name = next(name for name, module in model.named_modules() if module is inner)
    return f"{name}." if name else ""
