"""The rules every Env keeps.

A rule is a function whose docstring is the rule in a sentence; it yields what is wrong, and whatever it raises is wrong
too. Playing on after the end, leases and retries are the sessions' business and not asked here.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError

from envserver.core import Env
from envserver.schema import Action, StepResult, Task
from envserver.trial import Trial, World, difference, dumps, play

__all__ = ["RULES", "Rule"]

LIMIT_BYTES = 256 * 1024
"""Largest JSON of one result: many turns of it must fit a frame and a model's context."""
EXPERT_STEPS = 500
"""An expert that needs more is taken to be lost."""

NONSENSE = (
    Action(text=""),
    Action(text=" \t\r\n "),
    Action(text="x" * (1 << 20)),
    Action(text="look " * 200_000),
    Action(text="\x00\x01\x02\x07\x08\x1b[2J\x7f\x9b"),
    Action(text="look\nlook\nlook"),
    Action(text="@#$%^&*()_+{}|:<>?[];',./`~\\\""),
    Action(text="开门 🚪 \u202e\ufeff\u0301" + "\U0010ffff"),
    Action(text="restart"),
    Action(text="restore"),
    Action(text="undo"),
    Action(text="script"),
    Action(text="save"),
    Action(text="../../../etc/passwd"),
    Action(text="%s%n{0}{self}${HOME}"),
    Action(tool="no_such_tool", arguments={"deep": [[[[{"a": None}]]]]}),
    Action(tool="", arguments={}),
    Action(text="quit"),
)
"""Actions no world means; Z-machine games read `restart`, `restore`, `save`, `script` as orders to the interpreter."""

WRONG_KEYS = ("", "no such key", "../../../../etc/passwd", "/", "\x00", "train", "0", "k" * 512, "🚪/train/0001")


@dataclass(frozen=True)
class Rule:
    """A rule and how it is tried."""

    name: str
    says: str
    trial: Callable[[Any], Iterator[str]]
    per_task: bool


RULES: list[Rule] = []
"""In the order they are tried."""


def rule(*, per_task: bool) -> Callable[[Callable[[Any], Iterator[str]]], Callable[[Any], Iterator[str]]]:
    """Puts a rule on the list; its argument is a Trial, or a World where it is not about one task."""

    def put(trial: Callable[[Any], Iterator[str]]) -> Callable[[Any], Iterator[str]]:
        RULES.append(Rule(trial.__name__, " ".join((trial.__doc__ or "").split()), trial, per_task))
        return trial

    return put


@rule(per_task=False)
def it_says_what_it_is(world: World) -> Iterator[str]:
    """The class has a docstring, instructions, and a docstring under every option."""
    if not (world.env_class.__doc__ or "").strip() or world.env_class.__doc__ == Env.__doc__:
        yield "the class has no docstring; its first line is the catalogue's summary"
    if not world.env_class.instructions.strip():
        yield "`instructions` is empty; a player must be told what can be done"
    for name, option in world.env_class.Config.model_json_schema().get("properties", {}).items():
        if not option.get("description"):
            yield f"option '{name}' has no docstring"


@rule(per_task=False)
def an_unknown_option_is_refused(world: World) -> Iterator[str]:
    """Config refuses keys it does not know."""
    try:
        world.env_class.Config.model_validate({"no_such_option": 1})
    except ValidationError:
        return
    yield "Config accepts 'no_such_option'; a typo would be a silent default"


@rule(per_task=False)
def tasks_keep_their_order(world: World) -> Iterator[str]:
    """Every split lists at least one key, the same keys in the same order whenever it is asked, each at most once."""
    for split in world.env_class.splits:
        keys, again = (list(islice(world.env_class.tasks(world.config, split), 5000)) for _ in range(2))
        if not keys:
            yield f"split '{split}' lists no task"
        if keys != again:
            yield f"split '{split}' lists other keys when asked again"
        if len(set(keys)) != len(keys):
            yield f"split '{split}' lists a key twice"
        if wrong := next((key for key in keys if not isinstance(key, str) or not 0 < len(key) <= 512), None):
            yield f"split '{split}' lists {wrong!r}; a key is a text of 1 to 512 characters"


@rule(per_task=False)
def splits_share_no_task(world: World) -> Iterator[str]:
    """No key is in two splits."""
    owner: dict[str, str] = {}
    for split in world.env_class.splits:
        for key in islice(world.env_class.tasks(world.config, split), 50_000):
            if owner.setdefault(key, split) != split:
                yield f"'{key}' is in '{owner[key]}' and in '{split}'"
                return


@rule(per_task=False)
def an_unknown_split_is_refused(world: World) -> Iterator[str]:
    """tasks() raises KeyError for a split that is not there."""
    for split in ("no such split", "", "../train"):
        try:
            world.env_class.tasks(world.config, split)
        except KeyError:
            continue
        yield f"tasks() takes the split {split!r}"


@rule(per_task=False)
def an_unknown_key_is_refused(world: World) -> Iterator[str]:
    """reset() raises KeyError for a key that is not there, and close() still works."""
    for key in WRONG_KEYS:
        env = world.env_class(world.config)
        try:
            env.reset(Task(env="env", key=key))
        except KeyError:
            continue
        except Exception as error:
            yield f"reset() answers the key {key[:40]!r} with {type(error).__name__}, not with KeyError"
        else:
            yield f"reset() takes the key {key[:40]!r}"
        finally:
            env.close()


@rule(per_task=True)
def the_first_result_is_open(trial: Trial) -> Iterator[str]:
    """reset() gives no reward and an episode that goes on, with something to read."""
    with trial.opened() as (_, result):
        if result.reward:
            yield f"the first result has reward {result.reward}"
        if result.over or result.success is not None:
            yield "the first result is already over or already judged"
        if not result.observation.text.strip():
            yield "the first observation is empty"


@rule(per_task=True)
def the_same_actions_give_the_same_results(trial: Trial) -> Iterator[str]:
    """The same task and actions give the same results, byte for byte; no id, time or latency stands in them."""
    if trial.env_class.deterministic and (where := difference(dumps(trial.results()), dumps(trial.results()))):
        yield where


@rule(per_task=True)
def episodes_do_not_touch_each_other(trial: Trial) -> Iterator[str]:
    """An episode after others, and beside others, is the same as a fresh one: nothing is shared."""
    if not trial.env_class.deterministic:
        return
    alone = dumps(trial.results())
    for other in trial.others:
        with trial.opened(other) as (env, result):
            play(env, result, trial.actions)
    if where := difference(alone, dumps(trial.results())):
        yield f"after other episodes, {where}"
    with trial.opened() as (env, result), trial.opened((trial.others or [trial.task])[0]) as (beside, shown):
        results = [result]
        for action in trial.actions:
            if not shown.over:
                shown = beside.step(Action(text="xyzzy"))
            results += play(env, results[-1], [action])
    if where := difference(alone, dumps(results)):
        yield f"beside another episode, {where}"


@rule(per_task=True)
def results_say_when_it_is_over(trial: Trial) -> Iterator[str]:
    """An open result is not judged, the last one says success or failure, and every reward is a finite number."""
    for index, result in enumerate(trial.results()):
        if not math.isfinite(result.reward):
            yield f"result {index} has reward {result.reward}"
        if result.over == (result.success is None):
            yield f"result {index} is {'over' if result.over else 'open'} with success {result.success}"
        if result.terminated and result.truncated:
            yield f"result {index} is both terminated and truncated"


@rule(per_task=True)
def results_cross_the_wire(trial: Trial) -> Iterator[str]:
    """A result survives JSON unchanged and is at most 256 KiB long."""
    for index, result in enumerate(trial.results()):
        text = result.model_dump_json()
        if StepResult.model_validate_json(text) != result:
            yield f"result {index} is another one after JSON"
        if len(text.encode()) > LIMIT_BYTES:
            yield f"result {index} is {len(text.encode())} bytes long"


@rule(per_task=True)
def choices_can_be_played(trial: Trial) -> Iterator[str]:
    """Choices are different, single-line texts with no space around them, and there are none once it is over."""
    for index, result in enumerate(trial.results()):
        choices = result.observation.choices
        if len(set(choices)) != len(choices):
            yield f"result {index} lists a choice twice"
        if wrong := next(
            (text for text in choices if not text or text != text.strip() or len(text.splitlines()) > 1), None
        ):
            yield f"result {index} lists the choice {wrong!r}"
        if result.over and choices:
            yield f"result {index} is over and lists choices"


@rule(per_task=True)
def nonsense_is_answered(trial: Trial) -> Iterator[str]:
    """Nonsense is answered by a result: empty, 1 MB, control characters, orders to an interpreter, an unknown tool."""
    with trial.opened() as (env, result):
        pass
    for action in NONSENSE:
        with trial.opened() as (env, result):
            try:
                result = env.step(action)
            except Exception as error:
                shown = action.tool if action.tool is not None else action.text[:24]
                yield f"{shown!r} raises {type(error).__name__}: {str(error)[:80]}"
                continue
            if len(result.model_dump_json()) > LIMIT_BYTES:
                yield f"{action.text[:24]!r} is answered by more than {LIMIT_BYTES} bytes"
            if result.success:
                yield f"{action.text[:24]!r} solves the task"


@rule(per_task=True)
def closing_twice_is_harmless(trial: Trial) -> Iterator[str]:
    """close() may come before reset(), in the middle, and again."""
    env = trial.env_class(trial.config)
    env.close()
    env = trial.env_class(trial.config)
    env.reset(trial.task)
    env.close()
    env.close()
    yield from ()


@rule(per_task=True)
def a_copy_goes_its_own_way(trial: Trial) -> Iterator[str]:
    """copy() is the same state: it goes on as the original does, and neither notices what the other plays."""
    actions = trial.actions
    half = len(actions) // 2
    with trial.opened() as (env, result):
        before = [result, *play(env, result, actions[:half])]
        try:
            copies = [env.copy(), env.copy()]
        except NotImplementedError:
            return
        copies.append(copies[1].copy())
        play(copies[0], before[-1], [Action(text="xyzzy"), *actions[half:]])
        theirs = [dumps(play(copy, before[-1], actions[half:])) for copy in copies[1:]]
        mine = dumps(play(env, before[-1], actions[half:]))
        for copy in copies:
            copy.close()
    for name, other in zip(("the copy", "a copy of the copy"), theirs, strict=True):
        if trial.env_class.deterministic and (where := difference(mine, other)):
            yield f"after step {half}, {name} goes on otherwise: {where}"
    if trial.env_class.deterministic and (where := difference(dumps(trial.results()[half + 1 :]), mine)):
        yield f"after step {half}, being copied changed the original: {where}"


@rule(per_task=True)
def the_expert_solves_it(trial: Trial) -> Iterator[str]:
    """Where there is an expert, following it solves the task, and asking it changes nothing."""
    with trial.opened() as (env, result):
        if env.expert() is None:
            return
        actions: list[Action] = []
        results = [result]
        while not result.over and len(actions) < EXPERT_STEPS:
            action, again = env.expert(), env.expert()
            if action is None:
                yield f"the expert has nothing to do after {len(actions)} steps, and the task is not solved"
                return
            if action != again:
                yield f"asked twice after {len(actions)} steps, the expert says two things"
            actions.append(action)
            result = env.step(action)
            results.append(result)
        if result.success is not True:
            yield f"after {len(actions)} steps of the expert's, success is {result.success}"
    with trial.opened() as (env, result):
        unasked = [result, *play(env, result, actions)]
    if trial.env_class.deterministic and (where := difference(dumps(results), dumps(unasked))):
        yield f"asking the expert changed the episode: {where}"


@rule(per_task=False)
def another_process_plays_the_same(world: World) -> Iterator[str]:
    """A process with another hash seed gives the same results, byte for byte, so a lost worker can be replaced."""
    if not world.env_class.deterministic or not world.trials or "<locals>" in world.env_class.__qualname__:
        return
    asked = {
        "path": f"{world.env_class.__module__}:{world.env_class.__qualname__}",
        "config": world.config.model_dump(mode="json"),
        "tasks": [trial.task.model_dump() for trial in world.trials],
        "actions": [[action.model_dump() for action in trial.actions] for trial in world.trials],
        "sys_path": sys.path,
    }
    code = "import json,sys; asked=json.load(sys.stdin); sys.path[:]=asked['sys_path']; "
    code += "from envserver.rules import digests; print(json.dumps(digests(asked)))"
    hash_seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        timeout=300,
        check=False,
    )
    if done.returncode:
        yield f"the other process failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        return
    theirs = json.loads(done.stdout.splitlines()[-1])
    for trial, other in zip(world.trials, theirs, strict=True):
        mine = [hashlib.sha256(text.encode()).hexdigest() for text in dumps(trial.results())]
        if mine != other:
            at = next((i for i, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b), len(mine))
            yield f"task '{trial.task.key}': result {at} differs; a set's order or hash() may be in it"


def digests(asked: dict[str, Any]) -> list[list[str]]:
    """For each of the `asked` tasks, a digest of every result; what the other process prints."""
    module, _, name = str(asked["path"]).partition(":")
    env_class: type[Env] = getattr(importlib.import_module(module), name)
    config = env_class.Config.model_validate(asked["config"])
    out = []
    for task, actions in zip(asked["tasks"], asked["actions"], strict=True):
        played = [Action.model_validate(action) for action in actions]
        trial = Trial(env_class, config, Task.model_validate(task), len(played), random.Random(0), (), played)
        out.append([hashlib.sha256(text.encode()).hexdigest() for text in dumps(trial.results())])
    return out
