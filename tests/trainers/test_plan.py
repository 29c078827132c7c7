"""What a plan says, on numbers worked out by hand, and what its costs are measured from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import SIZE, tiny_model

from trainers import recipe
from trainers.costs import Costs, worst_bytes
from trainers.models import load_model
from trainers.plan import Plan, Setting, machine_bytes
from trainers.planning import planned
from trainers.plugged import BadConfig

COSTS = Costs(
    parameters=100,
    weight_bytes=400,
    learned_bytes=400,
    cached_token_bytes=2.0,
    trained_token_bytes=10.0,
    read_tokens_per_s=100.0,
    drawn_tokens_per_s=10.0,
    trained_tokens_per_s=50.0,
    step_s=0.5,
    row_tokens=16,
)
SETTING = Setting(
    memory_bytes=10_000,
    processes=1,
    context=100,
    longest=1000,
    sessions=4,
    micro_tokens=200,
    episodes=8,
    sampled_tokens=20,
    passes=2,
    updates=4,
    reference=False,
    critic=False,
    served=False,
    apart=False,
    teacher_bytes=0,
)


def test_the_memory_of_a_run_is_the_sum_of_its_parts() -> None:
    # 400 weights, 400 gradients, 800 moments, 200 tokens x 10, 4 x 100 tokens x 2
    assert Plan(COSTS, SETTING).needed_bytes == 400 + 400 + 800 + 2000 + 800
    assert Plan(COSTS, replace(SETTING, reference=True)).needed_bytes == 4400 + 400
    assert Plan(COSTS, replace(SETTING, critic=True)).needed_bytes == 4400 + 400 + 3 * 400
    assert Plan(COSTS, replace(SETTING, served=True)).needed_bytes == 4400 - 800
    assert Plan(COSTS, replace(SETTING, apart=True)).needed_bytes == 4400 + 400
    assert Plan(COSTS, replace(SETTING, teacher_bytes=70)).needed_bytes == 4400 + 70
    # halves of what the learner keeps, and the sampler's whole weights
    assert Plan(COSTS, replace(SETTING, processes=2)).needed_bytes == 800 + 400 + 2000 + 800


def test_it_says_how_much_more_would_fit() -> None:
    plan = Plan(COSTS, SETTING)
    assert plan.room_bytes == 9000
    assert plan.fits
    # 9000 - 3600 = 5400 for sessions of 200; 9000 - 1600 - 2000 = 5400 of 8 a token, until a row outgrows a batch:
    # 1600 + 18 c <= 9000; and 9000 - 2400 = 6600 of 10
    assert dict(plan.most()) == {"engine.max_sessions": 27, "context": 411, "learner.micro_tokens": 660}
    assert dict(Plan(COSTS, replace(SETTING, longest=300)).most())["context"] == 300
    small = Plan(COSTS, replace(SETTING, memory_bytes=1000))
    assert not small.fits
    assert dict(small.most()) == {"engine.max_sessions": 0, "context": 0, "learner.micro_tokens": 0}
    assert "no context fits" in small.text()


def test_a_step_takes_as_long_as_its_tokens() -> None:
    times = dict(Plan(COSTS, SETTING).times())
    assert times == {
        "reading prompts": 8 * 80 / 100,
        "drawing answers": 8 * 20 / 10,
        "forward and backward": 2 * 8 * 100 / 50,
        "optimizer": 4 * 0.5,
    }
    assert dict(Plan(COSTS, replace(SETTING, processes=4)).times())["forward and backward"] == 8


def run(*pairs: str) -> recipe.RunConfig:
    table = {"name": "plan", "env": {"name": "keydoor"}, "model": {"scratch": SIZE.model_dump()}}
    quick = ("engine.max_sessions=2", "sampling.concurrency=2", "engine.context_tokens=64", "learner.micro_tokens=128")
    return recipe.resolve(table, [*quick, *pairs])


def test_a_token_costs_what_is_measured_with_the_runs_own_model() -> None:
    found = planned(run(), context=None, memory_gib=1.0, processes=1)
    # keys and values of 2 layers of 2 heads of 16 numbers
    assert found.costs.cached_token_bytes == 2 * 2 * 2 * 16 * 4
    assert found.setting.context == 64
    assert found.costs.weight_bytes == 4 * found.costs.parameters == found.costs.learned_bytes
    assert not {"sampler's weights", "teacher"} & {line.what for line in found.memory()}
    taught = f"algorithm={{name = 'vopd', teacher = '{tiny_model()}', teacher_dtype = 'bfloat16'}}"
    asked = run("learner.recompute=true", "sampling.staleness=1", taught)
    again = planned(asked, context=None, memory_gib=1.0, processes=1)
    held = {line.what: line.bytes for line in again.memory()}
    assert held["sampler's weights"] == again.costs.weight_bytes
    assert held["teacher"] == sum(p.numel() * 2 for p in load_model(tiny_model())[0].parameters())
    assert again.costs.trained_token_bytes < 0.8 * found.costs.trained_token_bytes
    adapted = planned(run("model.lora.r=2", "algorithm.kl=0.1"), context=32, memory_gib=1.0, processes=1)
    assert adapted.costs.learned_bytes < found.costs.learned_bytes / 5
    assert "reference policy" in {line.what for line in adapted.memory()}
    assert min(found.costs.read_tokens_per_s, found.costs.drawn_tokens_per_s, found.costs.trained_tokens_per_s) > 0


def test_what_a_pass_holds_at_its_worst_is_counted() -> None:
    def work() -> None:
        kept = torch.ones(1000)  # 4000 bytes
        kept.view(10, 100)  # no bytes of its own
        torch.ones(500)  # gone at once: 2000
        other = kept + 1  # 4000
        del kept
        other.mul_(2)
        (other * 2).sum()  # 4000 and 4

    assert worst_bytes(work, torch.device("cpu")) == 8004


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(BadConfig, match="512 positions"):
        planned(run(), context=600, memory_gib=1.0, processes=1)
    assert machine_bytes("cpu") > 2**28
