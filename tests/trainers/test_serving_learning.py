"""A served policy learns from its users in windows, pauses for them, and loses nothing of what waits."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from served import Service, batch, config, question, serving

from agents.types import Prompt
from trainers import metrics, recipe
from trainers.loop import train
from trainers.plugged import BadConfig
from trainers.run import Run
from trainers.serving.window import State

HELLO = question("open the door")


def version(answer: dict[str, Any]) -> str:
    found: str = answer["system_fingerprint"]
    return found


async def test_it_learns_from_a_full_batch_in_a_window_and_serves_what_it_learned(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await batch(service, 1, 0, 1)
        service.clock.move(minutes=11)
        await service.until(state="window_open")
        assert (await service.learning())["batch"] == {"turns": 3, "of": 4, "under_way": False}
        await service.rated("last", 0.0)
        await service.until(state="idle_wait")
        assert version(await service.ask(HELLO)) == "version-0"
        service.clock.move(minutes=11)
        await service.until(updates=1)
        assert version(await service.ask(HELLO)) == "version-1"
        state = await service.learning()
        assert state["version"] == {"learner": 1, "served": 1}
        assert state["sessions"]["waiting"] == 0
        memory = service.served.scheduler._memory
        kept = [memory.store.episode(row.id) for row in memory.store.episodes(split="served")]
        assert sorted(turn.advantage for one in kept for turn in one.turns) == pytest.approx([-1, -1, 1, 1], abs=1e-6)
        assert not service.alarms
    run = Run(tmp_path / "tiny")
    assert len(list((run.directory / "waiting").iterdir())) == 2, "the sessions that are open"
    (row,) = metrics.read(run.metrics)
    assert (row["step"], row["serving/turns"], row["reward/mean"], row["serving/lag"]) == (1, 4, 0.5, 0)
    assert row["policy/mismatch_max_nats"] < 1e-4


async def test_a_request_during_an_update_pauses_it_and_is_answered_with_the_old_weights(tmp_path: Path) -> None:
    async with serving(tmp_path, "learner.micro_tokens=16") as service:
        scheduler, window = service.served.scheduler, service.served.window
        reached, go_on = threading.Event(), threading.Event()
        boundaries = 0
        boundary = scheduler._learner.boundary

        def slow() -> None:
            nonlocal boundaries
            boundaries += 1
            if boundaries == 3:  # after the probe and the first micro-batch
                reached.set()
                assert go_on.wait(30)
            boundary()

        scheduler._learner.boundary = slow
        await batch(service, 1, 0, 1, 0)
        service.clock.move(minutes=11)
        await service.until(state="updating")
        assert await asyncio.to_thread(reached.wait, 30)
        assert version(await service.ask(HELLO)) == "version-0"
        assert window.state is State.PAUSING
        go_on.set()
        await service.until(state="idle_wait")
        state = await service.learning()
        assert (state["batch"]["under_way"], state["batch"]["turns"], state["updates"], boundaries) == (True, 4, 0, 3)
        service.clock.move(minutes=5)
        await service.until(state="idle_wait")
        assert boundaries == 3
        service.clock.move(minutes=6)
        await service.until(updates=1)
        assert boundaries == 5, "the probe, and four micro-batches, none of them twice"
        assert (await service.learning())["pauses"] == 1
        assert version(await service.ask(HELLO)) == "version-1"


async def test_new_weights_wait_for_an_answer_that_was_begun_before_them(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        scheduler, window = service.served.scheduler, service.served.window
        await batch(service, 1, 0, 1, 0)
        service.clock.move(minutes=11)
        committed = scheduler._commit

        async def with_a_request(*found: Any) -> None:
            await committed(*found)
            holding.enter_context(window.asked())
            asked.append(True)

        asked: list[bool] = []
        with ExitStack() as holding:
            scheduler._commit = with_a_request  # type: ignore[method-assign]
            while not asked:
                await scheduler.tick()
                await asyncio.sleep(0.01)
            for _ in range(20):
                await scheduler.tick()
                await asyncio.sleep(0.01)
            assert (await service.learning())["version"] == {"learner": 1, "served": 0}
        await service.until(version={"learner": 1, "served": 1}, updates=1)


async def test_what_waits_survives_a_restart_and_an_open_session_goes_on_with_the_same_ids(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await batch(service, 1, 0, 1)
        one = await service.ask(HELLO, session="open")
        await service.http.post("/v1/feedback", json={"session": "open", "reward": 0})
        before = service.served.desk.sessions.open[0].said[0]
    # A line that was being written when the process was killed.
    files = sorted((tmp_path / "tiny" / "waiting").iterdir())
    assert len(files) == 4
    for file in files:
        with file.open("a") as torn:
            torn.write('{"said": {"asked": [')
    async with serving(tmp_path) as service:
        await service.served.scheduler.tick()
        state = await service.learning()
        assert (state["sessions"]["waiting"], state["batch"]["turns"], state["sessions"]["open"]) == (3, 3, 1)
        echoed = {"role": "assistant", "content": one["choices"][0]["message"]["content"]}
        await service.ask(HELLO, echoed, question("and now?"), session="open")
        first, second = service.served.desk.sessions.open[0].said
        assert first == before
        ids = [*first.move.prompt_ids, *first.move.sample.ids]
        assert second.move.prompt_ids[: len(ids)] == ids
        await service.http.post("/v1/sessions/open/end", json={})
        service.clock.move(minutes=11)
        await service.until(updates=1)
        memory = service.served.scheduler._memory
        await memory.settle()
        assert len(memory.store.runs()) == 1
        assert len(memory.store.episodes(split="served")) == 4, "none twice"
    async with serving(tmp_path) as service:
        state = await service.learning()
        assert (state["updates"], state["version"], state["sessions"]["waiting"]) == (
            1,
            {"learner": 1, "served": 1},
            0,
        )


async def test_sessions_that_a_checkpoint_holds_are_not_trained_on_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        forget = service.served.scheduler._journal.forget
        service.served.scheduler._journal.forget = lambda id: None  # type: ignore[method-assign]
        await batch(service, 1, 0, 1, 0)
        service.clock.move(minutes=11)
        await service.until(updates=1)
        service.served.scheduler._journal.forget = forget  # type: ignore[method-assign]
    assert len(list((tmp_path / "tiny" / "waiting").iterdir())) == 4
    async with serving(tmp_path) as service:
        await service.served.scheduler.tick()
        assert (await service.learning())["sessions"]["waiting"] == 0


@asynccontextmanager
async def command(tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """`trainer serve-and-learn` in a process of its own, and a client of it."""
    file, port_file = tmp_path / "server.json", tmp_path / "url"
    file.write_text(recipe.text(config(tmp_path)))
    words = [sys.executable, "-m", "trainers", "serve-and-learn", str(file), "--port", "0"]
    process = await asyncio.create_subprocess_exec(*words, "--port-file", str(port_file), start_new_session=True)
    for _ in iter(port_file.exists, True):
        assert process.returncode is None
        await asyncio.sleep(0.05)
    async with httpx.AsyncClient(base_url=port_file.read_text().strip(), timeout=60) as http:
        yield process, http
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def told(http: httpx.AsyncClient, **rewards: float) -> None:
    """A session for each reward, still open."""
    for session, reward in rewards.items():
        body = {"model": "tiny", "messages": [HELLO], "max_tokens": 4, "session": session}
        assert (await http.post("/chat/completions", json=body)).status_code == 200
        assert (await http.post("/feedback", json={"session": session, "reward": reward})).status_code == 200


async def test_a_server_that_is_killed_loses_no_turn_and_no_reward(tmp_path: Path) -> None:
    async with command(tmp_path) as (process, http):
        await told(http, a=1, b=0, c=1)
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    async with serving(tmp_path) as service:
        state = await service.learning()
        assert (state["sessions"]["open"], state["updates"]) == (3, 0)
        for session in "abc":
            assert (await service.http.post(f"/v1/sessions/{session}/end", json={})).json()["rated"] == 1
        await service.rated("d", 0.0)
        service.clock.move(minutes=11)
        await service.until(updates=1)
    (row,) = metrics.read(Run(tmp_path / "tiny").metrics)
    assert (row["serving/turns"], row["reward/mean"]) == (4, 0.5)


@pytest.mark.slow  # a process of its own takes seconds to begin
async def test_a_server_that_is_told_to_end_leaves_what_it_can_go_on_with(tmp_path: Path) -> None:
    async with command(tmp_path) as (process, http):
        await told(http, a=1)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    async with serving(tmp_path) as service:
        assert (await service.learning())["sessions"]["open"] == 1


async def test_a_session_ends_by_silence_and_at_its_turn_limit(tmp_path: Path) -> None:
    async with serving(tmp_path, "serving.max_turns=2", "serving.silence_minutes=5") as service:
        await service.ask(HELLO, session="silent")
        await service.ask(HELLO, session="long")
        await service.ask(HELLO, session="long")
        sessions = service.served.desk.sessions
        assert [one.session for one in sessions.open] == ["silent"]
        service.clock.move(minutes=5)
        await service.served.scheduler.tick()
        memory = service.served.scheduler._memory
        await memory.settle()
        assert sorted(row.stop for row in memory.store.episodes(split="served")) == ["max_turns", "truncated"]
        assert sessions.open == []
        assert not list((tmp_path / "tiny" / "waiting").iterdir()), "nobody rated them, so nothing waits"


async def test_only_what_learns_is_there_twice(tmp_path: Path) -> None:
    async with serving(tmp_path, "model.lora.r=4", "model.lora.alpha=8", "learner.lr=1e-2") as service:
        scheduler = service.served.scheduler
        learned = dict(scheduler._learner.model.named_parameters())
        shown = dict(scheduler._engine.model.named_parameters())  # type: ignore[attr-defined]
        for name, parameter in learned.items():
            assert (shown[name].data_ptr() == parameter.data_ptr()) is not parameter.requires_grad, name
        await batch(service, 1, 0, 1, 0)
        service.clock.move(minutes=11)
        await service.until(updates=1)
        assert all(torch.equal(shown[name], parameter) for name, parameter in learned.items())


async def test_a_run_of_another_command_and_a_critic_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="advantages of its own"):
        async with serving(tmp_path, "algorithm.name=ppo"):
            pass
    async with serving(tmp_path / "other"):
        pass
    with pytest.raises(BadConfig, match="has learned; to train it on worlds"):
        await train(config(tmp_path / "other"), resume=True)
    (loop,) = (tmp_path / "other" / "tiny" / "checkpoints").glob("*/loop.json")
    loop.write_text(json.dumps({"step": 0}))
    with pytest.raises(BadConfig, match="a run of `trainer train`"):
        async with serving(tmp_path / "other"):
            pass


KIND = "abcdefghijklm"
"""The scripted user likes an answer that begins with one of these."""


def share(service: Service) -> float:
    """How likely the served policy begins an answer so."""
    chat, engine = service.served.chat, service.served.scheduler._engine
    ids = chat.prompt_ids(Prompt([{"role": "user", "content": "open the door"}]), None)
    with torch.no_grad():
        logits_V = engine.model(torch.tensor([ids])).logits[0, -1]  # type: ignore[attr-defined]
    p_V = torch.softmax(logits_V.double(), -1).tolist()
    return sum(p for id, p in enumerate(p_V) if chat.answer_text([id]).strip()[:1] in set(KIND))


@pytest.mark.slow  # 160 conversations and five updates
async def test_what_a_user_likes_becomes_likelier_from_window_to_window(tmp_path: Path) -> None:
    pairs = ("serving.batch_turns=32", "learner.lr=3e-2", "seed=1")
    async with serving(tmp_path, *pairs) as service:
        seen = [share(service)]
        for night in range(1, 6):
            for day in range(32):
                session = f"s{night}-{day}"
                answer = await service.ask(HELLO, session=session, max_tokens=1, seed=32 * night + day)
                liked = answer["choices"][0]["message"]["content"].strip()[:1] in set(KIND)
                await service.http.post(f"/v1/sessions/{session}/end", json={"reward": float(liked)})
            service.clock.move(minutes=11)
            await service.until(updates=night)
            service.clock.move(minutes=1)
            seen.append(share(service))
    assert 0 < seen[0] < 0.4, seen
    assert seen[-1] > seen[0] + 0.3, seen
