"""Sessions over the wire: exactly once, forks, leases, capacity."""

from __future__ import annotations

import asyncio
import os
import re
import uuid

import httpx
import psutil
import pytest

from envserver import Action, Task
from envserver.client import Gym
from envserver.errors import BadRequest, EpisodeOver, GymFull, OutOfTurn, UnknownSession, WorldFailed
from envserver.launch import Launched, launch

LONG = Task(env="counter", key="train/0", options={"goal": 50})


def of(env: str, **options: int | str) -> Task:
    return Task(env=env, key="train/1", options={"goal": 50, **options})


@pytest.mark.parametrize("env", ["counter", "trivial"])
async def test_a_retried_step_is_not_played_twice(http: httpx.AsyncClient, env: str) -> None:
    id = uuid.uuid4().hex
    await http.post("/v1/sessions", json={"task": of(env).model_dump(), "session": id})
    step = {"index": 0, "action": {"text": "1"}}
    first = await http.post(f"/v1/sessions/{id}/steps", json=step)
    await http.post(f"/v1/sessions/{id}/steps", json={"index": 1, "action": {"text": "2"}})
    again = await http.post(f"/v1/sessions/{id}/steps", json=step)
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    state = (await http.get(f"/v1/sessions/{id}")).json()
    assert state["index"] == 2
    assert [action["text"] for action in state["actions"]] == ["1", "2"]
    assert state["results"][1] == first.json()


@pytest.mark.parametrize("env", ["counter", "trivial"])
async def test_a_transcript_holds_every_action_whole_and_every_result_as_it_was_given(
    gym: Gym, http: httpx.AsyncClient, env: str
) -> None:
    world = await gym.open(of(env))
    actions = [Action(text='a "quoted" é\n'), Action(tool="t", arguments={"n": [1, None]}), Action()]
    given = [world.result, *[await world.step(action) for action in actions]]
    raw = (await http.get(f"/v1/sessions/{world.session}")).json()
    assert raw["actions"] == [action.model_dump() for action in actions]
    assert raw["results"] == [result.model_dump() for result in given]
    assert await gym._call("state", world.session, None) | {"age_s": 0, "idle_s": 0} == raw | {"age_s": 0, "idle_s": 0}
    state = await gym.state(world.session)
    assert (state.actions, state.results, state.index) == (actions, given, 3)


async def test_a_session_is_listed_with_who_opened_it_and_so_is_its_fork(server: Launched) -> None:
    async with Gym(server.url, owner="ada") as gym, Gym(server.url) as other:
        mine, theirs = await gym.open(of("trivial")), await other.open(of("trivial"))
        fork = await mine.fork()
        owners = {state.session: state.owner for state in await other.sessions()}
        assert owners[mine.session] == owners[fork.session] == "ada"
        assert owners[theirs.session] == other.owner
        assert str(os.getpid()) in other.owner
        await gym._call("open", "", {"task": of("trivial").model_dump(), "session": "nobody-s"})
        assert (await gym.state("nobody-s")).owner is None


@pytest.mark.parametrize("env", ["wild", "trivial"])
async def test_the_same_step_sent_twice_at_once_is_played_once(gym: Gym, env: str) -> None:
    world = await gym.open(of(env))
    ask = {"index": 0, "action": {"text": "sleep 0.2"}}
    answers = await asyncio.gather(*(gym._call("step", world.session, ask) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    assert (await gym.state(world.session)).index == 1


async def test_another_action_while_a_step_is_played_is_out_of_turn(gym: Gym) -> None:
    world = await gym.open(of("wild"))
    slow = asyncio.create_task(world.step("sleep 0.3"))
    await asyncio.sleep(0.1)
    with pytest.raises(OutOfTurn, match="being played"):
        await gym._call("step", world.session, {"index": 0, "action": {"text": "other"}})
    await slow


@pytest.mark.parametrize("env", ["counter", "trivial"])
async def test_a_step_out_of_turn_says_which_index_is_next(gym: Gym, env: str) -> None:
    world = await gym.open(of(env))
    await world.step("1")
    for index, text in ((0, "2"), (3, "1")):
        with pytest.raises(OutOfTurn, match="the next index is 1"):
            await gym._call("step", world.session, {"index": index, "action": {"text": text}})
    with pytest.raises(BadRequest, match="index"):
        await gym._call("step", world.session, {"index": -1, "action": {"text": "1"}})
    assert (await world.step("2")).observation.text.endswith("1/2")


async def test_opening_with_the_same_id_and_task_is_a_safe_retry(http: httpx.AsyncClient) -> None:
    body = {"task": LONG.model_dump(), "session": uuid.uuid4().hex}
    answers = await asyncio.gather(*(http.post("/v1/sessions", json=body) for _ in range(4)))
    await http.post(f"/v1/sessions/{body['session']}/steps", json={"index": 0, "action": {"text": "1"}})
    answers.append(await http.post("/v1/sessions", json=body))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    other = await http.post("/v1/sessions", json={**body, "task": {**body["task"], "seed": 1}})
    assert other.status_code == 409
    assert other.json()["type"] == "OutOfTurn"


async def test_a_step_may_be_sent_before_its_opening_is_answered(gym: Gym) -> None:
    id = uuid.uuid4().hex
    opened, stepped = await asyncio.gather(
        gym.open(LONG, session=id), gym._call("step", id, {"index": 0, "action": {"text": "1"}}), return_exceptions=True
    )
    assert opened.index == 0
    # The two may also be read in two turns of the server's loop, and then the session is not there yet.
    if not isinstance(stepped, UnknownSession):
        assert stepped["observation"]["text"] == "train/0 0 1"


@pytest.mark.parametrize("env", ["counter", "trivial"])
async def test_closing_is_idempotent_and_a_closed_session_is_unknown(http: httpx.AsyncClient, env: str) -> None:
    id = uuid.uuid4().hex
    assert (await http.delete(f"/v1/sessions/{id}")).status_code == 204
    await http.post("/v1/sessions", json={"task": of(env).model_dump(), "session": id})
    assert (await http.delete(f"/v1/sessions/{id}")).status_code == 204
    assert (await http.delete(f"/v1/sessions/{id}")).status_code == 204
    answer = await http.post(f"/v1/sessions/{id}/steps", json={"index": 0, "action": {}})
    assert (answer.status_code, answer.json()["type"], answer.json()["session"]) == (404, "UnknownSession", id)


@pytest.mark.parametrize("env", ["counter", "trivial"])
async def test_a_step_after_the_end_is_refused_and_the_last_one_may_still_be_retried(gym: Gym, env: str) -> None:
    world = await gym.open(of(env, goal=2))
    await world.step("1")
    last = await world.step("2")
    assert world.over
    assert last.success is True
    with pytest.raises(EpisodeOver):
        await world.step("3")
    assert await gym._call("step", world.session, {"index": 1, "action": {"text": "2"}}) == last.model_dump()
    assert (await gym.state(world.session)).outcome == "terminated"


@pytest.mark.parametrize("env", ["counter", "copyable", "trivial"])
async def test_a_fork_at_any_index_goes_its_own_way(gym: Gym, env: str) -> None:
    world = await gym.open(of(env, goal=4))
    seen = [world.result, *[await world.step(text) for text in "abcd"]]
    for index in range(5):
        fork = await world.fork(index)
        assert fork.result == seen[index]
        assert fork.index == index
        for text, expected in zip("abcd"[index:], seen[index + 1 :], strict=True):
            assert await fork.step(text) == expected
        assert fork.over
    early = await world.fork(1)
    assert (await early.step("x")).observation.text.endswith("a/x")


@pytest.mark.parametrize("env", ["counter", "copyable", "trivial"])
async def test_a_fork_of_a_live_world_leaves_it_untouched(gym: Gym, env: str) -> None:
    world = await gym.open(of(env))
    await world.step("a")
    fork = await world.fork()
    assert (await fork.step("b")).observation.text.endswith("a/b")
    assert (await world.step("c")).observation.text.endswith("a/c")
    assert (await fork.step("d")).observation.text.endswith("a/b/d")


async def test_a_retried_fork_is_the_same_session(gym: Gym) -> None:
    world = await gym.open(LONG)
    await world.step("a")
    body = {"index": 1, "session": uuid.uuid4().hex}
    first = await gym._call("fork", world.session, body)
    assert await gym._call("fork", world.session, body) == first
    await gym._call("step", body["session"], {"index": 1, "action": {"text": "b"}})
    assert await gym._call("fork", world.session, body) == first
    with pytest.raises(OutOfTurn):
        await gym._call("fork", world.session, {**body, "index": 0})
    with pytest.raises(OutOfTurn, match="at index 1"):
        await world.fork(2)


async def test_a_random_world_cannot_be_forked_by_replay(gym: Gym, http: httpx.AsyncClient) -> None:
    world = await gym.open(of("random"))
    await world.step("a")
    forked = (await http.get("/metrics")).text.partition("\nenvserver_sessions_forked_total ")[2].split()[0]
    with pytest.raises(BadRequest, match="neither be copied nor replayed"):
        await world.fork()
    assert f"\nenvserver_sessions_forked_total {forked}\n" in (await http.get("/metrics")).text
    await world.step("b")


async def test_forks_and_experts_asked_for_while_steps_are_played_see_whole_steps(gym: Gym) -> None:
    world = await gym.open(of("copyable"))
    for turn in range(20):
        step = asyncio.create_task(world.step(str(turn)))
        fork, expert = asyncio.create_task(world.fork(None)), asyncio.create_task(world.expert())
        await asyncio.gather(step, expert)
        assert expert.result() in (Action(text=str(turn)), Action(text=str(turn + 1)))
        copy = await fork
        assert copy.index in (turn, turn + 1)
        seen = (await copy.step("x")).observation.text
        assert seen == f"train/1 0 {'/'.join([*map(str, range(copy.index - 1)), 'x'])}"


async def test_the_expert_answers_from_the_current_state(gym: Gym) -> None:
    for env in ("counter", "trivial"):
        world = await gym.open(of(env, goal=2))
        assert await world.expert() == Action(text="0")
        await world.step("0")
        assert await world.expert() == Action(text="1")
        await world.step("1")
        assert await world.expert() is None


@pytest.mark.parametrize("env", ["counter", "trivial"])
async def test_a_step_result_is_the_same_on_every_way_in(gym: Gym, http: httpx.AsyncClient, env: str) -> None:
    one, two = await gym.open(of(env)), await gym.open(of(env))
    over_socket = await one.step("go")
    over_http = await http.post(f"/v1/sessions/{two.session}/steps", json={"index": 0, "action": {"text": "go"}})
    assert over_http.json() == over_socket.model_dump()


async def test_limits_leases_and_capacity_are_kept() -> None:
    settings = {"max_sessions": 3, "max_steps": 2, "session_limit_bytes": 10_000, "lease_s": 2.0}
    with launch(["worlds:Counter", "worlds:Trivial"], workers=1, **settings) as server:
        async with (
            Gym(server.url, timeout_s=10) as gym,
            Gym(server.url, timeout_s=0.5) as hasty,
            httpx.AsyncClient(base_url=server.url) as http,
        ):
            for env in ("counter", "trivial"):
                world = await gym.open(of(env))
                await world.step("1")
                cut = await world.step("2")
                assert cut.truncated
                assert cut.success is False
                with pytest.raises(EpisodeOver):
                    await world.step("3")
                assert (await gym.state(world.session)).outcome == "truncated"
                assert (await world.fork()).over
                await world.close()
            for env in ("counter", "trivial"):
                talker = await gym.open(of(env))
                assert (await talker.step("x" * 10_000)).truncated
                await talker.close()
            third = await gym.open(of("counter"))
            with pytest.raises(GymFull) as full:
                await hasty.open(of("counter"))
            assert full.value.retry_after_s
            refused = await http.post("/v1/sessions", json={"task": of("counter").model_dump()})
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1

            async def keep_alive() -> None:
                while True:
                    await gym.state(third.session)
                    await asyncio.sleep(0.1)

            keeper = asyncio.create_task(keep_alive())
            patient = await gym.open(of("trivial"))
            await patient.step("1")
            assert (await gym.health()).sessions <= 3
            await asyncio.sleep(3.5)
            keeper.cancel()
            assert [state.session for state in await gym.sessions()] == [third.session]
            with pytest.raises(UnknownSession, match="lease"):
                await patient.step("2")
            text = (await http.get("/metrics")).text
            assert re.search(r"^envserver_sessions_reaped_total 3\.0$", text, re.M)
            assert re.search(r"^envserver_sessions_refused_total [1-9]", text, re.M)
            await third.step("1")


async def test_clients_that_vanish_leave_nothing() -> None:
    with launch(["worlds:Counter", "worlds:Wild"], workers=1, lease_s=0.8) as server:
        for _ in range(3):
            gym = Gym(server.url, timeout_s=10)
            worlds = await asyncio.gather(*(gym.open(of("wild")) for _ in range(20)))
            pending = [asyncio.create_task(world.step("sleep 0.01")) for world in worlds]
            await asyncio.sleep(0.05)
            assert gym._link is not None
            gym._link.socket.transport.abort()
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            await gym.close()
        async with Gym(server.url, timeout_s=10) as gym:
            assert (await gym.health()).sessions > 0
            await asyncio.sleep(2.0)
            health = await gym.health()
            assert health.sessions == 0
            assert [worker["sessions"] for worker in health.workers] == [0]


async def test_an_error_inside_a_world_ends_its_session_alone(gym: Gym) -> None:
    world, sibling = await gym.open(of("wild")), await gym.open(of("wild"))
    pids = {worker["pid"] for worker in (await gym.health()).workers}
    with pytest.raises(WorldFailed, match="RuntimeError: told to"):
        await world.step("raise")
    with pytest.raises(WorldFailed, match="RuntimeError: told to"):
        await gym._call("step", world.session, {"index": 0, "action": {"text": "raise"}})
    with pytest.raises(EpisodeOver):
        await gym._call("step", world.session, {"index": 0, "action": {"text": "other"}})
    assert (await gym.state(world.session)).outcome == "env_error"
    await sibling.step("fine")
    assert pids == {worker["pid"] for worker in (await gym.health()).workers}
    with pytest.raises(WorldFailed, match="not finite"):
        await sibling.step("nan")


@pytest.mark.parametrize("env", ["counter", "trivial", "copyable"])
async def test_an_episode_may_have_instructions_and_tools_of_its_own(gym: Gym, env: str) -> None:
    own = await gym.open(of(env, brief='Say "é".'))
    other = await gym.open(of(env))
    await own.step("1")
    fork = await own.fork()
    for world in (own, fork, await own.fork(0)):
        assert world.opened.instructions == 'Say "é".'
        assert [(tool.name, tool.description) for tool in world.opened.tools] == [("say", 'Say "é".')]
    assert (other.opened.instructions, other.opened.tools) == ("Say a number.", [])
    assert fork.opened.result == own.result


@pytest.mark.parametrize("env", ["counter", "trivial"])
async def test_a_briefing_that_fails_is_the_worlds_failure(gym: Gym, env: str) -> None:
    with pytest.raises(WorldFailed, match="briefing raised ValueError: no words"):
        await gym.open(of(env, brief="raise"))
    assert (await gym.open(of(env))).opened.instructions == "Say a number."


async def test_what_a_world_says_again_and_again_is_remembered_once() -> None:
    with launch(["null"], workers=1) as server:
        async with Gym(server.url) as gym:
            worlds = [await gym.open(Task(env="null", key="null/train/0")) for _ in range(64)]
            before_bytes = psutil.Process(server.pid).memory_info().rss
            for _ in range(250):
                await asyncio.gather(*[world.step("wait") for world in worlds])
            # 16,000 results of 1.3 kB.
            assert psutil.Process(server.pid).memory_info().rss - before_bytes < 8e6
            assert (await gym.state(worlds[0].session)).index == 250
