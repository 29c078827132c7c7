"""A run's config: the file, the settings on top, and every way to get them wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trainers import recipe
from trainers.config import RunConfig
from trainers.plugged import BadConfig

KEYDOOR = {"name": "run", "env": {"name": "keydoor"}}


def test_settings_on_top_are_read_as_toml_and_bare_words_as_text() -> None:
    pairs = ["learner.lr=3e-4", "env.url=http://127.0.0.1:8000", "model.path=/some/where", "learner.betas=[0.9, 0.99]"]
    found = recipe.resolve(KEYDOOR, [*pairs, "env.options.doors=2", "learner.autocast=true"])
    assert found.learner.lr == 3e-4
    assert found.learner.betas == (0.9, 0.99)
    assert found.learner.autocast is True
    assert found.env.url == "http://127.0.0.1:8000"
    assert found.env.options == {"doors": 2}
    assert found.model.path == Path("/some/where")


def test_a_database_password_is_refused_for_config_json_would_show_it() -> None:
    with pytest.raises(BadConfig, match="it holds a password") as refusal:
        recipe.resolve(KEYDOOR, ["store.url=postgresql://me:hunter2@db/runs"])
    assert "hunter2" not in str(refusal.value)
    assert recipe.resolve(KEYDOOR, ["store.url=postgresql://me@db/runs"]).store.url == "postgresql://me@db/runs"


def test_a_name_picks_the_plugin_and_the_type_of_its_table() -> None:
    found = recipe.resolve({**KEYDOOR, "algorithm": {"name": "dapo"}}, ["algorithm.clip_high=0.3"])
    assert found.algorithm.model_dump()["overlong_filter"] is True
    assert found.algorithm.model_dump()["clip_high"] == 0.3
    assert recipe.resolve(KEYDOOR, ["algorithm=rloo"]).algorithm.model_dump()["name"] == "rloo"


def test_a_setting_without_a_name_is_the_defaults() -> None:
    found = recipe.resolve(KEYDOOR, ["algorithm.clip_high=0.3"]).algorithm.model_dump()
    assert (found["name"], found["clip_high"]) == ("grpo", 0.3)


def test_settings_on_top_leave_the_table_as_it_was() -> None:
    table = {**KEYDOOR, "algorithm": {"name": "dapo"}}
    recipe.resolve(table, ["algorithm.clip_high=0.4", "env.options.doors=2"])
    assert table == {**KEYDOOR, "algorithm": {"name": "dapo"}}


def test_a_short_name_in_the_file_takes_settings_on_top() -> None:
    found = recipe.resolve({**KEYDOOR, "algorithm": "dapo"}, ["algorithm.clip_high=0.4"])
    assert found.algorithm.model_dump()["name"] == "dapo"
    assert found.algorithm.model_dump()["clip_high"] == 0.4


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (["learner.lrr=1"], "no setting 'learner.lrr'; did you mean 'learner.lr'?"),
        (["lerner.lr=1"], "no setting 'lerner'; did you mean 'learner'?"),
        (["model.scratch.hiden=64"], "did you mean 'model.scratch.hidden'?"),
        (["algorithm.clip_hgh=0.3"], "did you mean 'algorithm.clip_high'?"),
        (["algorithm=grppo"], "did you mean 'grpo'?"),
        (["format.name=plane"], "did you mean 'plain'?"),
        (["context.window=3"], "there is no setting 'context.window'"),
        (["shapers=[{limit = 3}]"], "[shapers] needs a name"),
        (["learner.lr=fast"], "learner.lr = 'fast' is refused"),
        (["learner.lr=-1"], "learner.lr = -1 is refused"),
        (["learner.schedule=cosine"], "needs total_steps"),
        (["player.temperature=0"], "player.temperature = 0 is refused"),
        (["name=../escape"], "name = '../escape' is refused"),
        (["steps"], "'steps' is not key=value"),
        (["seed.deep=1", "seed.deep.er=2"], "is no table"),
        (["sft.budget=1000", "steps=3"], "not both"),
    ],
)
def test_a_mistake_is_refused_in_one_sentence(pairs: list[str], says: str) -> None:
    with pytest.raises(BadConfig) as refused:
        recipe.resolve(KEYDOOR, pairs)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"steps = ", "not well-formed"),
        (b"\xff\xfe", "cannot be read"),
        (None, "there is no file"),
        (b"", "'env' is mi"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "a.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadConfig, match=says):
        recipe.read(file)


def test_a_run_written_as_json_is_read_as_the_same_run(tmp_path: Path) -> None:
    found = recipe.resolve(KEYDOOR, ["algorithm=ppo", "format=react", "model.lora.r=4", "sft.budget=1000"])
    (tmp_path / "config.json").write_text(recipe.text(found))
    assert recipe.read(tmp_path / "config.json") == found


def test_a_token_is_written_nowhere() -> None:
    found = recipe.resolve(KEYDOOR, ["env.token=hunter2"])
    assert found.env.token == "hunter2"
    assert "hunter2" not in recipe.text(found)
    assert "hunter2" not in str(list(recipe.settings(found)))


def test_the_papers_budget_buys_60_demonstrations_and_400_episodes() -> None:
    pairs = ["sft.budget=1000", "sampling.tasks_per_step=10", "sampling.group_size=4"]
    found = recipe.resolve(KEYDOOR, pairs)
    assert found.sft.demonstrations == 60
    assert found.steps == 400 // 40
    assert recipe.resolve(KEYDOOR, [*pairs, "sft.share=0"]).steps == 1000 // 40


def test_every_setting_says_what_it_means() -> None:
    found = recipe.resolve({**KEYDOOR, "model": {"lora": {}}})
    silent = [key for key, _, meaning in recipe.settings(found) if not meaning]
    assert silent == []


def test_every_recipe_in_configs_resolves_and_says_its_command() -> None:
    files = sorted(Path("configs").glob("*.toml"))
    assert files
    for file in files:
        assert isinstance(recipe.read(file), RunConfig)
        first = file.read_text().splitlines()[0]
        assert re.match(rf"# trainer (train|serve-and-learn) configs/{re.escape(file.name)} ", first), first


def test_help_imports_neither_torch_nor_a_database_nor_a_server() -> None:
    heavy = ("torch", "transformers", "sqlalchemy", "fastapi", "matplotlib", "numpy")
    code = (
        "import sys\nfrom trainers.cli import main\n"
        "try:\n    main(['train', '--help'])\nexcept SystemExit as ended:\n    assert ended.code == 0, ended.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
