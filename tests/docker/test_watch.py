"""The profile `watch`: Prometheus, which Debian packages, with the project's own settings and dashboard.

apt-get install prometheus
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from stack import Stack, free_port, until, why_not

from envserver.launch import launch
from envserver.schema import Task
from envserver.sync import SyncGym

ROOT = Path(__file__).parents[2]
BOARD = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "worlds.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", [])]


class Watcher:
    """A Prometheus that answers at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def asked(self, path: str, **query: str) -> Any:
        """The answer's data. Raises AssertionError with Prometheus' own words where it refuses."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def up(self) -> bool:
        """Whether there is a target, and every one was scraped without an error."""
        try:
            targets = self.asked("targets")["activeTargets"]
        except httpx.TransportError:
            return False
        return bool(targets) and all(target["health"] == "up" for target in targets)

    def draws(self, query: str) -> bool:
        """Whether a panel's query has a value, be it NaN."""
        return bool(self.asked("query", query=query)["result"])


def play(url: str, token: str, env: str) -> None:
    with SyncGym(url, token=token) as gym, gym.open(Task(env=env, key=gym.tasks(env, "train", limit=1).keys[0])) as one:
        while not one.over:
            one.step("1")


def draws_every_panel(watcher: Watcher) -> None:
    assert len(QUERIES) > 10
    for query in QUERIES:
        # A rate needs two scrapes.
        until(lambda query=query: watcher.draws(query), 60)


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[str, str], Watcher]]:
    """Runs Prometheus with docker/prometheus.yml, its one target found here and not by a network's names."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is missing: apt-get install prometheus")
    running = []

    def run(url: str, token: str) -> Watcher:
        settings = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text(encoding="utf-8"))
        (scrape,) = settings["scrape_configs"]
        (tmp_path / "token").write_text(token, encoding="utf-8")
        assert scrape["authorization"] == {"credentials_file": "/keys/token"}
        scrape["authorization"] = {"credentials_file": str(tmp_path / "token")}
        del scrape["dns_sd_configs"]
        scrape["static_configs"] = [{"targets": [url.removeprefix("http://")]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        port = free_port()
        flags = {
            "config.file": tmp_path / "prometheus.yml",
            "storage.tsdb.path": tmp_path / "data",
            "web.listen-address": f"127.0.0.1:{port}",
        }
        log = (tmp_path / "log").open("wb")
        command = [program, *(f"--{name}={value}" for name, value in flags.items())]
        running.append(subprocess.Popen(command, stdout=log, stderr=log))
        return Watcher(f"http://127.0.0.1:{port}")

    yield run
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_every_panel_of_the_dashboard_is_drawn_from_what_prometheus_scraped(prometheus, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "envserver"), prepend=":")
    log = tmp_path / "server"
    with launch(["worlds:Counter"], workers=1, token="sesame", log=log) as server:
        watcher = prometheus(server.url, "sesame")
        until(watcher.up, 60)
        play(server.url, "sesame", "counter")
        draws_every_panel(watcher)
        assert watcher.asked("query", query="sum(envserver_steps_total)")["result"][0]["value"][1] == "5"


@pytest.mark.slow
def test_a_wrong_token_is_a_target_that_is_down(prometheus, tmp_path) -> None:
    with launch(["keydoor"], workers=1, token="sesame", log=tmp_path / "server") as server:
        watcher = prometheus(server.url, "mustard")

        def refused() -> bool:
            try:
                targets = watcher.asked("targets")["activeTargets"]
            except httpx.TransportError:
                return False
            return any("401" in target["lastError"] for target in targets)

        until(refused, 60)
        assert not watcher.up()


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_profile_scrapes_the_stack_by_its_own_settings(tmp_path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    stack = Stack(tmp_path)
    if "PROMETHEUS_IMAGE=" not in stack.env_file.read_text():
        pytest.skip("there is no stand-in for Prometheus' image: tests/docker/engine.sh images")
    watch = ("--profile", "watch")
    stack.compose(*watch, "down", "-v", "--remove-orphans")
    try:
        stack.compose("build", "keys", "envserver")
        stack.compose("up", "-d", "--wait", "envserver")
        stack.compose(*watch, "up", "-d", "prometheus")
        watcher = Watcher(stack.prometheus)
        until(watcher.up, 120)
        (target,) = watcher.asked("targets")["activeTargets"]
        assert target["discoveredLabels"]["__meta_dns_name"] == "envserver"
        play(stack.gym, stack.token(), "tooluse")
        draws_every_panel(watcher)
        host = stack.inspected("prometheus")["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
    finally:
        stack.compose(*watch, "down", "-v", "--remove-orphans", check=False)
