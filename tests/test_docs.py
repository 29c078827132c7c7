"""Generated pages are current, and everything that has a name has a page."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from envserver import plugins

ROOT = Path(__file__).parents[1]


def _generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["wire.md", "memory.md", "cli.md", "schema.md", "metrics.md"])
def test_a_generated_page_is_what_the_code_would_write(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == _generator().page(name), "run `make docs`"


def test_every_algorithm_has_a_page_and_a_row_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in plugins.names("trainers.algorithms"):
        assert (ROOT / "docs" / "algorithms" / f"{name}.md").exists(), name
        assert f"docs/algorithms/{name}.md" in readme, name


def test_every_environment_has_a_section_and_a_row_in_the_readme() -> None:
    readme, page = (ROOT / "README.md").read_text(), (ROOT / "docs" / "environments.md").read_text()
    for name in plugins.names("envserver.envs"):
        assert re.search(rf"^#+ .*`?{name}`?", page, re.M | re.I), name
        assert f"`{name}`" in readme, name


def test_every_link_in_the_docs_leads_to_a_file() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_file_holds_two_nouns() -> None:
    for package in ("envserver", "agents", "trainers", "skills_db"):
        for path in (ROOT / package).rglob("*.py"):
            lines = len(path.read_text().splitlines())
            assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines"


def test_every_config_file_begins_with_the_command_that_runs_it() -> None:
    for path in (ROOT / "configs").glob("*.toml"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# ")
        assert f"configs/{path.name}" in first, path.name
