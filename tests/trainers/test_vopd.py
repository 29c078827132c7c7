"""On-policy distillation with its closed-form baseline."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from by_hand import algorithm, batch, row
from runs import config, rows
from tiny import tiny_model

from trainers.algorithms.vopd import Vopd
from trainers.loop import train
from trainers.mentor import Mentor, common

STUDENT = torch.tensor([[0.5, 0.25, 0.25]]).log()
TEACHER = torch.tensor([[0.25, 0.25, 0.5]]).log()
"""r = log(1/2), 0, log 2; V = 0.5 log(1/2) + 0.25 log 2 = -0.25 log 2."""
LOG2 = math.log(2)


def advantage(of, **settings):
    return algorithm(Vopd, **settings).advantage(STUDENT, TEACHER, torch.tensor([of])).item()


def test_the_advantage_is_the_log_ratio_less_its_expectation():
    assert advantage(0) == pytest.approx(-LOG2 + 0.25 * LOG2)
    assert advantage(1) == pytest.approx(0.25 * LOG2)
    assert advantage(2) == pytest.approx(LOG2 + 0.25 * LOG2)


def test_the_baseline_is_exact_so_that_advantages_average_to_nothing():
    mean = sum(float(STUDENT[0, v].exp()) * advantage(v) for v in range(3))
    assert mean == pytest.approx(0.0, abs=1e-6)


def test_without_the_baseline_it_is_distillation_by_samples():
    assert advantage(2, baseline="none") == pytest.approx(LOG2)


def test_the_expectation_can_be_over_the_students_likeliest_ids():
    # The top two are 0 and one of the others; a teacher of 0.25, 0.25 for 0 and 1.
    student, teacher = torch.tensor([[0.6, 0.3, 0.1]]).log(), torch.tensor([[0.2, 0.2, 0.6]]).log()
    found = algorithm(Vopd, top=2).advantage(student, teacher, torch.tensor([1])).item()
    value = 2 / 3 * math.log(0.5 / (2 / 3)) + 1 / 3 * math.log(0.5 / (1 / 3))
    assert found == pytest.approx(math.log(0.2 / 0.3) - value, rel=1e-5)
    assert algorithm(Vopd, top=3).advantage(student, teacher, torch.tensor([1])).item() == pytest.approx(
        algorithm(Vopd).advantage(student, teacher, torch.tensor([1])).item()
    )


def test_embeddings_of_another_size_are_compared_on_what_both_know():
    padded = torch.tensor([[0.25, 0.25, 0.25, 0.25]]).log()
    one, other = common(STUDENT, padded)
    assert one.exp().tolist() == [pytest.approx([0.5, 0.25, 0.25])]
    assert other.exp().tolist() == [pytest.approx([1 / 3] * 3)]


class Echo:
    """A teacher that says what it was told to."""

    def __init__(self, distribution_SV):
        self._distribution_SV = distribution_SV

    def distribution(self, batch, device):
        return self._distribution_SV


def test_prepare_gives_each_sampled_token_its_own_advantage_and_the_tasks_beside_it(tiny_learner):
    found = batch(row([None, 0.5, None, -0.5]))
    student_SV = tiny_learner.forward(found, frozenset({"distribution"})).distribution_SV.detach()
    teacher_SV = torch.log_softmax(torch.arange(32.0).expand(2, -1) / 9, -1)
    vopd = algorithm(Vopd, reward=2.0)
    vopd.mentor = Echo(teacher_SV)
    [prepared] = vopd.prepare(tiny_learner, [found])
    ids = found.ids_BL[0, [1, 3]]
    expected = vopd.advantage(student_SV, teacher_SV, ids) + 2.0 * torch.tensor([0.5, -0.5])
    assert torch.allclose(prepared.advantage_BL[0, [1, 3]], expected)
    assert prepared.advantage_BL[0, [0, 2]].tolist() == [0.0, 0.0]


def test_the_gradient_with_the_baseline_is_that_of_the_kl_on_average(tiny_learner):
    # sum_v p(v) A(v) grad log p(v) = -grad KL(pi_S || pi_T), for any teacher.
    logits_V = torch.tensor([0.4, -0.3, 0.1], requires_grad=True)
    logp_V = torch.log_softmax(logits_V, -1)
    kl = (logp_V.exp() * (logp_V - TEACHER[0])).sum()
    [expected] = torch.autograd.grad(kl, logits_V, retain_graph=True)
    vopd = algorithm(Vopd)
    with torch.no_grad():
        weight_V = torch.stack([vopd.advantage(logp_V[None], TEACHER, torch.tensor([v]))[0] for v in range(3)])
        weight_V = weight_V * logp_V.exp()
    [found] = torch.autograd.grad(-(weight_V * logp_V).sum(), logits_V)
    assert torch.allclose(found, expected, atol=1e-6)


async def test_a_policy_that_is_its_teacher_has_nothing_to_learn(gym_url: str, tmp_path: Path):
    table = f"algorithm={{name = 'vopd', teacher = '{tiny_model()}'}}"
    same = await train(config(tmp_path / "same", gym_url, table, "steps=1", "eval.every=0"))
    [row] = [row for row in rows(same) if row["step"] == 1]
    assert row["learner/grad_norm"] == pytest.approx(0.0, abs=1e-5)


async def test_a_run_without_a_teacher_or_with_another_tokenizers_is_refused_before_play(gym_url: str, tmp_path: Path):
    earlier = config(tmp_path, gym_url).directory / "metrics.jsonl"
    earlier.parent.mkdir()
    earlier.write_text("an earlier run's")
    with pytest.raises(ValueError, match=r"give algorithm.teacher=DIR"):
        await train(config(tmp_path, gym_url, "algorithm={name = 'vopd'}"))
    with pytest.raises(ValueError, match=r"there is no model at"):
        await train(config(tmp_path, gym_url, "algorithm={name = 'vopd', teacher = '/nowhere'}"))
    assert earlier.read_text() == "an earlier run's"

    class Other:
        def get_vocab(self):
            return {"a": 0}

    with pytest.raises(ValueError, match=r"another tokenizer than the policy"):
        Mentor(tiny_model(), Other())


def test_a_row_that_the_teacher_cannot_read_is_refused(tiny_learner):
    from transformers import AutoTokenizer

    mentor = Mentor(tiny_model(), AutoTokenizer.from_pretrained(tiny_model()))
    long = batch(row([None, *[1.0] * 5000]))
    long = replace(long, ids_BL=long.ids_BL.clamp(max=5))
    with pytest.raises(ValueError, match=r"reads \d+ tokens, and an episode has 5001"):
        mentor.distribution(long, torch.device("cpu"))
