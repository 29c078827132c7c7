"""The four import names are this project's alone."""

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import agents
import trainers

NAMES = ("envserver", "agents", "trainers", "skills_db")


@pytest.mark.parametrize("name", NAMES)
def test_an_import_name_has_one_owner(name):
    owners = set(packages_distributions().get(name, ["turnhalle"]))
    assert owners == {"turnhalle"}


def test_the_packages_are_neighbours():
    assert Path(agents.__file__).parents[1] == Path(trainers.__file__).parents[1]


def test_another_distributions_agents_is_told_in_a_sentence(tmp_path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("class Agent: ...\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import agents; import trainers"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: the import name 'agents' belongs to another distribution here")
    assert str(tmp_path) in last
