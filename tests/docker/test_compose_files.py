"""What compose.yaml, its images and its dashboard name is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from envserver import plugins
from envserver.catalogue import load_env
from envserver.launch import launch

ROOT = Path(__file__).parents[2]
FILES = [(ROOT / name).read_text(encoding="utf-8") for name in ("compose.yaml", "compose.scale.yaml")]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILES[0])["services"]


def test_every_setting_of_the_file_stands_in_the_example_or_has_a_default() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M))
    used = dict(re.findall(r"\$\{([A-Z_]+)(:-[^}]*)?\}", "".join(FILES)))
    assert {name for name, default in used.items() if not default} == set()
    assert example <= used.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_bounded_and_hardened(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.search(r":[\w.-]*\d", service["image"]) or service["image"].startswith("turnhalle/")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["mem_limit"]
    assert "privileged" not in service
    assert "/var/run/docker.sock" not in str(service["volumes"])
    for port in service.get("ports", []):
        assert port.startswith("${TURNHALLE_ADDRESS:-127.0.0.1}:"), "published to this machine alone unless asked"


def test_a_service_waits_for_what_it_needs() -> None:
    for name, service in SERVICES.items():
        for needed, how in dict.fromkeys(service.get("depends_on", {})).items():
            assert needed in SERVICES, (name, needed, how)
    assert SERVICES["memory"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}


def test_the_images_ask_for_extras_that_there_are() -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    asked = re.findall(r"requirements\.py ((?:[\w'-]+ )+)>", dockerfile)
    assert len(asked) >= 3
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for line in asked:
        names = line.replace("'", "").split()
        command = [sys.executable, ROOT / "docker" / "requirements.py", *names]
        printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
        wanted = [need for name in names for need in extras[name] if not need.startswith("torch>")]
        assert [need for need in wanted if need not in printed] == []


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    board = (ROOT / "docker" / "grafana" / "dashboards" / "worlds.json").read_text(encoding="utf-8")
    asked = set(re.findall(r"envserver_[a-z_]+", board))
    assert len(asked) > 10
    with launch(["keydoor"], workers=1) as server:
        task = {"task": {"env": "keydoor", "key": "doors-3/train/0000"}}
        session = httpx.post(f"{server.url}/v1/sessions", json=task).json()["session"]
        httpx.delete(f"{server.url}/v1/sessions/{session}")
        there = httpx.get(f"{server.url}/metrics").text
    for name in asked:
        assert name in there, name


def test_secrets_are_made_once_and_reach_a_command_as_variables(tmp_path: Path) -> None:
    keys, entry = (
        (ROOT / "docker" / name).read_text().replace("/keys/", f"{tmp_path}/") for name in ("keys.sh", "entrypoint.sh")
    )
    environ = {"PATH": os.environ["PATH"]}

    def ran(script: str, *args: str, **variables: str) -> str:
        command = ["sh", "-c", script, "sh", *args]
        return subprocess.run(command, env=environ | variables, capture_output=True, text=True, check=True).stdout

    show = ("sh", "-c", "echo $ENVSERVER_TOKEN,$SKILLS_TOKEN,$PGPASSWORD,${ENVSERVER_TOKEN-none}")
    assert ran(entry, *show) == ",,,none\n"
    ran(keys)
    token, password = ((tmp_path / name).read_text() for name in ("token", "password"))
    assert len(token) > 40
    assert token != password
    ran(keys)
    assert ran(entry, *show) == f"{token},{token},{password},{token}\n"
    assert ran(entry, *show, SKILLS_TOKEN="other").split(",")[1] == "other"
    ran(keys, TURNHALLE_TOKEN="sesame")
    assert ran(entry, *show).startswith("sesame,sesame,")


def test_every_world_that_runs_programs_is_told_which_sandbox_a_container_has() -> None:
    settings = tomllib.loads((ROOT / "docker" / "envserver.toml").read_text(encoding="utf-8"))["env_options"]
    asked = {name for name in plugins.names("envserver.envs") if "sandbox" in load_env(name).Config.model_fields}
    assert asked == settings.keys()
    assert {options["sandbox"] for options in settings.values()} == {"landlock"}
