"""The learner: forward passes with gradients, and the optimizer that turns gradients into weights.

Logits are computed only at the states whose next id the policy sampled. Rows are padded on the right, so causal
attention needs no mask. What comes back lies on the device of the batch. The same seed, batches and machine give the
same weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainers import checkpoint, shards
from trainers.algorithms.base import Forward, Metrics
from trainers.batch import Batch
from trainers.config import LearnerConfig
from trainers.critic import Critic
from trainers.models import weights_lock
from trainers.reader import Reader, recomputed

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
        mesh: DeviceMesh | None = None,
    ) -> None:
        """`model` is moved to `device` and changed in place; adapters alone learn where it has them.

        `reference` keeps the weights of this moment, or of the last `rebase`, for `forward`. `tokenizer` is saved
        beside the model, so that a checkpoint is a whole Hugging Face directory. On a `mesh` each of its processes
        keeps a share of every weight, and all of them have to make the same calls; the first one's weights count.
        """
        self.config = config
        self.device = torch.device(device)
        self.mesh = mesh
        self.model = shards.placed(model, self.device).eval()
        self.tokenizer = tokenizer
        if config.recompute:
            recomputed(model)
        self.critic = shards.placed(Critic(model, autocast=config.autocast), self.device).eval() if critic else None
        self.reader = Reader(model, autocast=config.autocast, packing=config.packing)
        if mesh is not None:
            self.reader.plain_head = shards.agreed(self.reader.plain_head, self.device)
            for part in (self.reader, self.critic):
                if part is not None:
                    shards.shard(part, mesh, self.device, half=config.autocast)
        self.version = 0
        """Optimizer steps taken."""
        self.skipped = 0
        """Optimizer steps not taken, because the gradient was not finite."""
        self.phase_start = 0
        """The version at which the schedule began."""
        self._lock = weights_lock(model)
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
    def processes(self) -> int:
        """Among which the rows of a batch are dealt, the longest first."""
        return 1

    @property
    def reference(self) -> Mapping[str, Tensor]:
        """The frozen reference policy: a copy of every weight that learns; empty where none is kept."""
        return self._reference

    def weights(self) -> dict[str, Tensor]:
        """The policy's weights that learn, by the model's names, in the first process; one alone shares memory."""
        return shards.learned(self.model, self.mesh)

    def rebase(self) -> None:
        """What is learned so far becomes the start: a fresh optimizer and schedule, the reference is the policy now."""
        self.phase_start = self.version
        self.optimizer = self.fresh_optimizer()
        if self._keeps_reference:
            self._reference = {n: p.detach().clone() for n, p in self.model.named_parameters() if p.requires_grad}

    def forward(self, batch: Batch, needs: frozenset[str] = frozenset()) -> Forward:
        """What `needs` names (`Need`), and the log-probabilities, (B, L).

        All but values are 0 where the policy did not sample. Raises ValueError for greedy samples, whose distribution
        has no gradient, and where a reference or critic is needed that was not kept.
        """
        self._refuse(batch, needs)
        home, here = batch.ids_BL.device, batch.to(self.device)
        asked = (here.ids_BL, here.mask_BL, here.temperature_B)
        lengths = here.real_BL.sum(1).tolist() if self.config.packing else ()
        read = self.reader(*asked, needs, lengths)
        reference_BL = value_BL = None
        if "reference" in needs:
            # Its weights are in the module's place, where others sample.
            with torch.no_grad(), self._lock, self._replaced() as weights:
                reference_BL = self.reader(*asked, lengths=lengths, weights=weights).logp_BL.to(home)
        if "value" in needs:
            assert self.critic is not None
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
                norms[name] = float(shards.whole(norm))
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

    def close(self) -> None:
        """Nothing more is learned; safe to call twice."""

    def _refuse(self, batch: Batch, needs: frozenset[str]) -> None:
        if not bool((batch.temperature_B > 0).all()):
            raise ValueError("samples drawn at temperature 0 cannot be trained on; play with a temperature above 0")
        if "reference" in needs and not self._reference:
            raise ValueError("the loss needs a reference policy, but this learner keeps none")
        if "value" in needs and self.critic is None:
            raise ValueError("the loss needs values, but this learner has no critic")

    @contextmanager
    def _replaced(self) -> Iterator[Mapping[str, Tensor]]:
        """While the reference is read: the weights to read in the place of the model's.

        A share of a weight cannot be passed by the side, so it is put in its place; nobody else reads shares.
        """
        if self.mesh is None:
            yield self._reference
            return
        own = {name: p.detach() for name, p in self.model.named_parameters() if name in self._reference}
        kept = {name: share.clone() for name, share in own.items()}
        try:
            shards.put(own, self._reference)
            yield {}
        finally:
            shards.put(own, kept)

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
