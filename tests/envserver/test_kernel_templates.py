"""Kernels from templates: what three words become, and what an attempt is told."""

from __future__ import annotations

from itertools import product

import pytest

from envserver import Action, Task
from envserver.envs import kernel, kernel_templates
from envserver.envs._kernel import kept as kept_module
from envserver.envs._kernel import lint
from envserver.envs._kernel.compiling import wanted
from envserver.envs._kernel.evaluate import Plan, evaluate, missing
from envserver.envs._kernel.kept import kept
from envserver.envs._kernel.templates import (
    BODIES,
    MANNERS,
    ORDERS,
    PROBLEMS,
    Template,
    reference,
    submission,
    template,
)
from envserver.envs._kernel.verdict import Verdict
from envserver.envs.kernel_templates import KernelTemplates

runs = pytest.mark.skipif(bool(missing(Plan())), reason=missing(Plan()) or "")
GOOD = Verdict("", "Fine.", True, True, speedup=2.5, speedup_low=2.0, coverage=0.75)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answers that were asked about; `split` ones are wrong, all others are good."""
    asked: list[str] = []

    def judge(source: str, answer: str, plan: Plan) -> Verdict:
        asked.append(answer)
        return Verdict("values", "Wrong.", True) if "torch.empty(R, C), R" in answer else GOOD

    monkeypatch.setattr(kernel_templates, "kept", judge)
    monkeypatch.setattr(kernel_templates, "prepare", lambda plan: None)
    return asked


def opened(**options) -> KernelTemplates:
    env = KernelTemplates(KernelTemplates.Config(**options))
    env.reset(Task(env="kernel_templates", key="gate/256x512/00"))
    return env


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("chosen", [Template(*words) for words in product(BODIES, ORDERS, MANNERS)], ids=str)
def test_every_template_is_a_submission_that_may_be_compiled(name: str, chosen: Template) -> None:
    code = lint.block(f"```python\n{submission(name, chosen)}```")
    [library] = wanted(lint.check(code, "cpp"), "cpp")
    assert [function["name"] for function in library.functions] == ["run"]


@pytest.mark.parametrize("text", ["", "fused", "fused rows", "fused rows slow", "rows fused fast", "fused rows fast 2"])
def test_what_names_no_template_is_none(text: str) -> None:
    assert template(text) is None


def test_words_are_read_in_any_case_and_spacing() -> None:
    assert template("  Fused ROWS\tfast ") == Template("fused", "rows", "fast")


def test_an_attempt_earns_its_speed_and_says_what_was_measured(judged: list[str]) -> None:
    env = opened(attempts=4)
    first = env.step(Action(text="fused rows fast"))
    assert first.observation.text == "Attempt 1 of 4: right, 2.5 times as fast, 75 % in its kernels."
    assert (first.reward, first.measured) == (3.5, {"correct": 1.0, "speedup": 2.5, "coverage": 0.75})
    wrong = env.step(Action(text="split rows fast"))
    assert (wrong.reward, wrong.measured) == (0.0, {"correct": 0.0})
    assert wrong.observation.text == "Attempt 2 of 4: wrong, values."
    nonsense = env.step(Action(text="faster, please"))
    assert (nonsense.reward, nonsense.measured) == (0.0, {"correct": 0.0})
    assert nonsense.observation.text == "Attempt 3 of 4: there is no such template."
    assert len(judged) == 2
    assert env.step(Action(tool="submit")).success is True


def test_kernels_that_are_written_are_measured_in_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([GOOD, Verdict("decoy", "For show.", True, True, decoy=True)])
    monkeypatch.setattr(kernel, "evaluate", lambda *asked: next(given))
    monkeypatch.setattr(kernel, "prepare", lambda plan: None)
    monkeypatch.setattr(kernel, "missing", lambda plan: "")
    env = kernel.Kernel(kernel.Kernel.Config())
    env.reset(Task(env="kernel", key="suite/level2/scale_clamp_silu_sum"))
    found = [env.step(Action(text="```python\n```")).measured for _ in range(2)]
    assert found == [{"correct": 1.0, "speedup": 2.5, "coverage": 0.75}, {"correct": 0.0}]


@pytest.mark.parametrize(("target", "success"), [(2.0, True), (2.1, False)])
def test_success_is_the_lower_end_of_the_best_attempt(judged: list[str], target: float, success: bool) -> None:
    env = opened(attempts=2, target=target)
    assert env.step(Action(text="fused rows fast")).success is None
    last = env.step(Action(text="split rows fast"))
    assert (last.terminated, last.success) == (True, success)


def test_the_task_says_which_sizes_suit_which_templates(judged: list[str]) -> None:
    told = KernelTemplates(KernelTemplates.Config()).reset(Task(env="kernel_templates", key="turn/200x300/03"))
    assert told.observation.text == "turn: 200 (of 8) rows, 300 (odd) columns."


@pytest.mark.parametrize("key", ["", "gate", "gate/256x512", "nothing/256x512/00", "gate/2x9999/00", "gate/0x16/00"])
def test_a_key_of_nothing_is_refused(key: str) -> None:
    with pytest.raises(KeyError, match="keys look like"):
        KernelTemplates(KernelTemplates.Config()).reset(Task(env="kernel_templates", key=key))


def test_splits_share_no_size() -> None:
    sizes = [key.split("/")[1] for split in KernelTemplates.splits for key in KernelTemplates.tasks(None, split)[:6]]
    assert len(set(sizes)) == 6


def test_a_verdict_is_kept_and_what_nobody_is_to_blame_for_is_not(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(kept_module, "cache_root", lambda: tmp_path)
    given = iter([Verdict("unavailable", "Busy."), GOOD, Verdict("values", "Wrong.")])
    monkeypatch.setattr(kept_module, "evaluate", lambda *asked: next(given))
    found = [kept("source", "answer", Plan()) for _ in range(3)]
    assert found == [Verdict("unavailable", "Busy."), GOOD, GOOD]
    assert kept("source", "another answer", Plan()).error_kind == "values"


@runs
@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_templates_are_right_where_their_sizes_suit_and_nowhere_else(name: str) -> None:
    plan = Plan(trials=1, rounds=3)

    def kind(rows: int, cols: int, *words: str) -> str:
        code = submission(name, Template(*words))
        return evaluate(reference(name, rows, cols), f"```python\n{code}```", plan).error_kind

    for words in product(("fused", "split"), ORDERS, MANNERS):
        assert kind(32, 48, *words) == "", words
    assert kind(20, 20, "fused", "rows", "plain") == kind(20, 20, "split", "cols", "fast") == ""
    assert kind(20, 20, "fused", "rows", "unroll") == kind(20, 20, "split", "cols", "unroll") == "values"
    assert kind(20, 20, "fused", "tiles", "plain") == "values"
    assert kind(32, 48, "lazy", "rows", "plain") == ""
    assert kind(32, 48, "decoy", "rows", "plain") == "decoy"
