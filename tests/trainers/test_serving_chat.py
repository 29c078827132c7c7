"""A served policy answers OpenAI's requests, keeps the exact ids, and refuses what it cannot do in OpenAI's words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from served import Service, question, serving

from trainers.serving.conversation import Conversation

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELLO = question("open the door")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """One server for the tests of this file; each has sessions of its own."""
    async with serving(tmp_path_factory.mktemp("served"), "serving.body_limit_bytes=2000000") as found:
        yield found


def talk(service: Service, session: str) -> Conversation:
    (found,) = [one for one in service.served.desk.sessions.open if one.session == session]
    return found


def said(answer: dict[str, Any]) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


async def test_an_answer_has_openais_shape_and_names_its_session(service: Service) -> None:
    body = {"model": "tiny", "messages": [HELLO], "max_tokens": 8, "logprobs": True}
    answer = await service.http.post("/v1/chat/completions", json=body, headers={"X-Session": "shape"})
    found = answer.json()
    assert answer.headers["X-Session"] == found["session"] == "shape"
    assert (found["object"], found["model"], found["choices"][0]["message"]["role"]) == (
        "chat.completion",
        "tiny",
        "assistant",
    )
    move = talk(service, "shape").said[0].move
    assert found["choices"][0]["finish_reason"] == move.sample.stop
    assert found["usage"] == {
        "prompt_tokens": len(move.prompt_ids),
        "completion_tokens": len(move.sample.ids),
        "total_tokens": len(move.prompt_ids) + len(move.sample.ids),
    }
    told = [token["logprob"] for token in found["choices"][0]["logprobs"]["content"]]
    assert told == move.sample.logprobs[: len(told)]
    assert len(told) >= len(move.sample.ids) - 1
    assert (await service.http.get("/v1/models")).json()["data"][0]["id"] == "tiny"


async def test_a_stream_is_the_same_answer_in_pieces(service: Service) -> None:
    whole = await service.ask(HELLO, seed=7, max_tokens=30)
    body = {"model": "tiny", "messages": [HELLO], "max_tokens": 30, "seed": 7, "stream": True}
    body["stream_options"] = {"include_usage": True}
    lines: list[str] = []
    async with service.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in answer.aiter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    *chunks, used = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == said(whole)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == whole["choices"][0]["finish_reason"]
    assert len(chunks) > 3
    assert used["usage"] == whole["usage"]
    assert used["choices"] == []
    assert len(talk(service, answer.headers["X-Session"]).said) == 1


async def test_the_next_request_begins_with_the_exact_ids(service: Service) -> None:
    one = await service.ask({"role": "system", "content": "You play."}, HELLO, session="exact", seed=1)
    # Clients trim what they show.
    echoed = {"role": "assistant", "content": f"  {said(one)}\n"}
    await service.ask({"role": "system", "content": "You play."}, HELLO, echoed, question("and now?"), session="exact")
    first, second = talk(service, "exact").said
    before = [*first.move.prompt_ids, *first.move.sample.ids]
    assert second.move.prompt_ids[: len(before)] == before
    assert len(second.move.prompt_ids) > len(before)


async def test_who_names_no_session_is_known_by_what_was_said(service: Service) -> None:
    one = await service.ask(HELLO, seed=11)
    two = await service.ask(HELLO, {"role": "assistant", "content": said(one)}, question("more"))
    other = await service.ask(HELLO, seed=12)
    assert two["session"] == one["session"] != other["session"]
    first, second = talk(service, one["session"]).said
    assert second.move.prompt_ids[: len(first.move.prompt_ids)] == first.move.prompt_ids
    body = {"model": "tiny", "messages": [HELLO], "max_tokens": 2, "session": "named-in-the-body"}
    assert (await service.http.post("/v1/chat/completions", json=body)).json()["session"] == "named-in-the-body"


async def test_other_messages_under_the_same_name_are_a_prompt_of_their_own(service: Service) -> None:
    await service.ask(HELLO, session="forked", seed=1)
    await service.ask(question("something else"), session="forked")
    first, second = talk(service, "forked").said
    chat = service.served.chat
    assert second.move.prompt_ids == chat.prompt_ids(second.prompt, None)
    assert second.move.prompt_ids[: len(first.move.prompt_ids)] != first.move.prompt_ids


async def test_a_stop_string_ends_text_and_ids(service: Service) -> None:
    whole = said(await service.ask(HELLO, seed=5, max_tokens=24))
    word = next(whole[at : at + 2] for at in range(4, len(whole) - 2) if "�" not in whole[at : at + 2])
    cut = await service.ask(HELLO, seed=5, max_tokens=24, stop=[word], session="cut")
    assert said(cut) == whole[: whole.index(word)]
    assert cut["choices"][0]["finish_reason"] == "stop"
    chat, ids = service.served.chat, talk(service, "cut").said[0].move.sample.ids
    assert word in chat.answer_text(ids)
    assert word not in chat.answer_text(ids[:-1])


async def test_requests_of_one_session_wait_for_each_other(service: Service) -> None:
    await asyncio.gather(*(service.ask(HELLO, session="crowd") for _ in range(4)))
    assert len(talk(service, "crowd").said) == 4


BODY = {"model": "tiny", "messages": [HELLO], "max_tokens": 4}


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "JSON"),
        (b"\xff\xfe{}", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b"[1]", 400, "object"),
        (b'{"model": "tiny", "messages": [{"role": "user", "content": "\\ud800"}]}', 400, "JSON"),
        (b'{"model": "tiny", "messages": [], "temperature": NaN}', 400, "JSON"),
        ({**BODY, "model": "gpt-5"}, 404, "gpt-5"),
        ({**BODY, "model": None}, 400, "model"),
        ({**BODY, "messages": []}, 400, "messages"),
        ({**BODY, "messages": "hello"}, 400, "messages"),
        ({**BODY, "messages": [{"role": "wizard", "content": "hello"}]}, 400, "role"),
        ({**BODY, "messages": [{"role": "user", "content": None}]}, 400, "content"),
        ({**BODY, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, 400, "content"),
        ({**BODY, "messages": [HELLO, {"role": "assistant", "content": "x"}]}, 400, "last message"),
        ({**BODY, "messages": [question("long " * 200_000)]}, 400, "context"),
        ({**BODY, "messages": [question("x" * 2_100_000)]}, 413, "larger"),
        ({**BODY, "max_tokens": 100_000}, 400, "context"),
        ({**BODY, "max_tokens": 0}, 400, "max_tokens"),
        ({**BODY, "max_tokens": "many"}, 400, "max_tokens"),
        ({**BODY, "temperature": -1}, 400, "temperature"),
        ({**BODY, "temperature": True}, 400, "temperature"),
        ({**BODY, "stop": ["a", "b", "c", "d", "e"]}, 400, "stop"),
        ({**BODY, "stop": ""}, 400, "stop"),
        ({**BODY, "n": 2}, 400, "'n' is not done"),
        ({**BODY, "tools": [{"type": "function"}]}, 400, "'tools' is not done"),
        ({**BODY, "top_p": 0.5}, 400, "'top_p' is not done"),
        ({**BODY, "response_format": {"type": "json_object"}}, 400, "response_format"),
        ({**BODY, "session": "../../etc/passwd"}, 400, "session"),
    ],
)
async def test_a_request_that_cannot_be_answered_is_refused_in_a_sentence(
    service: Service, body: dict[str, Any] | bytes, status: int, word: str
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    before = service.served.desk.sessions.open
    answer = await service.http.post("/v1/chat/completions", content=data)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert word in error["message"]
    assert service.served.desk.sessions.open == before, "nothing was said"


async def test_a_field_that_changes_nothing_is_passed_over(service: Service) -> None:
    more = {"user": "me", "store": True, "metadata": {"a": "b"}, "n": 1, "top_p": 1.0, "tools": None, "made_up": [1]}
    assert (await service.ask(HELLO, **more))["choices"]


async def test_parts_of_text_and_a_developer_are_read(service: Service) -> None:
    parts: Any = {"role": "user", "content": [{"type": "text", "text": "open "}, {"type": "text", "text": "the door"}]}
    await service.ask({"role": "developer", "content": "You play."}, parts, session="parts")
    (turn,) = talk(service, "parts").said
    assert turn.asked == [{"role": "system", "content": "You play."}, HELLO]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/feedback", {"session": "nobody", "reward": 1}, 404),
        ("/v1/feedback", {"session": "rated", "turn": 5, "reward": 1}, 404),
        ("/v1/feedback", {"session": "rated"}, 400),
        ("/v1/feedback", {"session": "rated", "reward": "good"}, 400),
        ("/v1/feedback", {"session": "rated", "reward": 1e300}, 400),
        ("/v1/sessions/nobody/end", {}, 404),
        ("/v1/sessions/rated/end", {"reward": "good"}, 400),
        ("/v1/nothing", {}, 404),
        ("/v1/models", {}, 405),
    ],
)
async def test_feedback_on_what_is_not_there_is_refused(service: Service, path: str, body: Any, status: int) -> None:
    await service.ask(HELLO, session="rated")
    answer = await service.http.post(path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_a_session_named_by_a_header_that_is_no_name_is_refused(service: Service) -> None:
    answer = await service.http.post("/v1/chat/completions", json=BODY, headers={"X-Session": "a/b"})
    assert answer.status_code == 400
    assert "X-Session" in answer.json()["error"]["message"]


async def test_an_ended_session_is_in_memory_with_its_reward_and_begins_anew(service: Service) -> None:
    first = await service.ask(HELLO, session="ends")
    await service.ask(HELLO, {"role": "assistant", "content": said(first)}, question("thanks"), session="ends")
    answer = await service.http.post("/v1/feedback", json={"session": "ends", "turn": 0, "reward": 0.5})
    assert answer.json() == {"session": "ends", "turn": 0, "reward": 0.5}
    over = (await service.http.post("/v1/sessions/ends/end", json={"reward": -1, "success": False})).json()
    assert (over["turns"], over["rated"]) == (2, 2)
    await service.served.scheduler.tick()
    memory = service.served.scheduler._memory
    await memory.settle()
    kept = memory.store.episode(over["episode"])
    assert [turn.reward for turn in kept.turns] == [0.5, -1.0]
    assert (kept.env, kept.key, kept.split, kept.stop, kept.success) == ("chat", "ends", "served", "done", False)
    assert kept.opening == "open the door"
    assert kept.turns[1].observation == "thanks"
    await service.ask(HELLO, session="ends")
    assert talk(service, "ends").id != over["episode"]


async def test_a_token_guards_everything_but_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_TOKEN", "sesame é")
    async with serving(tmp_path) as service:
        assert (await service.http.get("/health")).status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}):
            answer = await service.http.post("/v1/chat/completions", json=BODY, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        service.http.headers.update({b"Authorization": "Bearer sesame é".encode()})
        assert await service.ask(HELLO)
    assert "sesame" not in (tmp_path / "tiny" / "config.json").read_text()
