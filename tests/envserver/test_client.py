"""The async client against servers that vanish, lose replies, restart, refuse and fill up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from envserver import Task
from envserver.client import Gym
from envserver.errors import BadRequest, GymFull, GymUnreachable, Unauthorized, UnknownEnv, UnknownSession
from envserver.launch import Launched, launch

TASK = Task(env="counter", key="train/0", options={"goal": 50})


class Cut:
    """A TCP proxy that lets requests through and cuts the connection instead of passing on some replies."""

    def __init__(self, server: Launched) -> None:
        self.upstream = int(server.url.rpartition(":")[2])
        self.cuts = 0
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        self.writers += [writer, up_writer]

        async def requests() -> None:
            while data := await reader.read(1 << 16):
                up_writer.write(data)

        async def replies() -> None:
            while data := await up_reader.read(1 << 16):
                if self.cuts and not data.startswith(b"HTTP"):
                    self.cuts -= 1
                    return
                writer.write(data)

        ways = [asyncio.create_task(requests()), asyncio.create_task(replies())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for one in (writer, up_writer):
            one.close()


@asynccontextmanager
async def cutting(server: Launched) -> AsyncIterator[Cut]:
    cut = Cut(server)
    proxy = await asyncio.start_server(cut.handle, "127.0.0.1", 0)
    cut.url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    try:
        yield cut
    finally:
        proxy.close()
        for writer in cut.writers:
            writer.close()


async def test_a_lost_reply_is_asked_for_again_and_nothing_is_played_twice(server: Launched) -> None:
    async with cutting(server) as cut, Gym(cut.url, timeout_s=20) as gym:
        cut.cuts = 1
        worlds = await asyncio.gather(*(gym.open(TASK) for _ in range(5)))
        for turn in range(6):
            cut.cuts = turn % 3
            answers = await asyncio.gather(*(world.step(str(turn)) for world in worlds))
            said = "/".join(map(str, range(turn + 1)))
            assert {answer.observation.text for answer in answers} == {f"train/0 0 {said}"}
        cut.cuts = 1
        fork = await worlds[0].fork(2)
        cut.cuts = 1
        await worlds[0].close()
        assert fork.result.observation.text == "train/0 0 0/1"
        assert cut.connections >= 8
        states = {state.session: state.index for state in await gym.sessions()}
        assert [states[world.session] for world in worlds[1:]] == [6] * 4
        assert worlds[0].session not in states


async def test_calls_of_one_turn_of_the_loop_travel_in_one_frame() -> None:
    frames: list[list[dict[str, object]]] = []

    async def answer(connection: ServerConnection) -> None:
        async for frame in connection:
            frames.append(json.loads(frame))
            await connection.send(json.dumps([{"id": request["id"], "ok": None} for request in frames[-1]]))

    async with serve(answer, "127.0.0.1", 0) as fake:
        port = fake.sockets[0].getsockname()[1]
        async with Gym(f"http://127.0.0.1:{port}", timeout_s=5) as gym:
            await gym._call("close", "x", None)
            await asyncio.gather(*(gym._call("close", str(number), None) for number in range(600)))
            assert [len(frame) for frame in frames] == [1, 256, 256, 88]
            big = "x" * 700_000
            await asyncio.gather(*(gym._call("close", big, None) for _ in range(3)))
            assert [len(frame) for frame in frames[4:]] == [1, 1, 1]


async def test_a_restarted_server_is_found_again_and_says_that_the_session_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with launch(["worlds:Trivial"], port=port) as first:
        gym = Gym(first.url, timeout_s=30)
        world = await gym.open(Task(env="trivial", key="train/0"))
        await world.step("1")
        await asyncio.to_thread(first.stop)
        waiting = asyncio.create_task(world.step("2"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        with launch(["worlds:Trivial"], port=port):
            with pytest.raises(UnknownSession, match="never was, was closed"):
                await waiting
            assert world.over
            await (await gym.open(Task(env="trivial", key="train/0"))).step("1")
            await gym.close()


async def test_a_server_that_is_gone_is_given_up_in_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for ask in (lambda gym: gym.open(TASK), lambda gym: gym.health()):
        async with Gym(f"http://127.0.0.1:{port}", timeout_s=0.6) as gym:
            began = time.monotonic()
            with pytest.raises(GymUnreachable, match="is the server running"):
                await ask(gym)
            assert time.monotonic() - began < 15


async def test_a_server_that_falls_silent_is_given_up_in_bounded_time() -> None:
    stuck = asyncio.Event()

    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stuck.wait()
        writer.close()

    silent = await asyncio.start_server(fall_silent, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with Gym(f"http://127.0.0.1:{port}", timeout_s=1) as gym:
        for ask in (gym.open(TASK), gym.health()):
            began = time.monotonic()
            with pytest.raises(GymUnreachable):
                await ask
            assert time.monotonic() - began < 15
    stuck.set()
    silent.close()


async def test_a_frozen_server_is_given_up_in_bounded_time_and_used_again_when_it_thaws(server: Launched) -> None:
    async with Gym(server.url, timeout_s=1) as gym:
        world = await gym.open(TASK)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(GymUnreachable):
                await world.step("1")
            assert time.monotonic() - began < 15
        finally:
            os.kill(server.pid, signal.SIGCONT)
        gym.timeout_s = 20
        assert (await world.step("1")).observation.text == "train/0 0 1"
        assert (await gym.state(world.session)).index == 1


async def test_a_full_gym_is_waited_for_and_then_given_up() -> None:
    with launch(["worlds:Trivial"], max_sessions=2, token="t") as server:
        task = Task(env="trivial", key="train/0")
        async with (
            Gym(server.url, token="t", timeout_s=20) as gym,
            Gym(server.url, token="t", timeout_s=0.3) as hasty,
            Gym(server.url, token="wrong", timeout_s=20) as stranger,
        ):
            began = time.monotonic()
            with pytest.raises(Unauthorized):
                await stranger.open(task)
            with pytest.raises(Unauthorized):
                await stranger.envs()
            assert time.monotonic() - began < 15
            worlds = [await gym.open(task) for _ in range(2)]
            with pytest.raises(GymFull):
                await hasty.open(task)
            waiting = asyncio.create_task(gym.open(task))
            await asyncio.sleep(0.1)
            await worlds[0].close()
            async with await waiting as world:
                await world.step("1")


async def test_the_catalogue_over_http(gym: Gym) -> None:
    assert {"counter", "trivial"} <= {card.env for card in await gym.envs()}
    assert (await gym.card("counter")).splits == {"train": 3, "test": 3}
    assert (await gym.tasks("counter", "test", offset=2)).keys == ["test/2"]
    with pytest.raises(UnknownEnv, match="did you mean 'counter'"):
        await gym.card("countre")
    with pytest.raises(UnknownEnv):
        await gym.card("a b?c")
    shown = await gym.demonstration(TASK)
    assert shown.success
    assert len(shown.actions) == 50


async def test_a_url_that_is_none_is_refused_at_once(server: Launched) -> None:
    with pytest.raises(BadRequest, match="begins with http"):
        Gym("localhost:8000")
    async with Gym(f"{server.url}/elsewhere", timeout_s=20) as gym:
        with pytest.raises((GymUnreachable, BadRequest)):
            await gym.open(TASK)


async def test_a_cancelled_step_can_be_sent_again(gym: Gym) -> None:
    world = await gym.open(Task(env="wild", key="train/0"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(world.step("sleep 0.4"), 0.1)
    assert world.index == 0
    assert (await world.step("sleep 0.4")).observation.text.endswith("sleep 0.4")
    assert (await gym.state(world.session)).index == 1


async def test_two_hundred_sessions_play_beside_each_other(gym: Gym) -> None:
    async def play(seed: int) -> str:
        async with await gym.open(Task(env="counter", key="train/0", seed=seed)) as world:
            while not world.over:
                await world.step("1")
            return world.result.observation.text

    texts = await asyncio.gather(*(play(seed) for seed in range(200)))
    assert texts == [f"train/0 {seed} 1/1/1/1/1" for seed in range(200)]
