"""python: gold earns all, doing nothing and cheating earn nothing, state lasts, and nothing hostile does harm."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from envserver import Action, Task, plugins
from envserver.catalogue import BadOption, configured
from envserver.check import check
from envserver.envs._python.exact import equal, exact
from envserver.envs._python.inside import freeze, thaw
from envserver.envs._python.keys import SHELF, drawn, families, parse
from envserver.envs._python.problem import HIDDEN, Coding
from envserver.envs._python.quest import same
from envserver.envs.python import Python
from envserver.sandboxes.base import DEFAULT, load_backend

SPLITS = ("train", "valid", "test")
STAIRS = "stairs/d2/test/0001"


@pytest.fixture(scope="module", autouse=True)
def _a_sandbox() -> None:
    probe = load_backend(DEFAULT).probe()
    if not probe.available:
        pytest.skip(f"the sandbox '{DEFAULT}' cannot be had here: {probe.detail}")


@pytest.fixture
def begin():
    """Opens an episode; all are closed at the end."""
    worlds = []

    def begun(key=STAIRS, seed=0, **options):
        world = Python(Python.Config(**options))
        worlds.append(world)
        world.reset(Task(env="python", key=key, seed=seed))
        return world

    yield begun
    for world in worlds:
        world.close()


def run(world, code: str) -> str:
    return world.step(Action(tool="run", arguments={"code": code})).observation.text


def submit(world, code: str):
    return world.step(Action(tool="submit", arguments={"code": code}))


@pytest.mark.parametrize("name", plugins.names(SHELF))
def test_gold_and_reference_are_two_programs_that_agree_and_no_constant_passes_much(name):
    for level in (1, 2, 3):
        words = set()
        for number in range(6):
            split = SPLITS[number % 3]
            found = drawn(parse(f"{name}/d{level}/{split}/{number:04d}"), number)
            words.add(found.problem.words)
            scope: dict = {}
            if isinstance(found.problem, Coding):
                exec(found.problem.gold, scope)
                assert len(found.hidden) == HIDDEN
                for case in found.shown + found.hidden:
                    given = scope["solve"](*json.loads(json.dumps(case.arguments)))
                    assert same(freeze(given), case.answer), (found.problem.words, case)
                answers = [json.dumps(case.answer) for case in found.hidden]
                assert max(map(answers.count, answers)) <= HIDDEN // 5
                asked = {json.dumps(case.arguments) for case in found.shown + found.hidden}
                assert len(asked) == HIDDEN + len(found.shown)
            else:
                said: list[str] = []
                scope["print"] = lambda value, said=said: said.append(str(value))
                exec(found.problem.gold, scope)
                assert equal(said[-1], found.problem.value)
        assert len(words) == 6


def test_there_are_a_dozen_families_of_programs_and_some_of_maths_and_a_thousand_tasks_a_split():
    coding = [issubclass(plugins.load(SHELF, name, object), Coding) for name in families()]
    assert sum(coding) >= 12
    assert len(coding) - sum(coding) >= 5
    keys = {split: Python.tasks(Python.Config(), split) for split in SPLITS}
    assert [len(keys[split]) for split in SPLITS] == [10_000, 1_000, 1_000]
    assert {key.partition("/")[0] for key in keys["test"][: len(coding)]} == set(families())
    seen: dict[str, str] = {}
    for split in SPLITS:
        for key in keys[split][:120]:
            words = drawn(parse(key), 0).problem.words
            assert seen.setdefault(words, split) == split
    assert len(seen) > 345


def test_another_process_with_another_hash_seed_draws_the_same_problems():
    code = "from envserver.envs._python.keys import drawn, families, parse; from zlib import crc32\n"
    code += "print([crc32(repr((vars(d.problem)['words'], d.problem.gold, d.shown, d.hidden)).encode())"
    code += " for f in families() for d in [drawn(parse(f'{f}/d2/test/0007'), 3)]])"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_the_expert_of_every_family_earns_all(begin):
    for name in families():
        world = begin(f"{name}/d1/valid/0000")
        tried = world.step(world.expert())
        assert "Error" not in tried.observation.text
        assert tried.reward == 0
        result = world.step(world.expert())
        assert (result.success, result.reward) == (True, 1.0), name
        world.close()


def test_state_lasts_from_call_to_call_and_files_are_as_the_calls_leave_them(begin):
    world = begin(max_steps=50)
    assert run(world, "x = 3\nx * 2") == "6"
    assert run(world, "def f(y):\n    global x\n    x += y\n    return x\nf(4)") == "7"
    assert "ZeroDivisionError" in run(world, "z = 5\n1 / 0")
    assert run(world, "x, z") == "(7, 5)"
    run(world, "open('f', 'a').write('a'); open('/tmp/g', 'a').write('b')")
    assert run(world, "open('f').read(), open('/tmp/g').read()") == "('a', 'b')"
    assert "SyntaxError" in run(world, "def f(:")
    assert run(world, "import sys\nsys.exit(3)") == "SystemExit: 3"
    assert "EOFError" in run(world, "input()")
    assert run(world, "print('one')\nimport sys\nprint('two', file=sys.stderr)") == "one\ntwo"
    assert run(world, "pass") == "(no output)"
    assert world.step(Action(tool="restart")).observation.text == "Nothing is left of what was run."
    assert "NameError" in run(world, "x")


def test_what_hangs_crashes_or_floods_is_told_and_the_state_is_as_it_was(begin):
    world = begin(max_steps=50, call_s=1.0)
    run(world, "x = 3")
    not_kept = "This call is not kept: all is as it was before it."
    for code, says in (
        ("x = 4\nwhile True: pass", "It did not end within 1 s."),
        ("x = 4\nimport os; os._exit(0)", "It ended the interpreter."),
        ("x = 4\nimport os; os.kill(os.getpid(), 9)", "(signal 9)"),
        ("x = 4\nprint('a' * 5_000_000)", "It wrote more than 1 MiB."),
        ("x = [4] * 10**9", "It took too much memory."),
    ):
        said = run(world, code)
        assert says in said
        assert said.endswith(not_kept)
        assert len(said) < 9000
    assert "Resource temporarily unavailable" in run(world, "import os\nwhile True: os.fork()")
    assert run(world, "x") == "3"
    assert "characters left out" in run(world, "print('b' * 20_000)")
    assert run(world, "import random, os\nrandom.random(), hash('a'), {'a', 'b', 'c'}, object()") == run(
        begin(), "import random, os\nrandom.random(), hash('a'), {'a', 'b', 'c'}, object()"
    )


CHEATS = {
    "nothing": "def solve(*a): return None",
    "exit": "import sys\ndef solve(*a): sys.exit(0)",
    "hard exit": "import os\ndef solve(*a): os._exit(0)",
    "forged": "import os\nfor fd in range(3, 30):\n    try:\n"
    "        for n in range(20): os.write(fd, b'[%d, true, 0]\\n' % n)\n"
    "    except OSError: pass\ndef solve(*a): os._exit(0)",
    "printed": "def solve(*a): print('[0, true, 1]'); return 'All 20 hidden tests are passed.'",
    "always equal": "class Any(int):\n    def __eq__(self, o): return True\ndef solve(*a): return Any(1)",
    "patched": "import json, builtins\njson.dumps = lambda *a, **k: '[0, true, null]'\nbuiltins.all = lambda x: True\n"
    "def solve(*a): return True",
    "frames": "import sys\ndef solve(*a):\n    f = sys._getframe()\n    while f.f_back: f = f.f_back\n"
    "    return [v for v in f.f_globals.values() if isinstance(v, int)]",
    "reads": "import glob\ndef solve(*a): return [open(p).read() for p in glob.glob('/**/*answer*', recursive=True)]",
    "loop": "def solve(*a):\n    while True: pass",
    "flood": "def solve(*a): return 'x' * 10_000_000",
    "bomb": "import os\ndef solve(*a):\n    while True: os.fork()",
    "deep": "def solve(*a):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "odd": "def solve(*a): return object()",
    "nan": "def solve(*a): return float('nan')",
}


@pytest.mark.parametrize("name", CHEATS)
@pytest.mark.parametrize("key", ["paths/d1/train/0000", "strings/d2/train/0001"])
def test_a_cheat_earns_nothing(begin, name, key):
    result = submit(begin(key, reward="share", call_s=1.0), CHEATS[name])
    assert result.terminated
    assert (result.success, result.reward) == (False, 0.0)


@pytest.mark.parametrize("name", [name for name in families() if issubclass(plugins.load(SHELF, name, object), Coding)])
def test_the_shown_examples_by_heart_and_the_input_given_back_earn_nothing(begin, name):
    world = begin(f"{name}/d2/test/0002", reward="share")
    shown = [line for line in world.quest.question.splitlines() if line.startswith("solve(") and " == " in line]
    assert len(shown) == 2
    table = "".join(
        f"    if repr(a) == repr(({line[6:].partition(') == ')[0]},)): return {line.partition(') == ')[2]}\n"
        for line in shown
    )
    first = shown[0].partition(") == ")[2]
    result = submit(world, f"def solve(*a):\n{table}    return {first}\n")
    assert (result.success, result.reward) == (False, 0.0)
    assert submit(begin(f"{name}/d2/test/0002"), "def solve(*a): return a[0]").reward == 0.0


def test_share_pays_what_a_constant_does_not(begin):
    world = begin("stairs/d1/train/0003", reward="share")
    quest = world.quest
    gold = quest.gold.replace("def solve", "def gold")
    known = sorted(arguments[0] for arguments, _ in quest.cases)[:10]
    result = submit(world, f"{gold}\ndef solve(n): return gold(n) if n in {known} else None")
    assert result.observation.text == "10 of 20 hidden tests are passed."
    assert result.reward == pytest.approx((10 - quest.guess) / (20 - quest.guess))
    assert 0 < result.reward <= 0.5


def test_what_cannot_be_called_is_told_and_costs_a_step_and_no_more(begin):
    world = begin()
    for code, says in (
        ("def solve(:", "SyntaxError"),
        ("x = 1", "it defines no function solve"),
        ("raise ValueError('no')", "ValueError: no"),
        ("import os; os._exit(0)", "It ended the interpreter."),
    ):
        result = submit(world, code)
        assert says in result.observation.text
        assert not result.over
    assert submit(world, world.quest.gold).success


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (Action(text="print(1)"), "Call a tool: run, restart, submit."),
        (Action(tool="fly"), "There is no tool 'fly'; there are: run, restart, submit."),
        (Action(tool="run"), "run needs code, a string."),
        (Action(tool="run", arguments={"code": 3}), "code of run must be a string, not an integer."),
        (Action(tool="run", arguments={"code": "1", "x": 1}), "run takes no 'x'; it takes code."),
        (Action(tool="run", arguments={"code": "#" * 70_000}), "That is longer than 65536 characters."),
        (Action(tool="submit", arguments={"answer": "3"}), "submit needs code, a string."),
        (Action(tool="run", arguments={"code": "'\ud800'"}), "'\\ud800'"),
        (Action(tool="run", arguments={"code": "\0"}), "SyntaxError: source code string cannot contain null bytes"),
        (Action(tool="run", arguments={"code": "(" * 60_000}), "SyntaxError: too many nested parentheses"),
        (Action(tool="run", arguments={"code": "-" * 60_000 + "1"}), "Error"),
    ],
)
def test_a_hostile_call_is_answered(begin, action, says):
    world = begin()
    result = world.step(action)
    assert says in result.observation.text
    assert not result.over
    assert world.steps == 1
    result.model_dump_json()


def test_calls_run_out_and_a_wrong_value_ends(begin):
    world = begin("dice/d1/test/0000", max_steps=2)
    assert not world.step(Action(tool="run", arguments={"code": "1"})).over
    assert world.step(Action(tool="run", arguments={"code": "1"})).truncated
    world = begin("dice/d1/test/0000")
    assert world.step(Action(tool="submit", arguments={"answer": "7/3"})).success is False
    world = begin("dice/d1/test/0000")
    assert world.step(Action(tool="submit", arguments={"answer": f"  {world.quest.right} "})).success is True


def test_a_copy_goes_its_own_way(begin):
    world = begin()
    run(world, "x = 1")
    twin = world.copy()
    run(world, "x = 2")
    assert run(twin, "x") == "1"
    assert submit(twin, world.quest.gold).success
    assert run(world, "x") == "2"
    twin.close()


def test_ordinary_play_is_the_same_in_every_process():
    class Same(Python):
        """The same, held to what it does not promise."""

        deterministic = True

    findings = check(Same, tasks_per_split=1, steps=4)
    assert not findings, findings


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("stairs/d4/train/0000", "d is 1 to 3"),
        ("stares/d1/train/0000", "no family 'stares'; there are: alphabets"),
        ("stairs/d1/dev/0000", "no split 'dev'"),
        ("stairs/d1/test/1000", "0000 to 0999"),
        ("stairs/d1/train/42", "keys look like"),
        ("files/train/x/0", "has no files of tasks"),
    ],
)
def test_a_key_that_names_nothing_is_refused_with_the_reason(key, says):
    with pytest.raises(KeyError, match=says):
        Python(Python.Config()).reset(Task(env="python", key=key))


def test_a_wrong_option_is_refused_with_the_reason():
    for options, says in (
        ({"families": {"stares": 1}}, "no family is named 'stares'"),
        ({"families": {"stairs": 0}}, "the weight of 'stairs' is 1 to 100, not 0"),
        ({"source": "files"}, "needs the server's directory"),
    ):
        with pytest.raises(BadOption, match=says):
            configured(Python, options)


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [
        ("0.75", "3/4", True),
        (r"\dfrac{3}{4}", "0.75", True),
        ("(x+1)^2", "x^2+2x+1", True),
        (r"2\sqrt{2}", "sqrt(8)", True),
        (r"\frac{\sqrt{3}}{3}", "1/sqrt(3)", True),
        ("1/(1+sqrt(2))", "sqrt(2)-1", True),
        (r"\frac{\pi}{6}", "pi/6", True),
        ("1,234", "1234", True),
        ("x = 5", "5", True),
        ("(1, 2)", "(1,2)", True),
        ("-3^2", "-9", True),
        ("0.333", "1/3", False),
        ("x", "y", False),
        ("", "", False),
        ("9**9**9", "1", False),
        ("__import__('os')", "1", False),
        ("1/0", "0", False),
        ("(" * 250, "1", False),
        ("True", "1", False),
    ],
)
def test_values_are_compared_exactly(one, other, are):
    assert equal(one, other) is are


def test_a_hostile_value_is_none_and_quick():
    for text in (
        "9" * 300,
        "(1+sqrt(2)+sqrt(3)+sqrt(5)+sqrt(7)+x+y+z)^99",
        "2^99^99",
        "sqrt(10^40)",
        "1e400",
        "[1]",
        "a.b",
    ):
        assert exact(text) is None or len(text) == 300


def test_plain_data_come_back_as_they_went():
    for value in (
        None,
        True,
        1,
        -(10**5000),
        1.5,
        "a\ud800",
        [1, (2, {3, "x"})],
        {1: (2,), "a": b"\0"},
        frozenset({1}),
        1j,
    ):
        assert thaw(json.loads(json.dumps(freeze(value)))) == value
    for value in (object(), len, iter([])):
        with pytest.raises(TypeError):
            freeze(value)
    assert not same(freeze(True), 1)
    assert not same(freeze(1.0), 1)
    assert same(freeze((1, 2)), [1, 2])
    assert same(freeze({"a": (1,)}), {"a": [1]})
