"""What one process and two are asked alike by test_crew.py: `python crew_play.py MODEL OUT [OTHER]` under torchrun.

What came of a case is written to OUT/<case>; OTHER is an OUT whose checkpoints are gone on from.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from test_learner import batch
from torch import Tensor

from trainers import channel, crew
from trainers.config import LearnerConfig, LoraConfig
from trainers.learner import Learner
from trainers.models import load_model

WANTED = frozenset({"entropy", "reference", "value", "greedy"})
CASES: dict[str, dict[str, object]] = {
    "full": {"weight_decay": 0.1, "recompute": True},
    "lora": {"lora": LoraConfig(r=3)},  # three rows of an adapter do not divide by two
    "autocast": {"autocast": True},
}


RESUMED = ("full", "lora")


def learner(model: Path, settings: dict[str, object]) -> Learner:
    torch.manual_seed(0)
    rest = {name: value for name, value in settings.items() if name != "lora"}
    policy, tokenizer = load_model(model, lora=settings.get("lora"))  # type: ignore[arg-type]
    config = LearnerConfig(**{"lr": 1e-3} | rest)  # type: ignore[arg-type]
    return crew.learner_for(policy, config, device="cpu", reference=True, critic=True, tokenizer=tokenizer)


def train(one: Learner, *seeds: int) -> list[float]:
    """Steps of two batches each, with every term a loss may have; the losses and the norms."""
    found = []
    for seed in seeds:
        shown = [batch(rows, seed=seed + rows) for rows in (5, 1)]  # of the second, one process has no row
        read = [one.forward(part, WANTED) for part in shown]
        for part, forward in zip(shown, read, strict=True):
            loss = -(forward.logp_BL * (forward.logp_BL - forward.reference_BL).exp()).sum() - forward.entropy_BL.sum()
            loss = (loss + ((forward.value_BL - 1) ** 2 * part.mask_BL).sum()) / part.sampled_tokens
            one.backward(loss / 2)
            found.append(float(loss.detach()))
        with torch.no_grad():
            found.append(float(one.forward(shown[0]).logp_BL.sum()))
        metrics = one.step()
        found += [metrics["learner/grad_norm"], metrics["learner/critic_grad_norm"]]
    forward = one.forward(shown[0], frozenset({"value"}))
    one.backward(
        (forward.value_BL**2 * shown[0].mask_BL).sum()
    )  # a critic that learns alone leaves the policy as it is
    one.step()
    return found


def main(model: Path, out: Path, other: Path | None = None) -> None:
    """Play every case; where there are checkpoints of others, go on from those, too."""
    for case, settings in CASES.items():
        one = learner(model, settings)
        losses = train(one, 0)
        one.save(out / case / "saved")
        (out / case / "before.json").write_text(json.dumps(losses))
        keep(out / case, one, train(one, 7))
    for case in RESUMED if other else ():
        resume(model, case, other / case / "saved", out / case / "resumed")


def resume(model: Path, case: str, saved: Path, out: Path) -> None:
    """The last step again, from a checkpoint."""
    one = learner(model, CASES[case])
    one.load(saved)
    keep(out, one, train(one, 7))


def keep(out: Path, one: Learner, losses: list[float]) -> None:
    weights: dict[str, Tensor] = {name: tensor.contiguous() for name, tensor in one.weights().items()}
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "weights.safetensors")
    (out / "losses.json").write_text(json.dumps(losses))
    one.close()


if __name__ == "__main__":
    model, out, *others = map(Path, sys.argv[1:])
    if channel.rank():
        for _ in range(len(CASES) + len(RESUMED) * len(others)):
            crew.serve()
    else:
        main(model, out, *others)
