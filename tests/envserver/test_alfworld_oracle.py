"""The oracle: from any state to the goal, never farther after a step of its plan, and no shorter way there is."""

from __future__ import annotations

import random

import pytest
from kitchen import play
from twins import PACK, official

from envserver.envs._alfworld import oracle
from envserver.envs._alfworld.deeds import CHANGES
from envserver.envs._alfworld.goals import TYPES
from envserver.envs._alfworld.keys import GeneratedKey
from envserver.envs._alfworld.making import make
from envserver.envs._alfworld.play import Game, Play

CLEAN = (
    "(exists (?r - receptacle ?o - object) (and (cleanable ?o) (objecttype ?o appletype) (isclean ?o)"
    " (receptacletype ?r countertoptype) (inreceptacle ?o ?r)))"
)
COOL = CLEAN.replace("cleanable", "coolable").replace("isclean", "iscool")
TWO = (
    "(exists (?r - receptacle) (exists (?o1 - object) (and (objecttype ?o1 appletype) (receptacletype ?r sinkbasintype)"
    " (inreceptacle ?o1 ?r) (exists (?o2 - object) (and (not (= ?o1 ?o2)) (objecttype ?o2 appletype)"
    " (receptacletype ?r sinkbasintype) (inreceptacle ?o2 ?r))))))"
)
LIGHT = (
    "(and (exists (?ot - object ?r - receptacle ?a - agent ?l - location) (and (objecttype ?ot desklamptype)"
    " (toggleable ?ot) (istoggled ?ot) (receptacleatlocation ?r ?l) (atlocation ?a ?l) (inreceptacle ?ot ?r)))"
    " (exists (?o - object ?a - agent) (and (objecttype ?o mugtype) (holds ?a ?o))))"
)


def test_a_plan_names_its_commands():
    assert oracle.plan(play()) == [
        "go to countertop 1",
        "take apple 1 from countertop 1",
        "go to sinkbasin 1",
        "move apple 1 to sinkbasin 1",
    ]
    assert oracle.plan(play(LIGHT)) == [
        "go to cabinet 2",
        "open cabinet 2",
        "take mug 1 from cabinet 2",
        "go to sidetable 1",
        "use desklamp 1",
    ]
    assert oracle.plan(play(COOL, "0.2"))[-3:] == [
        "take apple 2 from fridge 1",
        "go to countertop 1",
        "put apple 2 in/on countertop 1",
    ]


def test_a_game_that_is_won_asks_for_no_more():
    kitchen = play()
    for command in oracle.plan(kitchen):
        kitchen.step(command)
    assert kitchen.won
    assert oracle.plan(kitchen) == []
    assert oracle.distance(kitchen) == 0


def test_what_nothing_may_hold_is_a_dead_end():
    kitchen = play()
    kitchen.step("go to sidetable 1")
    assert oracle.distance(kitchen) == 4
    kitchen.step("take teddybear 1 from sidetable 1")
    assert oracle.plan(kitchen) is None
    assert oracle.distance(kitchen) is None


def test_a_goal_that_is_none_of_alfworld_s_is_refused():
    with pytest.raises(ValueError, match="six kinds of goal"):
        oracle.plan(play("(opened fridge_bar_1)"))


def shortest(start):
    """Steps to the goal by breadth-first search."""
    frontier, seen, steps = [start], {start.state}, 0
    while frontier and steps <= 9:
        if any(one.won for one in frontier):
            return steps
        further = []
        for one in frontier:
            deeds = [*one.game.goes.values(), *one.game.possible(one.state).values()]
            for deed in deeds:
                if deed.verb in CHANGES and deed.verb != "slice":
                    longer = one.copy()
                    longer.do(deed)
                    if longer.state not in seen:
                        seen.add(longer.state)
                        further.append(longer)
        frontier, steps = further, steps + 1
    raise AssertionError(f"no way of {steps} steps")


@pytest.mark.parametrize("goal", [CLEAN, COOL, TWO, LIGHT], ids=["clean", "cool", "two", "light"])
def test_no_way_is_shorter_than_the_oracle_s(goal):
    rng = random.Random(goal)
    kitchen, compared = play(goal), 0
    for _ in range(250):
        steps = oracle.distance(kitchen)
        if kitchen.won or steps is None:
            kitchen = play(goal)
        elif steps <= 4:
            assert shortest(kitchen) == steps, (kitchen.state, oracle.plan(kitchen))
            compared += 1
        kitchen.step(rng.choice(kitchen.admissible()))
    assert compared >= 4


def random_states(game, rng, walks, steps):
    for _ in range(walks):
        playing = Play(game)
        for _ in range(steps):
            choices = playing.admissible()
            changing = [one for one in choices if not one.startswith(("go", "examine", "look", "inv", "help"))]
            playing.step(rng.choice(changing if changing and rng.random() < 0.6 else choices))
        yield playing


def check(game, rng, walks=2, steps=25):
    """From the opening and from random states the plan wins, and each of its steps comes nearer."""
    dead = 0
    for playing in [Play(game), *random_states(game, rng, walks, steps)]:
        steps_left = oracle.distance(playing)
        if steps_left is None:
            # An official room holds things that no receptacle of it may hold.
            facts = playing.game.facts
            assert not any(fits & playing.state.held for fits in facts.fits), playing.game.id
            dead += 1
            continue
        while not playing.won:
            command = oracle.plan(playing)[0]
            playing.step(command)
            assert playing.moved, (playing.game.id, command)
            left = oracle.distance(playing)
            assert left < steps_left, (playing.game.id, command)
            steps_left = left
        assert steps_left == 0
    return dead


def test_generated_games_of_every_type_are_won_from_any_state():
    rng = random.Random(7)
    games = [make(GeneratedKey(kind, "train", number))[1] for kind in TYPES for number in range(5)]
    assert sum(check(game, rng) for game in games) == 0


needs_data = pytest.mark.skipif(
    not PACK.is_file(), reason="needs ALFWorld's official games: $TURNHALLE_ALFWORLD_TESTDATA"
)


@needs_data
def test_official_games_are_won_from_any_state():
    rng = random.Random(8)
    for row in official(60):
        check(Game.load(row), rng)


@pytest.mark.slow
@needs_data
def test_every_official_game_is_won_from_its_opening_and_from_any_state():
    rng, count = random.Random(9), 0
    for row in official(1):
        check(Game.load(row), rng, walks=1)
        count += 1
    assert count == 3893
