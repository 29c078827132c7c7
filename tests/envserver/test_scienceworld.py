"""ScienceWorld: lists, play, experts, rewards, nonsense; worlds of one JVM that do not disturb each other."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from envserver import plugins
from envserver.catalogue import EXTRAS
from envserver.core import Env
from envserver.envs._scienceworld.keys import HELD_OUT, VARIATIONS, keys, parse, variations
from envserver.rules import NONSENSE
from envserver.schema import Action, Task

pytest.importorskip("scienceworld", reason="needs the extra [scienceworld]")

from py4j.java_gateway import GatewayParameters, JavaGateway
from py4j.protocol import Py4JError

from envserver.envs._scienceworld import jvm
from envserver.envs._scienceworld.jvm import JvmFailed, JvmGone, Settings, running
from envserver.envs._scienceworld.simulator import Simulator
from envserver.envs.scienceworld import LONGEST, ScienceWorld

pytestmark = [
    pytest.mark.scienceworld,
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 11 or newer"),
]

SHORT = "lifespan-longest-lived/7"
FIND = "find-plant/3"
PAINT = "chemistry-mix-paint-secondary-color/5"
WIRE = "power-component/2"


@pytest.fixture
def open_world():
    opened = []

    def open_world(key, **options):
        env = ScienceWorld(ScienceWorld.Config(**options))
        opened.append(env)
        return env, env.reset(Task(env="scienceworld", key=key))

    yield open_world
    for env in opened:
        env.close()


def play(env, commands):
    results = []
    for command in commands:
        results.append(env.step(Action(text=command)))
        if results[-1].over:
            break
    return results


def by_expert(env, result):
    results = [result]
    while not results[-1].over:
        action = env.expert()
        assert action is not None, f"nothing to do after {len(results) - 1} steps"
        results.append(env.step(action))
    return results


def test_the_lists_are_the_official_ones_and_those_of_rlvmr():
    sizes = {split: len(keys("official", split)) for split in ("train", "valid", "test")}
    assert sizes == {"train": 3592, "valid": 1796, "test": 1819}
    assert sum(sizes.values()) == sum(VARIATIONS.values()) == 7207
    lists = {name: [keys(name, split) for split in ("train", "valid", "test")] for name in ("L0", "L1", "L2")}
    assert {name: [len(split) for split in splits] for name, splits in lists.items()} == {
        "L0": [3322, 0, 1661],
        "L1": [3322, 0, 1684],
        "L2": [2242, 0, 549],
    }
    for train, _, test in lists.values():
        assert not set(train) & set(test)
    assert {key.partition("/")[0] for key in lists["L2"][2]} == HELD_OUT
    assert not {key.partition("/")[0] for key in lists["L2"][0]} & HELD_OUT
    assert "boil/14" in lists["L0"][2]
    assert "boil/21" in lists["L1"][2]
    assert ScienceWorld.tasks(ScienceWorld.Config(tasks=("melt", "boil")), "valid")[6:8] == ["boil/20", "melt/14"]


def test_names_variations_and_splits_are_the_packages():
    machine = running(Settings())
    package = machine.simulator()
    try:
        assert machine.lines(package.getTaskNames()) == list(VARIATIONS)
        for task, total in VARIATIONS.items():
            assert package.getTaskMaxVariations(task) == total
            getattr(package, "taskStr_$eq")(task)
            for split, theirs in (("train", "Train"), ("valid", "Dev"), ("test", "Test")):
                numbers = getattr(package, f"getVariations{theirs}")().toString()
                assert numbers == f"[{', '.join(map(str, variations(task, split)))}]", (task, split)
    finally:
        machine.tenants -= 1


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("boil/30", "variations 0 to 29, not 30"),
        ("boyl/3", "did you mean 'boil'"),
        ("boil/007", "look like boil/13"),
        ("boil/-1", "look like boil/13"),
        ("boil", "look like boil/13"),
        ("boil/3\n", "look like boil/13"),
        ("boil/٣", "look like boil/13"),
    ],
)
def test_a_wrong_key_is_said(open_world, key, why):
    with pytest.raises(KeyError, match=why):
        open_world(key)
    assert parse("boil/29") == ("boil", 29)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"simplifications": ["easy", "openDoors"]}, "name it alone"),
        ({"simplifications": ["openDoors", "openDoors"]}, "once"),
        ({"simplifications": ["harder"]}, "teleportAction"),
        ({"tasks": ["boyl"]}, "no task is named 'boyl'"),
        ({"lists": "L3"}, "L2"),
        ({"max_steps": 0}, "greater than or equal to 1"),
        ({"java_heap_bytes": 1}, "greater than or equal to"),
    ],
)
def test_a_wrong_option_is_said(options, why):
    with pytest.raises(ValueError, match=why):
        ScienceWorld.Config(**options)


def test_a_world_without_electricity_has_no_electrical_task(open_world):
    with pytest.raises(KeyError, match="leave out the simplification noElectricalAction"):
        open_world(WIRE, simplifications=["noElectricalAction"])


@pytest.mark.parametrize("key", [SHORT, FIND, PAINT, WIRE])
def test_the_gold_path_leads_to_a_score_of_100(open_world, key):
    env, result = open_world(key, reward="dense")
    results = by_expert(env, result)
    assert results[-1].success is True
    assert results[-1].terminated
    assert results[-1].info["score"] == 100
    assert sum(result.reward for result in results) == pytest.approx(1)
    assert env.expert() is None


def test_the_expert_is_silent_off_its_path_and_where_the_steps_do_not_suffice(open_world):
    env, _ = open_world(SHORT)
    first = env.expert()
    assert first == env.expert()
    env.step(Action(text="wait1"))
    assert env.expert() is None
    env, _ = open_world(SHORT, max_steps=2)
    assert env.expert() is None


def test_asking_and_showing_change_nothing(open_world):
    commands = [
        "teleport to greenhouse",
        "wait",
        "look around",
        "pick up orange",
        "wait1",
        "teleport to outside",
        "wait",
    ]
    plain, _ = open_world(FIND)
    asked, _ = open_world(FIND, admissible=True, show=["inventory", "look"])
    asked.expert()
    for command in commands:
        (one,), (other,) = play(plain, [command]), play(asked, [command])
        assert other.observation.text.startswith(one.observation.text.strip())
        assert "In your inventory" in other.observation.text
        assert other.observation.choices
        assert not one.observation.choices
        assert other.info == one.info


def test_worlds_of_one_jvm_do_not_disturb_each_other(open_world):
    # Bees fly at random, the simplifications are a static, and ids of new objects come from one counter.
    jobs = [
        (FIND, ["teleportAction", "openDoors"], ["teleport to greenhouse", "wait", "wait", "look around", "objects"]),
        (WIRE, [], ["look around", "teleport to kitchen", "open door", "0", "wait", "help"]),
        (PAINT, ["easy"], ["teleport to art studio", "look around", "wait", "inventory", "task"]),
        ("grow-plant/4", ["selfWateringFlowerPots"], ["open door to greenhouse", "wait", "look around", "wait"]),
    ]
    alone = []
    for key, simplifications, commands in jobs:
        env, result = open_world(key, simplifications=simplifications, admissible=key in (WIRE, PAINT))
        alone.append([result, *play(env, commands)])
        env.close()
    together = []
    for key, simplifications, commands in reversed(jobs):
        env, result = open_world(key, simplifications=simplifications, admissible=key in (WIRE, PAINT))
        together.insert(0, (env, commands, [result]))
    for turn in range(6):
        for env, commands, results in together:
            results += play(env, commands[turn : turn + 1])
    assert [results for _, _, results in together] == alone
    assert len({env.simulator.jvm.pid for env, _, _ in together}) == 1
    assert any(choice.startswith("connect") for choice in alone[1][0].observation.choices)
    assert not any(choice.startswith("connect") for choice in alone[2][0].observation.choices)


def test_a_world_whose_jvm_is_killed_goes_on_as_if_nothing_had_been(open_world):
    commands = ["teleport to greenhouse", "look around", "wait", "teleport to outside", "wait", "look around"]
    calm, _ = open_world(FIND)
    undisturbed = play(calm, commands)
    env, _ = open_world(FIND)
    before = play(env, commands[:3])
    first = env.simulator.jvm
    first._process.kill()
    beside, result = open_world(SHORT)
    assert result.observation.text
    assert before + play(env, commands[3:]) == undisturbed
    assert env.simulator.jvm is beside.simulator.jvm is not first
    assert by_expert(beside, result)[-1].success is True


def test_a_jvm_that_dies_in_every_try_is_given_up_with_a_sentence(open_world, monkeypatch):
    env, _ = open_world(SHORT)
    env.step(Action(text="wait1"))
    step = Simulator._step

    def deadly(simulator, command):
        if command == "wait":
            simulator.jvm._process.kill()
        return step(simulator, command)

    monkeypatch.setattr(Simulator, "_step", deadly)
    with pytest.raises(JvmGone, match="Java process died and could not play the world again"):
        env.step(Action(text="wait"))
    monkeypatch.undo()
    assert env.step(Action(text="look around")).observation.text


def test_a_replay_that_goes_otherwise_is_no_world(open_world):
    env, _ = open_world(SHORT)
    env.step(Action(text="look around"))
    command, seen = env.simulator.played[0]
    env.simulator.played[0] = (command, seen._replace(text="a dream"))
    env.simulator.jvm._process.kill()
    with pytest.raises(RuntimeError, match="the replay differs from what was seen at step 0"):
        env.step(Action(text="wait1"))


def test_nonsense_costs_a_step_and_does_nothing_else(open_world):
    env, result = open_world(FIND, max_steps=100)
    nonsense = [action for action in NONSENSE if action.text.strip() != "quit"]
    nonsense += [
        Action(text=text) for text in ("x\ne\n", "c\no1\nshutdown\ne\n", "\\n", "!yro0", "a" * (LONGEST + 1), "\r")
    ]
    look = result.observation.text.partition("\n\n")[2]
    for number, action in enumerate(nonsense, 1):
        result = env.step(action)
        assert result.observation.text == "No known action matches that input."
        assert len(env.simulator.played) == number
    assert env.step(Action(text="look  \t around")).observation.text == look


def test_a_number_or_nothing_answers_an_ambiguous_command(open_world):
    env, _ = open_world(WIRE, simplifications=[], admissible=True)
    asked = env.step(Action(text="open door"))
    assert asked.observation.text.startswith("Ambiguous request")
    assert asked.observation.choices[:2] == ["0", "1"]
    assert env.step(Action(text="0")).observation.text == "The door is now open."
    assert env.step(Action(text="open door")).observation.choices[:2] == ["0", "1"]
    assert "0" not in env.step(Action(text="\x00")).observation.choices


def test_the_reward_is_the_scores_rise_or_winning_alone(open_world):
    wrong = ["look around", "focus on agent", "look around"]
    dense, _ = open_world(FIND, reward="dense")
    results = play(dense, wrong)
    assert len(results) == 2
    assert sum(result.reward for result in results) == pytest.approx(-1)
    assert (results[-1].terminated, results[-1].success, results[-1].info["score"]) == (True, False, -100)
    sparse, result = open_world(FIND)
    assert [result.reward for result in play(sparse, wrong)] == [0, 0]
    won, result = open_world(SHORT)
    assert [result.reward for result in by_expert(won, result)][-2:] == [0, 1]


def test_an_episode_is_cut_after_its_steps(open_world):
    env, _ = open_world(SHORT, max_steps=2)
    first, last = play(env, ["wait1", "wait1"])
    assert (first.over, last.truncated, last.terminated, last.success) == (False, True, False, False)


def test_the_jvm_answers_nobody_without_its_token():
    machine = running(Settings())
    stranger = JavaGateway(gateway_parameters=GatewayParameters(port=machine._gateway.gateway_parameters.port))
    with pytest.raises(Py4JError, match="Auth"):
        stranger.jvm.java.lang.System.currentTimeMillis()
    stranger.close()
    assert machine.lines(machine.simulator().getTaskNames())
    machine.tenants -= 1


def test_a_full_heap_is_said_and_loses_nothing(open_world, monkeypatch):
    env, _ = open_world(SHORT)
    room = env.simulator.jvm.tenants
    monkeypatch.setattr(jvm, "WORLD_BYTES", (512 << 20) // room)
    with pytest.raises(RuntimeError, match=f"512 MiB has room for {room} worlds, and they are open; close some"):
        open_world(SHORT)
    assert env.step(Action(text="look around")).observation.text
    env.close()
    env.close()
    assert open_world(SHORT)[1].observation.text


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"java": "/nowhere/java"}, "needs Java 11 or newer and '/nowhere/java' is not there; install it"),
        ({"java": "/bin/true"}, "does not start"),
        ({"options": ("-XX:+NoSuchOption",)}, "the options ones it knows"),
    ],
)
def test_a_java_that_is_not_there_or_does_not_start_is_said(settings, why):
    with pytest.raises(JvmFailed, match=why):
        running(Settings(**settings))


def test_the_server_asks_for_java_before_it_serves(monkeypatch):
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(JvmFailed, match="apt install default-jre-headless"):
        ScienceWorld.warm(ScienceWorld.Config())
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(JvmFailed, match="'java' is not there"):
        ScienceWorld.warm(ScienceWorld.Config())


def test_a_missing_package_names_its_extra():
    code = (
        "import sys; sys.modules['scienceworld'] = None\n"
        "from envserver.catalogue import load_env\n"
        "load_env('scienceworld')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'turnhalle[scienceworld]'" in done.stderr.splitlines()[-1]


def test_listing_and_warming_start_no_jvm():
    code = (
        "import psutil\nfrom envserver.catalogue import card, load_env\n"
        "kind = load_env('scienceworld')\nkind.warm(kind.Config())\n"
        "assert card('scienceworld', kind, {}).splits['train'] == 3592\n"
        "assert psutil.Process().children() == []\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert plugins.load("envserver.envs", "scienceworld", Env, extras=EXTRAS) is ScienceWorld
