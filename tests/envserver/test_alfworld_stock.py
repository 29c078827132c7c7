"""ALFWorld by the package itself: what we add to it changes none of its bytes, and leaves the process as it was."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from kitchen import problem, row, said
from twins import HERE

from envserver.envs._alfworld.row import GameUnreadable

pytest.importorskip("alfworld", reason="needs the extra [alfworld]")
pytest.importorskip("fast_downward", reason="needs the extra [alfworld]")

from envserver.envs._alfworld import stock_speed
from envserver.envs._alfworld.play import Game, Play
from envserver.envs._alfworld.stock import StockPlay


@pytest.fixture
def stock():
    opened = []

    def stock(*args, **options):
        opened.append(StockPlay(*args, **options))
        return opened[-1]

    yield stock
    for play in opened:
        play.close()


PLAIN = """
import json, random, sys
from kitchen import row
from textworld import EnvInfos
from textworld.envs import PddlEnv
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
from envserver.envs._alfworld.stock_words import domain_and_grammar

def shown(state):
    return [state.feedback, list(state["admissible_commands"]), bool(state["won"]), state.get("score") or 0]

out = []
for dialect in ("0.4", "0.2"):
    domain, grammar = domain_and_grammar(dialect)
    grammar = grammar.replace("UNKNOWN GOAL", row().task)
    game = {"pddl_domain": domain, "grammar": grammar, "pddl_problem": row().problem}
    env = AlfredInfos(AlfredDemangler(PddlEnv(EnvInfos(won=True, admissible_commands=True)), shuffle=False))
    env.load(game)
    state, rng = env.reset(), random.Random(dialect)
    out.append(shown(state))
    for _ in range(8):
        state, _, _ = env.step(rng.choice(state["admissible_commands"]))
        out.append(shown(state))
print(json.dumps(out))
"""


def test_the_package_left_alone_says_the_same(stock):
    done = subprocess.run(
        [sys.executable, "-c", PLAIN], cwd=HERE, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    out = []
    for dialect in ("0.4", "0.2"):
        play, rng = stock(row(), dialect), random.Random(dialect)
        out.append([play.text, list(play.admissible()), play.won, play.reward])
        for _ in range(8):
            play.step(rng.choice(play.admissible()))
            out.append([play.text, list(play.admissible()), play.won, play.reward])
    assert out == json.loads(done.stdout)


def test_the_process_keeps_its_arguments_and_its_output(stock):
    argv, stdout = list(sys.argv), sys.stdout
    stock(replace(row(), problem=problem(more="(isclean spoon_bar_1)")))
    assert sys.argv == argv
    assert sys.stdout is stdout


def test_a_problem_is_translated_once_and_a_library_is_used_again(stock):
    stock(row()).close()
    translations, libraries = stock_speed._translations(), stock_speed._libraries()
    kept, idle = len(translations.kept), len(libraries.idle)
    again = stock(row())
    assert len(translations.kept) == kept
    assert len(libraries.idle) == idle - 1
    again.close()
    again.close()
    assert len(libraries.idle) == idle


def test_plays_beside_each_other_do_not_meet(stock):
    one, other = stock(row()), stock(row())
    assert said(one, "go to fridge 1", "open fridge 1")[1].startswith("You open the fridge 1.")
    assert said(other, "go to fridge 1") == ["You arrive at fridge 1. The fridge 1 is closed."]
    assert "close fridge 1" in one.admissible()


def test_a_sentence_is_shown_as_it_stands(stock):
    sentence = 'Put {o.name} #intro# [in] | "there"; please'
    play = stock(row(), task=sentence)
    assert play.text == Play(Game.load(row()), sentence).text


def test_a_copy_is_played_on_its_own(stock):
    play = stock(row())
    said(play, "go to countertop 1", "take apple 1 from countertop 1", "go to sinkbasin 1")
    twin = play.copy()
    assert (twin.text, twin.admissible()) == (play.text, play.admissible())
    assert said(twin, "move apple 1 to sinkbasin 1") == ["You move the apple 1 to the sinkbasin 1."]
    assert (twin.won, play.won, twin.reward, play.reward) == (True, False, 1.0, 0.0)
    twin.close()


def test_the_oracle_leads_the_package_to_the_goal(stock):
    play, steps = stock(row(), "0.2"), 0
    while not play.won:
        play.step(play.expert())
        steps += 1
    assert steps == 4
    assert play.moved


EXPERT = """
import json, random, sys
from pathlib import Path
from kitchen import row
from textworld import EnvInfos
from textworld.envs import PddlEnv
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredExpert, AlfredInfos
from envserver.envs._alfworld.stock_speed import install
from envserver.envs._alfworld.stock_words import domain_and_grammar

install()
domain, grammar = domain_and_grammar("0.4")
params = json.loads(sys.argv[2])
path = Path(sys.argv[1]) / "game.tw-pddl"
path.write_text(json.dumps({"pddl_domain": domain, "grammar": grammar, "pddl_problem": row().problem}))
(path.parent / "traj_data.json").write_text(json.dumps({"task_type": row().task_type, "pddl_params": params}))
infos = EnvInfos(won=True, admissible_commands=True, extras=["expert_plan"])
env = AlfredExpert(AlfredInfos(AlfredDemangler(PddlEnv(infos), shuffle=False)))
env.load(str(path))
random.seed(5)
state, played = env.reset(), []
while not state["won"] and len(played) < 60:
    played.append(state["extra.expert_plan"][0])
    state, _, _ = env.step(played[-1])
print(json.dumps(played))
"""


def test_the_handcoded_expert_says_what_it_says_in_the_package(stock, tmp_path):
    params = {"object_target": "Apple", "parent_target": "SinkBasin", "toggle_target": "", "mrecep_target": ""}
    done = subprocess.run(
        [sys.executable, "-c", EXPERT, str(tmp_path), json.dumps(params)],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    def commands():
        play, played = stock(replace(row(), params=params), expert="handcoded", seed=5), []
        while not play.won and len(played) < 60:
            played.append(play.expert())
            play.step(played[-1])
        assert play.won, played
        return played

    first = commands()
    assert first == json.loads(done.stdout)
    assert len(first) > 4
    assert commands() == first


def test_the_handcoded_expert_gives_up_and_the_play_goes_on(stock):
    play = stock(replace(row(), params={"object_target": "Apple", "parent_target": "Nowhere"}), expert="handcoded")
    for _ in range(205):
        play.step("look")
    assert play.expert() is None
    assert play.step("go to fridge 1") == "You arrive at fridge 1. The fridge 1 is closed."


def test_the_handcoded_expert_is_refused_where_it_lacks_the_words():
    with pytest.raises(ValueError, match=r"knows the words of dialect 0\.4 only"):
        StockPlay(row(), "0.2", "handcoded")


def test_a_game_that_the_package_cannot_load_is_refused_with_a_sentence(stock):
    with pytest.raises(GameUnreadable, match="unknown type 'spaceship'"):
        stock(replace(row(), problem=problem().replace("fridge_bar_1 - receptacle", "fridge_bar_1 - spaceship")))
    hopeless = "(holds agent1 desklamp_bar_1)"
    with pytest.raises(GameUnreadable, match="the package cannot load the game: KeyError"):
        stock(replace(row(), problem=problem(hopeless)))
    assert stock(row()).text == Play(Game.load(row())).text


GOALS = (
    "(forall (?c - receptacle) (imply (receptacletype ?c cabinettype) (opened ?c)))",
    "(not (exists (?o - object) (and (objecttype ?o appletype) (inreceptacle ?o countertop_bar_1))))",
    "(or (and (opened fridge_bar_1) (not (opened microwave_bar_1))) (istoggled desklamp_bar_1))",
    "(exists (?l - location) (and (objectatlocation spoon_bar_1 ?l) (atlocation agent1 ?l) (not (holdsany agent1))))",
)


@pytest.mark.parametrize("goal", GOALS)
def test_a_goal_of_any_form_is_won_when_the_package_says_so(goal, stock):
    asked = replace(row(), problem=problem(goal))
    play, ours, rng, seen = stock(asked), Play(Game.load(asked)), random.Random(3), set()
    for _ in range(160):
        idle = ("examine", "look", "inventory", "help", "take teddybear")
        changing = [one for one in ours.admissible() if not one.startswith(idle)]
        taking = [one for one in changing if one.startswith(("take", "move", "open"))]
        command = rng.choice(taking if taking and rng.random() < 0.5 else changing)
        assert (play.step(command), play.won) == (ours.step(command), ours.won)
        seen.add(ours.won)
    assert seen == {True, False}
