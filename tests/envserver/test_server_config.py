"""The server's settings: file, variables, flags, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from envserver.app import create_app
from envserver.catalogue import env_options
from envserver.config import ConfigError, ServerConfig, load_config
from envserver.plugins import NoSuchPlugin


def test_flags_go_over_variables_and_variables_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('port = 1\nworkers = 2\nlease_s = 3\nenvs = ["a"]\n[env_options.a]\nsize = 4\n')
    environ = {"ENVSERVER_WORKERS": "5", "ENVSERVER_LEASE_S": "6", "ENVSERVER_ENVS": "b, c", "HOME": "/"}
    config = load_config(file, environ, lease_s=7.5, host=None)
    assert (config.port, config.workers, config.lease_s, config.envs) == (1, 5, 7.5, ("b", "c"))
    assert config.env_options == {"a": {"size": 4}}
    assert config.host == ServerConfig().host
    assert load_config(None, {"ENVSERVER_CONFIG": str(file)}).port == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max_sesions = 3", "did you mean 'max_sessions'"),
        ("port = 'x'", "setting 'port' cannot be 'x'"),
        ("port = 70000", "setting 'port' cannot be 70000"),
        ("lease_s = 0", "greater than 0"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=why) as refused:
        load_config(file, {})
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_and_a_misspelt_variable_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "nope.toml", {})
    with pytest.raises(ConfigError, match="did you mean 'workers'"):
        load_config(None, {"ENVSERVER_WORKER": "2"})
    with pytest.raises(ConfigError, match="is not JSON"):
        load_config(None, {"ENVSERVER_ENV_OPTIONS": "{"})


def test_a_token_is_not_shown() -> None:
    assert "sesame" not in repr(load_config(None, {"ENVSERVER_TOKEN": "open sesame"}))


def test_options_of_an_environment_that_is_not_there_are_refused_with_a_suggestion() -> None:
    with pytest.raises(NoSuchPlugin, match="did you mean 'keydoor'"):
        create_app(ServerConfig(env_options={"keydor": {"doors": 4}}))


def test_options_may_be_given_by_an_environments_spec_and_wait_for_one_that_is_not_served() -> None:
    given = {"worlds:Counter": {"goal": 2}, "keydoor": {"doors": 4}}
    assert env_options(given, ["counter"]) == {"counter": {"goal": 2}, "keydoor": {"doors": 4}}
