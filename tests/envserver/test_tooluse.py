"""tooluse: every family's gold solution is rewarded in full, nothing else is, and nothing hostile does harm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from envserver import Action, Task, plugins
from envserver.catalogue import BadOption, configured
from envserver.check import check
from envserver.envs._tooluse.keys import SHELF, drawn, families, parse
from envserver.envs.tooluse import Tooluse

GENERATED = tuple(plugins.names(SHELF))
LEVELS = (1, 2, 3)
SPLITS = ("train", "valid", "test")


def begun(key: str, seed: int = 0, **options):
    world = Tooluse(Tooluse.Config(**options))
    return world, world.reset(Task(env="tooluse", key=key, seed=seed))


def call(tool: str, **arguments) -> Action:
    return Action(tool=tool, arguments=arguments)


def gold(world):
    """The expert's calls, played on a copy."""
    twin, calls, result = world.copy(), [], None
    while result is None or not result.over:
        calls.append(twin.expert())
        result = twin.step(calls[-1])
    return calls, result


def test_there_are_eight_families_or_more():
    assert len(GENERATED) >= 8
    assert families() == GENERATED


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", GENERATED)
def test_gold_is_rewarded_in_full_and_doing_nothing_is_not(name, level):
    for number in range(51):
        horizon, split = (8, 12, 25)[number % 3], SPLITS[number % 3]
        key = f"{name}/h{horizon}-d{level}/{split}/{number:04d}"
        world, _ = begun(key)
        idle = world.copy()
        calls, result = gold(world)
        assert (result.success, result.reward) == (True, 1.0), key
        assert len(calls) in (horizon, horizon - 1), key
        steps = 0
        while not (result := idle.step(Action())).over:
            steps += 1
            assert result.reward == 0
        assert (result.truncated, result.success, result.reward) == (True, False, 0.0)
        assert steps + 1 == 2 * horizon


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", GENERATED)
def test_a_hundred_calls_are_the_hard_end(name, level):
    world, _ = begun(f"{name}/h100-d{level}/test/0000", reward="dense")
    total, steps, result = 0.0, 0, None
    while result is None or not result.over:
        before = world._left()
        result = world.step(world.expert())
        assert result.over or world._left() == before - 1
        total, steps = total + result.reward, steps + 1
    assert result.success
    assert total == pytest.approx(1.0)
    assert steps in (99, 100)


@pytest.mark.parametrize("name", GENERATED)
def test_a_wrong_answer_ends_the_episode_without_reward(name):
    for level in LEVELS:
        world, _ = begun(f"{name}/h12-d{level}/train/0001")
        calls, _ = gold(world)
        early = world.copy().step(call("done", **dict.fromkeys(calls[-1].arguments, 987_654)))
        assert (early.terminated, early.success, early.reward) == (True, False, 0.0)
        for action in calls[:-1]:
            world.step(action)
        wrong = {name: value + 1 for name, value in calls[-1].arguments.items()}
        if wrong:
            assert world.step(call("done", **wrong)).success is False


def test_an_answer_alone_does_not_solve_what_asks_for_a_state():
    for key in ("inventory/h12-d3/train/0002", "grid/h12-d3/train/0000", "schedule/h12-d3/train/0000"):
        world, _ = begun(key)
        calls, _ = gold(world)
        assert world.step(calls[1]).over is False
        assert world.step(calls[-1]).success is False, key
    for key in ("queue/h12-d3/train/0000", "ledger/h12-d3/train/0000", "safes/h12-d1/train/0000"):
        world, _ = begun(key)
        assert world.step(gold(world)[0][-1]).success is False, key


def test_what_was_spoilt_has_no_gold_any_more_and_cannot_be_answered():
    world, _ = begun("inventory/h12-d3/train/0002")
    wrong = next(place for place, kind in enumerate(world.program.kinds) if kind != world.program.kind)
    answer = gold(world)[0][-1]
    assert "took" in world.step(call("take", bin=wrong + 1)).observation.text
    assert world.expert() is None
    assert world.step(answer).success is False


@pytest.mark.parametrize("name", GENERATED)
def test_the_expert_goes_on_from_wherever_a_player_has_come_to(name):
    for level in LEVELS:
        world, _ = begun(f"{name}/h20-d{level}/valid/0003", max_steps=200)
        calls, _ = gold(world)
        for action in (calls[3], calls[3], calls[1]):
            world.step(action)
        assert gold(world)[1].success, (name, level)


def test_splits_share_no_program_by_content():
    for name in GENERATED:
        seen: dict[str, str] = {}
        for split in SPLITS:
            for number in range(60):
                program = drawn(parse(f"{name}/h8-d1/{split}/{number:04d}"), number % 2)
                assert seen.setdefault(repr(vars(program)), split) == split, (name, split)


def test_a_listing_mixes_families_by_weight_in_every_prefix():
    config = Tooluse.Config(families={"grid": 3, "queue": 1}, horizon=30, difficulty=2)
    keys = Tooluse.tasks(config, "train")
    assert (len(keys), len(Tooluse.tasks(config, "valid")), len(Tooluse.tasks(config, "test"))) == (
        10_000,
        1_000,
        1_000,
    )
    assert keys[9_998] == keys[-2]
    assert keys[-1].endswith("/h30-d2/train/9999")
    for stop in (4, 40, 400):
        assert sum(key.startswith("grid/") for key in keys[:stop]) == stop * 3 // 4
    everything = Tooluse.tasks(Tooluse.Config(), "test")
    assert {key.partition("/")[0] for key in everything[: len(GENERATED)]} == set(GENERATED)
    assert len(set(everything)) == 1_000


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "keys look like"),
        ("inventory/h12-d1/train/42", "keys look like"),
        ("inventory/h012-d1/train/0042", "keys look like"),
        ("inventory/h12-d1/train/0042\n", "keys look like"),
        ("inventory/h12-d1/train/٠٠٤٢", "keys look like"),
        ("shop/h12-d1/train/0042", "no family 'shop'; there are: array"),
        ("inventory/h7-d1/train/0042", "h is 8 to 100"),
        ("inventory/h101-d1/train/0042", "h is 8 to 100"),
        ("inventory/h12-d4/train/0042", "d is 1 to 3"),
        ("inventory/h12-d1/dev/0042", "no split 'dev'"),
        ("inventory/h12-d1/test/1000", "0000 to 0999"),
    ],
)
def test_a_key_that_names_nothing_is_refused_with_the_reason(key, says):
    with pytest.raises(KeyError, match=says):
        begun(key)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"families": {"shop": 1}}, "no family is named 'shop'; there are: array"),
        ({"families": {"grid": 0}}, "the weight of 'grid' is 1 to 100, not 0"),
        ({"horizon": 7}, "greater than or equal to 8"),
        ({"difficulty": 4}, "less than or equal to 3"),
        ({"reward": "shaped"}, "'binary' or 'dense'"),
        ({"horizn": 9}, "did you mean 'horizon'"),
    ],
)
def test_a_wrong_option_is_refused_with_the_reason(options, says):
    with pytest.raises(BadOption, match=says):
        configured(Tooluse, options)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (Action(text="look 3"), "Call a tool: look, take, done."),
        (Action(text="x" * (1 << 20)), "Call a tool: look, take, done."),
        (call("fly", bin=3), "There is no tool 'fly'; there are: look, take, done."),
        (call("__init__"), "There is no tool '__init__'; there are: look, take, done."),
        (call("plan"), "There is no tool 'plan'; there are: look, take, done."),
        (call("", bin=3), "There is no tool ''; there are: look, take, done."),
        (call("look"), "look needs bin, an integer."),
        (call("look", bin="3"), "bin of look must be an integer, not a string."),
        (call("look", bin=3.0), "bin of look must be an integer, not a number."),
        (call("look", bin=True), "bin of look must be an integer, not a boolean."),
        (call("look", bin=None), "bin of look must be an integer, not null."),
        (call("look", bin=[[[[]]]]), "bin of look must be an integer, not a list."),
        (call("look", bin={"bin": 3}), "bin of look must be an integer, not an object."),
        (call("look", bin=10**5000), "bin of look is too large."),
        (call("look", bin=3, self=1), "look takes no 'self'; it takes bin."),
        (call("look", bin=0), "There is no bin 0."),
        (call("look", bin=-1), "There is no bin -1."),
        (call("look", bin=12), "There is no bin 12."),
        (call("done", answer="3"), "answer of done must be an integer, not a string."),
    ],
)
def test_a_hostile_call_is_answered_in_a_sentence_and_costs_a_step(action, says):
    world, _ = begun("inventory/h12-d1/train/0000")
    result = world.step(action)
    assert result.observation.text == says
    assert (result.over, result.reward, world.steps) == (False, 0.0, 1)
    assert gold(world)[1].success


def test_a_word_that_is_none_of_the_choices_is_answered():
    world, _ = begun("grid/h12-d1/train/0000")
    assert world.step(call("go", way="up")).observation.text == "way of go must be one of: n, e, s, w."


def test_dense_reward_pays_half_for_the_way_and_nothing_twice():
    world, _ = begun("inventory/h12-d1/train/0000", reward="dense")
    calls, _ = gold(world)
    first, again = world.step(calls[0]).reward, world.step(calls[0]).reward
    assert (first, again) == (pytest.approx(0.5 / 11), 0.0)
    rest = [world.step(action).reward for action in calls[1:]]
    assert rest[-1] == pytest.approx(0.5)
    assert first + sum(rest) == pytest.approx(1.0)
    world, _ = begun("inventory/h12-d1/train/0000", reward="dense")
    for action in calls[:-1]:
        world.step(action)
    assert world.step(call("done", answer=99)).reward == 0


def test_a_fork_goes_its_own_way_in_every_family():
    for name in GENERATED:
        world, _ = begun(f"{name}/h12-d3/train/0005")
        calls, _ = gold(world)
        for action in calls[:5]:
            world.step(action)
        twin = world.copy()
        before = repr(vars(world.program))
        assert gold(twin)[1].success
        for action in calls[5:]:
            result = twin.step(action)
        assert result.success
        assert repr(vars(world.program)) == before, name


def test_what_is_written_in_a_cashbook_is_the_players_own_affair_and_no_page_is_skipped():
    world, first = begun("cashbook/h8-d2/train/0003")
    assert first.observation.text.endswith("Page 1 cash 3.")
    assert world.step(call("write", page=2, account="cash", balance=3)).observation.text == (
        "Page 2 is not open; there are pages 1 to 1."
    )
    for _ in range(2):
        assert world.step(call("write", page=1, account="till", balance=-(10**6))).observation.text == "2 cash 1"
    assert gold(world)[1].success


def test_the_seed_draws_another_program_under_the_same_key():
    assert len({repr(vars(begun("pages/h12-d1/train/0000", seed)[0].program)) for seed in range(20)}) == 20


def test_another_process_with_another_hash_seed_draws_the_same_programs():
    code = "import sys; from envserver.envs._tooluse.keys import drawn, families, parse; from zlib import crc32\n"
    code += "all = [drawn(parse(f'{f}/h20-d{d}/test/0007'), 3) for f in families() for d in (1, 2, 3)]\n"
    code += "print([crc32(repr((vars(p), list(p.plan()))).encode()) for p in all])"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_instructions_tell_the_tools_where_they_are_asked_to():
    world, _ = begun("inventory/h12-d1/train/0000")
    quiet = world.briefing()
    assert [tool.name for tool in quiet.tools] == ["look", "take", "done"]
    assert quiet.tools[0].parameters == {
        "type": "object",
        "properties": {"bin": {"type": "integer"}},
        "required": ["bin"],
        "additionalProperties": False,
    }
    told = begun("inventory/h12-d1/train/0000", describe=True)[0].briefing()
    assert told.tools == quiet.tools
    assert told.instructions == (
        f"{quiet.instructions}\nlook bin:integer - Look into a bin.\n"
        "take bin:integer - Take everything out of a bin.\ndone answer:integer - Answer the question."
    )


def test_no_result_tells_more_than_the_program_says():
    world, first = begun("ledger/h12-d2/train/0000")
    results = [first] + [world.step(action) for action in gold(world)[0]]
    assert all(result.info == {} and result.observation.choices == [] for result in results)


@pytest.mark.parametrize("level", LEVELS)
def test_every_family_keeps_the_rules(level):
    config = Tooluse.Config(difficulty=level, horizon=9, reward="dense")
    findings = check(Tooluse, config, tasks_per_split=len(GENERATED), steps=8)
    assert not findings, findings
