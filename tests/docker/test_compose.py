"""`docker compose up` on a real engine: worlds, memory and training, and containers that are killed.

make test-docker      # brings an engine up where there is none
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from stack import Stack, until, why_not

from envserver.errors import GymUnreachable, Unauthorized
from envserver.schema import Task
from envserver.sync import SyncGym

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1800)]

WANTED = {
    *("alfworld", "kernel", "keydoor", "null", "python", "repo"),
    *("scienceworld", "search", "sql", "textworld", "tooluse"),
}
SERVICES = ("envserver", "memory", "db")
TRAINING = (
    "steps=4 env.tasks=6 sft.demonstrations=4 sft.epochs=1 sampling.tasks_per_step=2 sampling.group_size=2 "
    "eval.tasks=2 eval.every=0 checkpoint.every=1"
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, built and up."""
    if reason := why_not():
        pytest.skip(reason)
    stack = Stack(tmp_path_factory.mktemp("stack"), TRAINER_ARGS=TRAINING)
    stack.compose("--profile", "train", "down", "-v", "--remove-orphans")
    try:
        stack.compose("--profile", "train", "build")
        stack.compose("up", "-d", "--wait")
        yield stack
    finally:
        stack.compose("--profile", "train", "--profile", "watch", "down", "-v", "--remove-orphans", check=False)


def rows(stack: Stack, table: str) -> int:
    """Rows of a table in PostgreSQL."""
    query = ["psql", "-h", "127.0.0.1", "-U", "turnhalle", "-tAc", f"select count(*) from {table}"]
    password = stack.compose("exec", "-T", "db", "cat", "/keys/password").strip()
    return int(stack.compose("exec", "-T", "-e", f"PGPASSWORD={password}", "db", *query))


def gym(stack: Stack, timeout_s: float = 120) -> SyncGym:
    return SyncGym(stack.gym, token=stack.token(), timeout_s=timeout_s)


def test_every_world_is_played_through_the_published_port(stack: Stack) -> None:
    with gym(stack) as worlds:
        health = worlds.health()
        assert health.status == "ok", health
        assert set(health.envs) >= WANTED
        for card in worlds.envs():
            split = next(iter(card.splits))
            key = worlds.tasks(card.env, split, limit=1).keys[0]
            with worlds.open(Task(env=card.env, key=key)) as world:
                for _ in range(3):
                    if world.over:
                        break
                    world.step(world.expert() or "look")
                assert world.index > 0, card.env


def test_a_stranger_gets_nothing(stack: Stack) -> None:
    with SyncGym(stack.gym, timeout_s=20) as stranger, pytest.raises(Unauthorized):
        stranger.envs()
    assert httpx.post(f"{stack.memory}/v1/skills", json={"name": "x", "body": "y"}).status_code == 401
    assert httpx.get(f"{stack.memory}/health").json()["writes"] is True


def test_containers_may_do_no_more_than_they_need(stack: Stack) -> None:
    for service in SERVICES:
        found: dict[str, Any] = stack.inspected(service)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert not re.search(r"(?i)(token|password)=\S", "\n".join(found["Config"]["Env"])), service
        owner = stack.compose("exec", "-T", service, "stat", "-c", "%u", "/proc/1").strip()
        assert owner != "0" or service == "db", service
        for published in (host["PortBindings"] or {}).values():
            assert {port["HostIp"] for port in published} == {"127.0.0.1"}, service


def test_a_world_goes_on_when_its_server_is_killed(stack: Stack) -> None:
    before = stack.inspected("envserver")["RestartCount"]
    with gym(stack) as worlds:
        played = [
            worlds.open(Task(env=env, key=worlds.tasks(env, "train", limit=1).keys[0]))
            for env in ("textworld", "alfworld", "tooluse")
        ]
        for world in played:
            world.step(world.expert() or "look")
        seen = [world.result for world in played]
        stack.kill("envserver")
        for world, last in zip(played, seen, strict=True):
            state = worlds.state(world.session)
            assert (state.index, state.results[-1]) == (1, last)
            world.step(world.expert() or "look")
            assert world.index == 2
        text = httpx.get(f"{stack.gym}/metrics", headers={"authorization": f"Bearer {stack.token()}"}).text
        assert re.search(r"^envserver_sessions_recalled_total 3\.0$", text, re.M)
    until(lambda: stack.healthy("envserver", before + 1))


def test_training_is_in_postgresql_and_outlives_its_killing(stack: Stack) -> None:
    stack.compose("--profile", "train", "up", "-d", "--wait", "envserver")
    stack.compose("--profile", "train", "up", "-d", "trainer")

    def written() -> bool:
        return rows(stack, "episodes") > 0

    until(written, 600)
    stack.kill("trainer")
    until(lambda: stack.inspected("trainer")["State"]["Status"] == "exited", 900)
    state = stack.inspected("trainer")["State"]
    assert state["ExitCode"] == 0, stack.compose("--profile", "train", "logs", "trainer")
    assert stack.inspected("trainer")["RestartCount"] >= 1
    stats = json.loads(stack.run("memory", ["skills", "stats", "--json"]))
    assert stats, "memory answers of what was played"
    assert rows(stack, "turns") > rows(stack, "episodes") > 0


@pytest.mark.parametrize("service", ["db", "memory"])
def test_memory_heals_when_a_container_is_killed(stack: Stack, service: str) -> None:
    before = stack.inspected(service)["RestartCount"]
    stack.kill(service)
    until(lambda: stack.healthy(service, before + 1))

    def answers() -> bool:
        return httpx.get(f"{stack.memory}/v1/search?text=door").status_code == 200

    until(answers)


def test_going_down_leaves_no_container_and_loses_no_row(stack: Stack) -> None:
    kept = {table: rows(stack, table) for table in ("runs", "episodes", "turns")}
    token = stack.token()
    with gym(stack) as worlds:
        world = worlds.open(Task(env="textworld", key=worlds.tasks("textworld", "train", limit=1).keys[0]))
        world.step("look")
        stack.compose("--profile", "train", "down")
        assert stack.containers() == []
        with pytest.raises(GymUnreachable), SyncGym(stack.gym, timeout_s=1) as gone:
            gone.health()
        stack.compose("up", "-d", "--wait")
        assert stack.token() == token
        assert {table: rows(stack, table) for table in kept} == kept
        world.step("inventory")
        assert world.index == 2
