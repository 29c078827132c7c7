"""check: every rule finds the environment that breaks it, and only it."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import BaseModel

from envserver import Action, Env, EnvConfig, Observation, StepResult, going, won
from envserver.check import check
from envserver.rules import RULES


class Good(Env):
    """Say yes three times."""

    instructions = "Say yes three times."
    weight = "trivial"

    @classmethod
    def tasks(cls, config, split):
        return {"train": ["a"], "valid": ["b"], "test": ["c"]}[split]

    def reset(self, task):
        if task.key not in ("a", "b", "c"):
            raise KeyError(f"no key '{task.key[:40]}'")
        self.said = []
        return self.show()

    def step(self, action):
        self.said.append(action.text == "yes")
        return won("Done.") if sum(self.said) == 3 else self.show()

    def show(self):
        return going(f"{3 - sum(self.said)} to go.", choices=["yes", "no"])

    def copy(self):
        twin = type(self)(self.config)
        twin.said = list(self.said)
        return twin

    def expert(self):
        return Action(text="yes")


class Nameless(Good):
    instructions = " "


class Lax(Good):
    """Takes any option."""

    class Config(BaseModel):
        pass


class Repeating(Good):
    """Lists a key twice."""

    @classmethod
    def tasks(cls, config, split):
        return super().tasks(config, split) * 2


class Leaking(Good):
    """Trains on its test."""

    @classmethod
    def tasks(cls, config, split):
        return {"train": ["a", "c"], "valid": ["b"], "test": ["c"]}[split]


class AnySplit(Good):
    """Has every split."""

    @classmethod
    def tasks(cls, config, split):
        return {"train": ["a"], "valid": ["b"]}.get(split, ["c"])


class AnyKey(Good):
    """Has every key."""

    def reset(self, task):
        self.said = []
        return self.show()


class Generous(Good):
    """Pays for turning up."""

    def reset(self, task):
        return super().reset(task).model_copy(update={"reward": 1.0})


class Clock(Good):
    """Tells the time."""

    def show(self):
        return going("Hm.", choices=["yes"], now=time.perf_counter_ns())


class Remembering(Good):
    """Counts its episodes."""

    episodes = 0

    def reset(self, task):
        super().reset(task)
        type(self).episodes += task.key == "b"
        return self.show()

    def show(self):
        return going(f"{self.episodes}", choices=["yes", "no"])


class Undecided(Good):
    """Ends without a verdict."""

    def step(self, action):
        return StepResult(observation=Observation(text="Over."), terminated=True)


class Endless(Good):
    """Talks too much."""

    def show(self):
        return going("word " * 100_000, choices=["yes", "no"])


class Stuttering(Good):
    """Lists a choice twice."""

    def show(self):
        return going("Well?", choices=["yes", "yes"])


class Fragile(Good):
    """Breaks on tools."""

    def step(self, action):
        assert action.tool is None
        return super().step(action)


class Closing(Good):
    """Closes once."""

    open = True

    def close(self):
        assert self.open, "closed already"
        self.open = False


class Siamese(Good):
    """Copies share what was said."""

    def copy(self):
        twin = type(self)(self.config)
        twin.said = self.said
        return twin


class Liar(Good):
    """An expert that never gets there."""

    def expert(self):
        return Action(text="no")


class Meddler(Good):
    """An expert that plays."""

    def expert(self):
        self.said.append(True)
        return Action(text="yes")


class Hashing(Good):
    """Shows a set."""

    def show(self):
        return going(" ".join({"alpha", "beta", "gamma", "delta", "epsilon"}), choices=["yes", "no"])


class Lucky(Good):
    """Draws without a seed."""

    def show(self):
        return going(str(random.random()), choices=["yes", "no"])


def broken(env_class):
    return {finding.rule for finding in check(env_class, tasks_per_split=1, steps=6)}


def test_a_good_environment_has_no_findings():
    assert check(Good) == []


@pytest.mark.parametrize(
    ("env_class", "rule"),
    [
        (Nameless, "it_says_what_it_is"),
        (Lax, "an_unknown_option_is_refused"),
        (Repeating, "tasks_keep_their_order"),
        (Leaking, "splits_share_no_task"),
        (AnySplit, "an_unknown_split_is_refused"),
        (AnyKey, "an_unknown_key_is_refused"),
        (Generous, "the_first_result_is_open"),
        (Clock, "the_same_actions_give_the_same_results"),
        (Lucky, "the_same_actions_give_the_same_results"),
        (Remembering, "episodes_do_not_touch_each_other"),
        (Undecided, "results_say_when_it_is_over"),
        (Endless, "results_cross_the_wire"),
        (Stuttering, "choices_can_be_played"),
        (Fragile, "nonsense_is_answered"),
        (Closing, "closing_twice_is_harmless"),
        (Siamese, "a_copy_goes_its_own_way"),
        (Liar, "the_expert_solves_it"),
        (Meddler, "the_expert_solves_it"),
        (Hashing, "another_process_plays_the_same"),
    ],
)
def test_a_rule_finds_the_environment_that_breaks_it(env_class, rule):
    assert rule in broken(env_class)


def test_every_rule_is_a_sentence_and_is_tried_above():
    marks = next(
        mark for mark in test_a_rule_finds_the_environment_that_breaks_it.pytestmark if mark.name == "parametrize"
    )
    assert {rule.name for rule in RULES} == {name for _, name in marks.args[1]}
    assert all(rule.says.endswith(".") for rule in RULES)


def test_what_the_environment_raises_is_a_finding():
    class Raising(Good):
        """Raises."""

        def reset(self, task):
            raise RuntimeError("boom\nbang")

    assert any(finding.detail == "it raised RuntimeError: boom" and finding.key == "a" for finding in check(Raising))


def test_a_check_that_would_try_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        check(Good, tasks_per_split=0)
    assert isinstance(Good.Config(), EnvConfig)


def test_the_documented_environment_is_found_by_its_entry_point_and_keeps_the_rules(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "environments.md").read_text()
    (tmp_path / "acme_coin.py").write_text(page.partition("\n```python\n")[2].partition("```")[0])
    info = tmp_path / "acme_coin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-coin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[envserver.envs]\ncoin = acme_coin\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from envserver import Env, plugins\n"
        "from envserver.check import check\n"
        "assert 'coin' in plugins.names('envserver.envs'), plugins.names('envserver.envs')\n"
        "findings = check(plugins.load('envserver.envs', 'coin', Env))\n"
        "assert findings == [], findings\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
