"""The command `envserver`, run as a newcomer runs it."""

import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from envserver.cli import main

KEY = "doors-3/train/0003"


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a command in this process; what it printed and its exit code."""

    def run(*args, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as end:
            main(list(args))
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=end.value.code, stdout=out, stderr=err)

    return run


def test_list_names_every_environment_with_or_without_a_server(run, gym_url):
    local, served = run("list", "--json"), run("list", "--json", "--url", gym_url)
    assert {"keydoor", "null"} <= {card["env"] for card in json.loads(local.stdout)}
    assert [card["env"] for card in json.loads(served.stdout)] == ["keydoor"]
    assert "keydoor" in run("list").stdout


def test_show_tells_instructions_options_and_splits(run, gym_url):
    for args in (["show", "keydoor"], ["show", "keydoor", "--url", gym_url]):
        shown = run(*args).stdout
        assert "way out" in shown
        assert "max_steps" in shown
        assert "10000" in shown
    card = json.loads(run("show", "keydoor", "--json").stdout)
    assert card["splits"] == {"train": 10000, "valid": 1000, "test": 1000}


def test_tasks_prints_keys_one_a_line(run, gym_url):
    wanted = ["doors-3/test/0005", "doors-3/test/0006"]
    for more in ([], ["--url", gym_url]):
        assert (
            run("tasks", "keydoor", "--split", "test", "--offset", "5", "--limit", "2", *more).stdout.split() == wanted
        )
    for more in ([], ["--url", gym_url]):
        page = json.loads(run("tasks", "keydoor", "-o", "doors=4", "--limit", "1", "--json", *more).stdout)
        assert (page["keys"], page["total"]) == (["doors-4/train/0000"], 10000)


def test_a_misspelt_option_is_refused_before_anything_is_played(run):
    refused = run("play", "keydoor", KEY, "-o", "dors=3", "--expert")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "envserver: no option is named 'dors'; did you mean 'doors'?\n"


@pytest.mark.textworld
def test_games_are_generated_beforehand_where_the_server_finds_them(run, tmp_path):
    pytest.importorskip("textworld", reason="needs the extra [textworld]")
    asked = ["tasks", "textworld", "-o", "family=custom/w1-o5-q3", "-o", f"cache_dir={tmp_path}", "--limit", "1"]
    done = run(*asked, "--generate")
    assert (done.returncode, done.stdout) == (0, "custom/w1-o5-q3/train/0000\n")
    assert [story.parent.name for story in tmp_path.rglob("game.z8")] == ["0000"]
    (tmp_path / "file").touch()
    unwritable = run(*asked, "-o", f"cache_dir={tmp_path / 'file'}", "--generate")
    assert unwritable.returncode == 1
    assert "1 of 1 games could not be made" in unwritable.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["keydoor", "--generate"], "only textworld"),
        (["textworld", "--generate", "--url", "http://127.0.0.1:1"], "leave --url out"),
        (["textworld", "--generate", "-o", "family=file"], "nothing to generate"),
    ],
)
def test_what_cannot_be_generated_is_misuse(run, args, says):
    refused = run("tasks", *args)
    assert refused.returncode == 2
    assert says in refused.stderr


def test_the_expert_can_be_watched_without_a_server_running(run):
    done = run("play", "keydoor", KEY, "--expert")
    assert done.returncode == 0, done.stderr
    assert "You are locked in a room." in done.stdout
    assert "solved: reward 1 in" in done.stdout


def test_a_script_plays_and_its_end_is_the_exit_code(run, gym_url, tmp_path):
    shown = run("play", "keydoor", KEY, "--expert", "--url", gym_url).stdout
    commands = [line.removeprefix("> ") for line in shown.splitlines() if line.startswith("> ")]
    script = tmp_path / "script"
    script.write_text("\n".join(commands))
    done = run("play", "keydoor", KEY, "--script", str(script), "--url", gym_url)
    assert (done.returncode, done.stdout) == (0, shown)
    done = run("play", "keydoor", KEY, "--script", "-", "--url", gym_url, stdin="wait\n")
    assert done.returncode == 1
    assert "not finished: reward 0 in 1 steps" in done.stdout


def test_a_person_types_commands_numbers_and_asks_for_help(run, gym_url):
    done = run("play", "keydoor", KEY, "--url", gym_url, stdin="?\n!\n1\nxyzzy\n")
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert "  1 " in shown
    assert "Nothing happens." in shown
    assert "not finished: reward 0 in 2 steps" in shown


def test_a_check_says_which_rules_are_kept_and_which_are_broken(run, tmp_path, monkeypatch):
    done = run("check", "keydoor", "--tasks", "1", "--steps", "5")
    assert done.returncode == 0
    assert done.stdout.count("✓") == 17
    (tmp_path / "broken.py").write_text(
        "from envserver.envs.keydoor import Keydoor\n"
        "class Broken(Keydoor):\n    'Broken.'\n    def step(self, action): raise RuntimeError('boom')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = run("check", "broken:Broken", "--tasks", "1", "--steps", "5")
    assert done.returncode == 1
    assert "✗ Nonsense is answered" in done.stdout
    found = json.loads(run("check", "broken:Broken", "--tasks", "1", "--json").stdout)
    assert any(finding["rule"] == "nonsense_is_answered" and "boom" in finding["detail"] for finding in found)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["shwo"], "No such command 'shwo'"),
        (["list", "--jsn"], "No such option: --jsn"),
        (["show", "keydor"], "did you mean 'keydoor'?"),
        (["tasks", "keydoor", "--split", "tain"], "there are: train, valid, test"),
        (["tasks", "keydoor", "-o", "door=3"], "did you mean 'doors'?"),
        (["tasks", "keydoor", "-o", "doors=99"], "option 'doors' cannot be 99"),
        (["tasks", "keydoor", "-o", "doors"], "not NAME=VALUE"),
        (["play", "keydoor", "--script", "/nowhere/script"], "cannot be read"),
        (["play", "keydoor", "--script", "-", "--expert"], "use one of them"),
        (["play", "textworld", "-o", "family=file"], "lists no task in split 'train'"),
        (["play", "keydoor", "--seed", str(1 << 63)], "--seed"),
        (["serve", "/nowhere/config.toml"], "cannot be read"),
        (["serve", "--env", "keydor"], "did you mean 'keydoor'?"),
        (["serve", "--env", "nowhere:"], "it looks like package.module:Class"),
        (["serve", "--port", "70000"], "port"),
        (["serve", "--log-level", "loud"], "'debug', 'info', 'warning' or 'error'"),
        (["serve", "--token", ""], "setting 'token' cannot be"),
        (["check", "envserver.core:Env"], "has all its methods"),
        (["check", "nowhere:Env"], "cannot be loaded"),
        (["bench", "--only", "nul"], "null"),
    ],
)
def test_misuse_is_one_sentence_and_exit_2(run, args, says):
    done = run(*args)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert done.stderr.startswith("envserver: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_misuse_of_a_server_is_told_the_same_way(run, gym_url):
    for args in (["show", "keydor"], ["tasks", "keydoor", "--split", "tain"], ["play", "keydoor", "nowhere"]):
        done = run(*args, "--url", gym_url)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_server_that_is_not_there_is_told_before_long(run, monkeypatch):
    monkeypatch.setattr("envserver.cli.LOOK_S", 0.2)
    for args in (["list"], ["play", "keydoor"]):
        done = run(*args, "--url", "http://127.0.0.1:1")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("envserver: http://127.0.0.1:1 cannot be reached")
        assert len(done.stderr.splitlines()) == 1


def test_a_traceback_is_shown_only_with_debug(run):
    assert "Traceback" not in run("show", "keydor").stderr
    assert "Traceback" in run("show", "keydor", "--debug").stderr


def test_what_hinders_the_server_is_one_sentence_and_exit_1(run, gym_url, tmp_path):
    port = gym_url.rpartition(":")[2]
    hindrances = {
        (f"--port={port}",): f"envserver: nothing is served at 127.0.0.1:{port}: Address already in use",
        ("--port=0", "--host=203.0.113.7"): "nothing is served at 203.0.113.7:0: Cannot assign requested address",
        ("--port=0", "--host=nowhere.invalid"): "nothing is served at nowhere.invalid:0: Name or service not known",
        ("--port=0", f"--port-file={tmp_path / 'no' / 'url'}"): "cannot be written: No such file or directory",
    }
    for args, says in hindrances.items():
        done = run("serve", "--env", "keydoor", *args)
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_an_environment_that_cannot_be_loaded_is_listed_with_what_it_needs(tmp_path):
    (tmp_path / "odd-1.dist-info").mkdir()
    (tmp_path / "odd-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (tmp_path / "odd-1.dist-info" / "entry_points.txt").write_text("[envserver.envs]\nodd = odd\n")
    (tmp_path / "odd.py").write_text("raise ValueError('odd')\n")
    code = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'textworld' else found(name, *rest)\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from envserver.cli import main\nmain(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "list"]
    shown = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=True).stdout
    needs = {card["env"]: card["needs"] for card in json.loads(shown)}
    assert needs["keydoor"] is None
    assert needs["textworld"] == "env 'textworld' needs its extra: pip install 'turnhalle[textworld]'"
    assert needs["odd"] == "env 'odd' cannot be loaded: ValueError: odd"
    wide = {**os.environ, "COLUMNS": "200"}
    table = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=wide).stdout
    assert "pip install 'turnhalle[textworld]'" in table
