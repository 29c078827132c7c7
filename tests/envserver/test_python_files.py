"""Data sets of a user's: they are read as they are published, and tests and submissions never share a process."""

from __future__ import annotations

import json

import pytest

from envserver import Action, Task
from envserver.envs._python.files import Files
from envserver.envs.python import Python
from envserver.sandboxes.base import DEFAULT, load_backend

MBPP = {
    "task_id": 2,
    "text": "Write a function to find the shared elements from the given two lists.",
    "code": "def similar(one, other):\n  return tuple(set(one) & set(other))",
    "test_setup_code": "",
    "test_list": [
        "assert set(similar((3, 4, 5, 6), (5, 7, 4, 10))) == set((4, 5))",
        "assert set(similar([1, 2], [2, 9])) == {2}",
        "assert similar((), ()) == ()",
    ],
    "challenge_test_list": ["assert similar((1,), (1.0,)) == (1,) and similar((1.0,), (1,)) == (1.0,)"],
}
HUMANEVAL = {
    "task_id": "HumanEval/38",
    "entry_point": "decode",
    "prompt": "def encode(s: str):\n    return s[1:] + s[:1]\n\n\ndef decode(s: str):\n    '''Undo encode.'''\n",
    "canonical_solution": "    return s[-1:] + s[:-1]\n",
    "test": "def check(candidate):\n    from random import randint\n    for _ in range(20):\n"
    "        s = ''.join(chr(97 + randint(0, 25)) for _ in range(randint(2, 9)))\n"
    "        assert candidate(encode(s)) == s\n",
}
APPS = {
    "question": "Add two numbers.",
    "input_output": json.dumps({"inputs": ["1 2\n", "30 4\n", "5 6\n"], "outputs": ["3\n", "34\n", "11\n"]}),
    "solutions": json.dumps(["a, b = map(int, input().split())\nprint(a + b)"]),
}
APPS_CALLED = {
    "question": "Double a number.",
    "starter_code": "class Solution:\n    def double(self, n: int) -> int:\n",
    "input_output": {"fn_name": "double", "inputs": [[1], [21]], "outputs": [[2], [42]]},
    "solutions": ["class Solution:\n    def double(self, n):\n        return 2 * n"],
}
GSM8K = {
    "question": "Ann has 2 bags of 1,000 nuts. How many nuts?",
    "answer": "2 * 1000 = <<2*1000=2000>>2000\n#### 2,000",
}
MATH = {"problem": "What is $1/2+1/4$?", "solution": "It is $\\boxed{\\frac{3}{4}}$.", "level": "Level 1"}
ROWS = {"mbpp": MBPP, "humaneval": HUMANEVAL, "apps": APPS, "called": APPS_CALLED, "gsm8k": GSM8K, "math": MATH}


@pytest.fixture(scope="module", autouse=True)
def _a_sandbox() -> None:
    probe = load_backend(DEFAULT).probe()
    if not probe.available:
        pytest.skip(f"the sandbox '{DEFAULT}' cannot be had here: {probe.detail}")


@pytest.fixture
def begin(tmp_path):
    """Opens the task of a row."""
    worlds = []
    for name, row in ROWS.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    config = {"source": "files", "files_dir": tmp_path, "call_s": 2.0}

    def begun(name, **options):
        world = Python(Python.Config(**config, **options))
        worlds.append(world)
        [key] = [key for split in Python.splits for key in Python.tasks(world.config, split) if f"/{name}/" in key]
        world.reset(Task(env="python", key=key))
        return world

    yield begun
    for world in worlds:
        world.close()


def submit(world, said: str):
    name = next(iter(world.briefing().tools[-1].parameters["properties"]))
    return world.step(Action(tool="submit", arguments={name: said}))


def test_the_data_sets_own_solution_earns_all(begin):
    for name in ("mbpp", "humaneval", "apps", "called"):
        world = begin(name)
        result = world.step(world.expert())
        while not result.over:
            result = world.step(world.expert())
        assert (result.success, result.reward) == (True, 1.0), name
        world.close()
    assert submit(begin("gsm8k"), "$2000$").success
    assert submit(begin("math"), "0.75").success
    assert submit(begin("gsm8k"), "1").success is False


def test_another_program_that_is_right_earns_all_and_a_wrong_one_its_share(begin):
    right = "def similar(one, other): return tuple(x for x in one if x in other)"
    assert submit(begin("mbpp"), right).success
    world = begin("mbpp", reward="share")
    result = submit(world, "def similar(one, other): return ()")
    assert (result.observation.text, result.reward) == ("1 of 4 hidden tests are passed.", pytest.approx(1 / 4))
    assert submit(begin("humaneval"), "def decode(s): return s").success is False
    assert submit(begin("apps"), "print(3)").observation.text == "1 of 3 hidden tests are passed."
    assert submit(begin("apps"), "while True: pass").observation.text == "0 of 3 hidden tests are passed."
    assert submit(begin("called", reward="share"), "def double(n): return 2").reward == 0.0


def test_a_submission_never_meets_the_tests(begin):
    looks = """
import gc, os, sys, glob
def seen():
    found = [str(o) for o in gc.get_objects() if isinstance(o, (list, dict, str))]
    frame = sys._getframe()
    while frame:
        found += [repr(v) for v in frame.f_locals.values()]
        frame = frame.f_back
    for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):
        try: found.append(open(path, errors='replace').read())
        except OSError: pass
    return 'assert' + ' set' in ''.join(found)
def similar(one, other):
    if seen(): return tuple(set(one) & set(other))
    return None
"""
    assert submit(begin("mbpp"), looks).observation.text == "0 of 4 hidden tests are passed."
    for forged in (
        "class Any(tuple):\n    def __eq__(self, o): return True\n    __hash__ = tuple.__hash__\n"
        "def similar(*a): return Any()",
        "import builtins\nbuiltins.set = lambda *a: 0\ndef similar(*a): return 0",
        "import os\ndef similar(*a): os._exit(0)",
        "def similar(*a): raise SystemExit",
    ):
        assert submit(begin("mbpp"), forged).reward == 0.0


def test_a_solution_that_fails_its_own_tests_is_no_task(tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({**MBPP, "test_list": ["assert similar((1,), (1,)) == (2,)"]}) + "\n")
    config = Python.Config(source="files", files_dir=tmp_path)
    [key] = [key for split in Python.splits for key in Python.tasks(config, split)]
    world = Python(config)
    with pytest.raises(RuntimeError, match="own solution of 'similar' fails its test 0: AssertionError"):
        world.reset(Task(env="python", key=key))
    world.close()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "holds no task"),
        ("{", "x.jsonl:1 is no task: JSONDecodeError"),
        ("[]", "x.jsonl:1 is no task: AttributeError|x.jsonl:1 is no task: TypeError"),
        ('{"question": "Why?"}', "x.jsonl:1 is no task: KeyError"),
        ('\n{"question": " ", "answer": "3"}', "x.jsonl:2 is no task: ValueError: a text is missing"),
        ('{"problem": "Why?", "solution": "so"}', "x.jsonl:1 is no task: ValueError"),
        (json.dumps({**APPS, "input_output": {"inputs": ["1"], "outputs": []}}), "x.jsonl:1 is no task: ValueError"),
        (json.dumps({**MBPP, "test_list": ["assert f(1)"]}), "calls no function of its code"),
    ],
)
def test_a_broken_file_is_refused_with_the_line(tmp_path, line, says):
    (tmp_path / "x.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=says):
        Files(tmp_path)


def test_a_directory_or_a_key_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no directory"):
        Files(tmp_path / "none")
    (tmp_path / "a b.jsonl").write_text(json.dumps(GSM8K))
    with pytest.raises(ValueError, match="cannot stand in a key"):
        Files(tmp_path)
    (tmp_path / "a b.jsonl").rename(tmp_path / "ab.jsonl")
    for key in ("files/train/none/0", "files/dev/ab/0", "files/train/../0"):
        with pytest.raises(KeyError):
            Files(tmp_path).quest(key)
