"""repo: every family's gold fix is rewarded in full, doing nothing is not, and nothing hostile earns or harms."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from repos import KEY, begun, call, gold, said, sourced

from envserver import Task
from envserver.catalogue import BadOption, configured
from envserver.client import Gym
from envserver.envs._repo.defects import changed, defects
from envserver.envs._repo.inside import same, shown
from envserver.envs._repo.keys import PARTS, SHARES, families, family, parse
from envserver.envs._repo.making import make
from envserver.envs._repo.project import drawn_project, sources
from envserver.envs._repo.work import Judged
from envserver.envs.repo import Repo
from envserver.launch import launch
from envserver.numbered import SIZES
from envserver.sandboxes.base import DEFAULT, load_backend, open_sandbox

NAMES = families()
HERE = load_backend(DEFAULT).probe().available
pytestmark = pytest.mark.skipif(not HERE, reason=f"this host cannot run the sandbox '{DEFAULT}'")


def test_there_are_eight_families_or_more():
    assert len(NAMES) >= 8


DIALS = (("train", "n1-k1-r1"), ("valid", "n2-k1-r2"), ("test", "n1-k2-r3"))


@pytest.mark.parametrize(
    ("name", "split", "dials"),
    [
        pytest.param(name, *DIALS[(at + turn) % 3], marks=[pytest.mark.slow] if turn else [])
        for turn in range(3)
        for at, name in enumerate(NAMES)
    ],
)
def test_gold_is_rewarded_in_full_and_doing_nothing_is_not(name, split, dials):
    world, _ = begun(f"{name}/{dials}/{split}/0007")
    idle = world.copy().step(call("submit"))
    assert (idle.terminated, idle.success, idle.reward) == (True, False, 0.0)
    passed = f"{sum(world.work.before)} of {len(world.work.before)} hidden tests pass; 0 that passed before fail."
    assert idle.observation.text == passed
    calls, result = gold(world)
    assert (result.success, result.reward) == (True, 1.0)
    assert [action.tool for action in calls] == ["read", "edit"] * len(world.work.gold()) + ["submit"]


@pytest.mark.slow  # a thousand repositories are made: minutes
@pytest.mark.parametrize("split", SIZES)
def test_hundreds_of_each_split_are_made_and_are_different(split):
    config, seen = Repo.Config(), set()
    keys = Repo.tasks(config, split)
    for key in keys[: 27 * len(NAMES)]:
        made = make(parse(key), 0, DEFAULT)
        assert made.before.count(False) >= 2
        seen.add((made.issue, *made.base.values()))
    assert len(seen) >= 0.99 * 27 * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_family_has_defects_for_every_split_and_no_two_splits_share_a_line(name):
    owner: dict[str, str] = {}
    for split, shares in SHARES.items():
        found = defects(name, split, shares, PARTS)
        assert len({defect.function for defect in found}) >= 4, (name, split)
        assert len({defect.kind for defect in found}) >= 4, (name, split)
        for defect in found:
            assert owner.setdefault(defect.site, split) == split
            text = sources(name)[defect.module]
            wrong = changed(text, [defect])
            assert wrong != text
            ast.parse(wrong)


def test_a_repository_has_its_splits_defects_however_it_is_named():
    for split, shares in SHARES.items():
        sites = {defect.site for defect in defects("cache", split, shares, PARTS)}
        for number in range(2):
            assert set(make(parse(f"cache/n1-k1-r1/{split}/{number:04d}"), 1, DEFAULT).sites) <= sites


def test_names_constants_and_layout_are_drawn():
    drawn = [drawn_project(family("inventory"), Random(seed), "") for seed in range(12)]
    assert len({project.package for project in drawn}) >= 3
    assert len({project.files()[project.path("stock")] for project in drawn}) == 12
    project = drawn[0]
    assert f"CAPACITY = {project.constants['CAPACITY']}\n" in project.files()[project.path("stock")]
    assert f"({project.constants['CAPACITY']} unless given)" in project.readme()
    assert {begun(KEY, seed)[0].work.root for seed in range(8)} == {"", "src/", "lib/"}


def test_more_packages_are_more_files_and_more_defects_are_in_several_functions():
    one, three = begun("routes/n1-k1-r1/train/0001")[0], begun("routes/n3-k1-r1/train/0001")[0]
    assert len(list(three.tree)) > 2 * len(list(one.tree))
    work = begun("settings/n1-k3-r1/train/0001")[0].work
    assert len(work.sites) == 3
    assert len({site.partition(":")[0] for site in work.sites}) == 3


def test_reports_are_as_precise_as_asked_and_never_name_the_line():
    texts = {}
    for level in (1, 2, 3):
        for number in range(4):
            work = begun(f"columns/n1-k1-r{level}/train/{number:04d}")[0].work
            texts[level] = work.issue
            (path,) = work.gold()
            wrong = set(work.base[path].decode().splitlines()) - set(work.gold()[path].splitlines())
            assert all(line.strip() not in work.issue for line in wrong if len(line.strip()) > 12)
    assert "Expected: " in texts[1]
    assert "What I get: " in texts[1]
    assert "Expected" not in texts[2]
    assert "holds" in texts[2] + texts[3] or "README" in texts[2] or "count on" in texts[2]
    assert len(texts[3]) < len(texts[1])


def test_the_reward_is_the_share_from_what_passed_before_and_what_breaks_counts():
    before = (False, False, True, True)
    assert Judged(before, before).share == 0
    assert Judged((True, False, True, True), before).share == 0.5
    assert Judged((True, True, True, False), before).share == 0.5
    assert Judged((True, False, False, True), before).share == 0
    assert Judged((False, False, False, False), before).share == 0
    assert Judged((True,) * 4, before).share == 1
    assert Judged((True,) * 4, before).solved


def test_all_or_nothing_pays_no_share():
    key = "inventory/n1-k2-r1/train/0003"
    for reward, pays in (("share", True), ("all", False)):
        world, _ = begun(key, reward=reward)
        half = world.copy()
        assert gold(world)[1].reward == 1
        paths = list(half.work.gold())
        text = half.work.gold()[paths[0]] if len(paths) > 1 else None
        if text is None:
            have, want = half.work.base[paths[0]].decode(), half.work.gold()[paths[0]]
            at = next(at for at, pair in enumerate(zip(have, want, strict=False)) if pair[0] != pair[1])
            text = want[: want.index("\n", at)] + have[have.index("\n", at) :]
        half.step(call("write", path=paths[0], text=text))
        result = half.step(call("submit"))
        assert result.success is False
        assert (0 < result.reward < 1) is pays


CHEATS = {
    "patched assertions": "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\n",
    "an exit that says all is well": "import os\nos._exit(0)\n",
    "SystemExit": "import sys\nsys.exit(0)\n",
    "the parent killed": "import os\nos.kill(os.getppid(), 9)\n",
    "an answer of one's own": 'import os\nos.write(1, b\'[{"value": "1"}]\')\n',
    "endless": "while True:\n    pass\n",
    "memory": "x = 'x' * (1 << 33)\n",
    "a syntax error": "def f(:\n",
    "an object that equals all": "import builtins\nclass All:\n    def __eq__(s, o): return True\n"
    "builtins.dict = builtins.list = lambda *a: All()\n",
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_earns_nothing(name, monkeypatch):
    from envserver.envs import repo

    monkeypatch.setattr(repo, "CASES_S", 3.0)
    world, _ = begun("workflow/n1-k1-r1/test/0003")
    path = sourced(world)
    text = CHEATS[name] + world.work.base[path].decode()
    assert "lines." in said(world, "write", path=path, text=text)
    world.step(call("write", path="tests/conftest.py", text="import os\nos._exit(0)\n"))
    result = world.step(call("submit"))
    assert (result.reward, result.success) == (0.0, False), result.observation.text


def test_no_right_answer_is_where_programs_run(monkeypatch):
    from envserver.envs._repo import made

    world, _ = begun("formula/n1-k1-r2/test/0002")
    asked = []

    class Spied:
        def __init__(self, backend):
            self.box = open_sandbox(backend)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.box.close()

        def run(self, *, python, stdin, limits):
            asked.append((python, json.loads(stdin)))
            return self.box.run(python=python, stdin=stdin, limits=limits)

    monkeypatch.setattr(made, "open_sandbox", Spied)
    world.step(call("run_tests"))
    world.step(call("submit"))
    (suite, seen), (inside, judged) = asked
    assert seen.keys() == {"files", "root", "path"}
    assert judged.keys() == {"files", "root", "cases"}
    for case, wanted in zip(world.work.cases, world.work.wanted, strict=True):
        assert not any(case in text for text in (suite, inside, *seen["files"].values()))
        if len(wanted.get("value", "")) > 12:
            assert wanted["value"] not in "".join(judged["cases"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("while True:\n    pass\n", "(The tests did not end within 1 s.)"),
        ("import os\nos.kill(os.getpid(), 9)\n", "(Signal 9 ended the tests.)"),
        ("import os\nos._exit(7)\n", "(Exit code 7.)"),
        ("while True:\n    print('x' * 10000)\n", "(The tests wrote too much and were ended.)"),
        ("print('\\ud800' 'half')\n", "half"),
        (
            "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertIs(object(), 3)\n",
            "at 0x...",
        ),
    ],
)
def test_a_hostile_test_is_ended_and_told(text, says):
    world, _ = begun(test_timeout_s=1.0)
    assert "lines." in said(world, "write", path="tests/test_x.py", text=text)
    result = world.step(call("run_tests", path="tests/test_x.py"))
    assert says in result.observation.text
    assert len(result.observation.text) < 9000
    assert not result.over
    assert gold(world)[1].success


def test_what_tests_write_is_not_in_the_repository_and_not_in_the_next_run():
    world, _ = begun()
    world.step(
        call(
            "write",
            path="tests/test_x.py",
            text="import os\nprint(sorted(os.listdir('/tmp')))\nopen('/tmp/a', 'w')\nopen('b', 'w')\n",
        )
    )
    first = said(world, "run_tests", path="tests/test_x.py")
    assert "[]" in first
    assert said(world, "run_tests", path="tests/test_x.py") == first
    assert said(world, "read", path="b") == "There is no file 'b'."


def test_visible_tests_can_be_run_by_file_and_pass_once_it_is_right():
    world, _ = begun()
    for action in gold(world)[0][:-1]:
        world.step(action)
    text = said(world, "run_tests")
    assert text.endswith("OK")
    assert "tests in ... s" in text
    path = next(path for path in world.tree if path.startswith("tests/test_"))
    assert said(world, "run_tests", path=path).endswith("OK")
    assert said(world, "run_tests", path="tests/none.py") == "There is no test file 'tests/none.py'."
    assert said(world, "run_tests", path="README.md") == "There is no test file 'README.md'."


def test_outcomes_are_the_same_for_what_is_equal():
    assert shown(2) == shown(2.0)
    assert shown({"a": 1, "b": 2}) == shown({"b": 2, "a": 1.0})
    assert shown(0.1 + 0.2) == shown(0.3)
    assert shown((1, 2)) != shown([1, 2])
    assert shown("2") != shown(2)
    assert shown(True) != shown(1)
    assert same({"raises": ["OutOfStock", "ValueError"]}, {"raises": ["Worse", "OutOfStock", "ValueError"]})
    assert not same({"raises": ["OutOfStock"]}, {"raises": ["ValueError"]})
    assert not same({"value": "1"}, {"raises": ["ValueError"]})


def test_the_expert_mends_whatever_a_player_has_done():
    world, _ = begun("agenda/n1-k1-r1/train/0005")
    path = sourced(world)
    other = next(one for one in world.tree if one.endswith(".py") and "/" in one and one != path and "test" not in one)
    world.step(call("write", path=other, text="raise SystemExit\n"))
    world.step(call("edit", path=path, new="# nothing\n" * 30, start=1, end=20))
    assert gold(world)[1].success
    world.step(call("write", path=path, text=""))
    assert gold(world)[1].success


def test_a_fork_goes_its_own_way():
    world, _ = begun()
    twin = world.copy()
    path = sourced(world)
    twin.step(call("write", path=path, text="broken ="))
    assert world.tree.written == {}
    assert gold(world)[1].success
    assert twin.step(call("submit")).reward == 0


def test_calls_are_counted_and_what_is_not_handed_in_earns_nothing():
    world, _ = begun(max_steps=3)
    world.step(call("read", path=sourced(world)))
    world.step(world.expert())
    result = world.step(call("ls"))
    assert (result.truncated, result.success, result.reward) == (True, False, 0.0)
    assert result.observation.text.endswith("No call is left; nothing was handed in.")


def test_the_same_key_and_seed_make_the_same_in_another_process():
    code = "from hashlib import md5\n"
    code += "from envserver.envs._repo.keys import parse\nfrom envserver.envs._repo.making import make\n"
    code += f"m = make(parse('{KEY}'), 3, 'namespace')\n"
    code += "print(md5(repr((m.issue, m.base, m.cases, m.wanted)).encode()).hexdigest())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert make(parse(KEY), 3, DEFAULT).issue != make(parse(KEY), 4, DEFAULT).issue


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "keys look like inventory/n1-k1-r1/train/0042"),
        ("inventory/n1-k1-r1/train/42", "keys look like"),
        ("inventory/n1-k1-r1/train/0042\n", "keys look like"),
        ("shop/n1-k1-r1/train/0042", "no family 'shop'; there are: agenda"),
        ("inventory/n4-k1-r1/train/0042", "n, k and r are 1 to 3, not n4-k1-r1"),
        ("inventory/n1-k1-r1/dev/0042", "no split 'dev'"),
        ("inventory/n1-k1-r1/test/1000", "0000 to 0999"),
    ],
)
def test_a_key_that_names_nothing_is_refused_with_the_reason(key, says):
    with pytest.raises(KeyError, match=says):
        begun(key)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"families": {"shop": 1}}, "no family is named 'shop'"),
        ({"families": {"cache": 0}}, "the weight of 'cache' is 1 to 100"),
        ({"packages": 4}, "less than or equal to 3"),
        ({"reward": "dense"}, "'share' or 'all'"),
        ({"defekts": 1}, "did you mean 'defects'"),
    ],
)
def test_a_wrong_option_is_refused_with_the_reason(options, says):
    with pytest.raises(BadOption, match=says):
        configured(Repo, options)


def test_listings_hold_a_thousand_and_mix_families():
    config = Repo.Config(families={"cache": 3, "routes": 1}, packages=2, defects=2, report=3)
    assert [len(Repo.tasks(config, split)) for split in SIZES] == [10_000, 1_000, 1_000]
    assert sum(key.startswith("cache/n2-k2-r3/") for key in Repo.tasks(config, "train")[:40]) == 30


async def test_it_is_served_with_its_tools(tmp_path):
    with launch(["repo"], workers=1, expert=True, log=tmp_path / "log") as served:
        async with Gym(served.url, timeout_s=60) as gym:
            world = await gym.open(Task(env="repo", key="settings/n1-k1-r1/valid/0003"))
            names = [tool.name for tool in world.opened.tools]
            assert names == ["ls", "read", "search", "edit", "write", "run_tests", "submit"]
            fork = await world.fork()
            while not world.over:
                result = await world.step(await world.expert())
            assert (result.success, result.reward) == (True, 1.0)
            result = await fork.step(call("submit"))
            assert (result.success, result.reward) == (False, 0.0)
