"""Published instances: read as they are published, judged by tests that are laid in at the end, and hard to cheat.

What needs an image runs twice: on the sandbox `namespace` with the repository laid into it, always, and on an engine:

pytest -m docker tests/envserver/test_repo_instances.py     # builds its image
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boxes import opened

from envserver import Action, Task
from envserver.catalogue import BadOption, configured
from envserver.envs._repo import published as published_module
from envserver.envs._repo.instances import Instances
from envserver.envs.repo import Repo

IMAGE = "turnhalle-test-instance"
DOCKERFILE = """
FROM python:3.11-slim
RUN pip install -q pytest && apt-get update -qq && apt-get install -y -qq git >/dev/null
COPY testbed /testbed
"""
SHOP = (
    "def total(prices, discount=0):\n    return sum(prices) - discount\n\n\n"
    "def average(prices):\n    return sum(prices) / len(prices)\n"
)
FILES = {
    "shop/__init__.py": SHOP,
    "tests/test_shop.py": (
        "from shop import average, total\n\n\ndef test_total():\n    assert total([1, 2], 1) == 2\n\n\n"
        "def test_average():\n    assert average([1, 3]) == 2\n"
    ),
    ".git/HEAD": "the solution\n",
}
TEST_PATCH = """diff --git a/tests/test_shop.py b/tests/test_shop.py
--- a/tests/test_shop.py
+++ b/tests/test_shop.py
@@ -8,2 +8,10 @@
 def test_average():
     assert average([1, 3]) == 2
+
+
+def test_nothing_has_an_average():
+    assert average([]) == 0
+
+
+def test_a_total_is_never_below_nothing():
+    assert total([1], 5) == 0
"""
PATCH = """diff --git a/shop/__init__.py b/shop/__init__.py
--- a/shop/__init__.py
+++ b/shop/__init__.py
@@ -1,2 +1,2 @@
 def total(prices, discount=0):
-    return sum(prices) - discount
+    return max(0, sum(prices) - discount)
@@ -5,2 +5,2 @@
 def average(prices):
-    return sum(prices) / len(prices)
+    return sum(prices) / len(prices) if prices else 0
"""
T = "tests/test_shop.py::test_"
ROW: dict[str, Any] = {
    "instance_id": "acme__shop-1",
    "repo": "acme/shop",
    "base_commit": "0123456789abcdef",
    "problem_statement": "average([]) raises ZeroDivisionError; it should be 0. Totals go below 0.",
    "FAIL_TO_PASS": json.dumps([f"{T}nothing_has_an_average", f"{T}a_total_is_never_below_nothing"]),
    "PASS_TO_PASS": [f"{T}total", f"{T}average"],
    "test_patch": TEST_PATCH,
    "patch": PATCH,
    "image_name": IMAGE,
}
PYTEST = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


def call(tool: str, **arguments: Any) -> Action:
    return Action(tool=tool, arguments=arguments)


@pytest.fixture(scope="module")
def built() -> None:
    """The image, on an engine."""
    docker = pytest.importorskip("docker", reason="the sandbox `docker` needs its extra")
    opened("docker", spare=0).close()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in {
            "Dockerfile": DOCKERFILE,
            **{f"testbed/{path}": text for path, text in FILES.items()},
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("testbed/outside")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    context.seek(0)
    try:
        docker.from_env().images.build(fileobj=context, custom_context=True, tag=IMAGE, rm=True)
    except docker.errors.DockerException as error:
        pytest.skip(f"the image cannot be built here: {error}")


@pytest.fixture(params=["namespace", pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.slow])])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repo]:
    """An episode of the instance that has begun."""
    row = dict(ROW)
    if request.param == "docker":
        request.getfixturevalue("built")
    else:
        row["home"] = "/work/testbed"

        def with_home(backend: str, options: Any) -> Any:
            assert (backend, options["image"]) == ("docker", IMAGE)
            box = opened("namespace", packages=PYTEST)
            for path, text in FILES.items():
                box.write(f"testbed/{path}", text.encode())
            assert box.run(["ln", "-s", "/etc", "testbed/outside"]).ok
            return box

        monkeypatch.setattr(published_module, "open_sandbox", with_home)
        # What it holds is bounded by what the host has.
        monkeypatch.setattr(
            published_module,
            "SIZES",
            {"memory_bytes": 512 << 20, "disk_bytes": 64 << 20, "files": 4096, "processes": 64},
        )
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    published_module._published.cache_clear()
    options = {"instances_dir": tmp_path, "source": "instances", "judge_timeout_s": 60}
    begun = Repo(Repo.Config(**options))
    (key,) = Repo.tasks(begun.config, "train")
    assert key == "instances/train/acme__shop-1"
    begun.first = begun.reset(Task(env="repo", key=key))  # type: ignore[attr-defined]
    yield begun
    published_module._published.cache_clear()


def test_an_instance_is_played_and_judged(world: Repo) -> None:
    shown = world.first.observation.text  # type: ignore[attr-defined]
    assert shown.startswith("# acme/shop at 0123456789ab\n\naverage([]) raises ZeroDivisionError")
    assert "shop/" in shown
    assert "test_patch" not in shown
    assert world.step(call("read", path="outside/passwd")).observation.text == "There is no file 'outside/passwd'."
    assert world.step(call("ls", path=".git")).observation.text == "There is no directory '.git'."
    tests = world.step(call("run_tests")).observation.text
    assert "2 passed in ... s" in tests
    assert "nothing_has_an_average" not in tests
    idle = world.copy().step(call("submit"))
    assert (idle.reward, idle.success) == (0.0, False)
    half = world.copy()
    half.step(call("edit", path="shop/__init__.py", old="/ len(prices)", new="/ len(prices) if prices else 0"))
    result = half.step(call("submit"))
    assert (result.reward, result.success) == (0.5, False)
    assert result.observation.text == "3 of 4 hidden tests pass; 0 that passed before fail."
    while not (result := world.step(world.expert())).over:  # type: ignore[arg-type]
        pass
    assert (result.reward, result.success) == (1.0, True)


CHEATS = {
    "a hook that reports success": {
        "conftest.py": "import pytest\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
        "    out = yield\n    out.get_result().outcome = 'passed'\n"
    },
    "a source that patches reports": {
        "shop/__init__.py": "import _pytest.reports as r\n"
        "r.TestReport.from_item_and_call = classmethod(lambda c, i, k: c("
        "i.nodeid, i.location, {}, 'passed', None, k.when))\n" + SHOP
    },
    "a source that ends the process well": {"shop/__init__.py": "import os\nos._exit(0)\n"},
    "a source that raises SystemExit": {"shop/__init__.py": "raise SystemExit(0)\n"},
    "tests of one's own": {"tests/test_shop.py": "def test_nothing_has_an_average():\n    pass\n"},
    "another pytest": {"pytest.py": "print('4 passed')\n", "pytest/__main__.py": "print('4 passed')\n"},
    "a start-up hook": {"sitecustomize.py": "import os\nos._exit(0)\n", "pytest.ini": "[pytest]\naddopts = --co\n"},
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_earns_nothing(world: Repo, name: str) -> None:
    for path, text in CHEATS[name].items():
        world.step(call("write", path=path, text=text))
    result = world.step(call("submit"))
    assert (result.reward, result.success) == (0.0, False), result.observation.text


def test_a_plugin_that_the_settings_name_is_not_loaded(world: Repo) -> None:
    world.step(call("write", path="setup.cfg", text="[tool:pytest]\naddopts = -p evil\n"))
    world.step(call("write", path="evil.py", text="def pytest_collection_modifyitems(items):\n    items.clear()\n"))
    result = world.step(call("submit"))
    assert result.observation.text == "2 of 4 hidden tests pass; 0 that passed before fail."


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no instance with an image_name"),
        (lines({**ROW, "image_name": ""}), "holds no instance with an image_name"),
        ("{", "train.jsonl:1 is no instance"),
        (lines([]), "train.jsonl:1 is no instance: it is no object"),
        (lines({**ROW, "problem_statement": 3}), "it has no text 'problem_statement'"),
        (lines({**ROW, "FAIL_TO_PASS": "[]"}), "'FAIL_TO_PASS' is empty"),
        (lines({**ROW, "FAIL_TO_PASS": ["test_x (a.B)"]}), "'FAIL_TO_PASS' is no list of tests as pytest names them"),
        (lines({**ROW, "PASS_TO_PASS": "nothing"}), "train.jsonl:1 is no instance"),
        (lines({**ROW, "instance_id": "../x"}), "cannot be part of a key"),
        (lines({**ROW, "home": "testbed"}), "'home' an absolute path"),
        ("\n" + lines(ROW, ROW), "train.jsonl:3 names 'acme__shop-1' again"),
    ],
)
def test_a_broken_file_is_refused_with_the_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "train.jsonl").write_text(text)
    with pytest.raises(ValueError) as raised:
        Instances(tmp_path)
    assert says in str(raised.value)


def test_lines_without_an_image_are_not_listed_and_splits_are_files(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(lines({**ROW, "image_name": None}, {**ROW, "instance_id": "a-2"}))
    (tmp_path / "test.jsonl").write_text(lines({**ROW, "instance_id": "a-3"}))
    found = Instances(tmp_path)
    assert found.keys("train") == ["instances/train/a-2"]
    assert found.keys("test") == ["instances/test/a-3"]
    assert found.keys("valid") == []
    assert found.instance("instances/train/a-2").fail_to_pass == tuple(json.loads(ROW["FAIL_TO_PASS"]))
    for key in ("instances/test/a-2", "instances/dev/a-3", "instances/train/", "instances/train/../a-2"):
        with pytest.raises(KeyError):
            found.instance(key)


def test_instances_need_a_directory_of_the_server(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="source 'instances' needs the server's directory"):
        configured(Repo, {"source": "instances"})
    with pytest.raises(KeyError, match="has no instances"):
        Repo(Repo.Config()).reset(Task(env="repo", key="instances/train/x-1"))
    with pytest.raises(ValueError, match="is no directory"):
        Instances(tmp_path / "none")


def test_an_image_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(lines({**ROW, "image_name": "turnhalle-no-such-image"}))
    world = Repo(Repo.Config(instances_dir=tmp_path))
    with pytest.raises(RuntimeError, match="'acme__shop-1' needs a container of 'turnhalle-no-such-image'"):
        world.reset(Task(env="repo", key="instances/train/acme__shop-1"))
