"""A served policy is taught by its failures and rated by a judge."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from endpoint import served as endpoint
from served import Service, batch, question, serving

HELLO = question("open the door")
SKILL = {
    "name": "try-the-key",
    "description": "When a door does not open.",
    "content": "# Try the key\n1. Take the key.\n2. Unlock the door.\n\n**Anti-pattern**: pushing.",
    "category": "general",
    "episode": 1,
}


async def test_failures_teach_skills_and_what_was_said_before_never_trains(tmp_path: Path) -> None:
    with endpoint() as script:
        script.answers = [(200, json.dumps([SKILL]))]
        pairs = ("context.name=recall", "context.skills=6", "skills.every=1", f"skills.evolver.url={script.url}")
        async with serving(tmp_path, *pairs) as service:
            before = await service.ask(HELLO, session="before")
            await batch(service, -1, -1, 1, -1)
            service.clock.move(minutes=11)
            await service.until(generation=1)
            await service.until(state="window_open")
            state = await service.learning()
            assert (state["updates"], state["sessions"]["waiting"], state["sessions"]["flushed"]) == (0, 0, 4)
            assert "open the door" in script.asked[0]["messages"][1]["content"]

            await service.ask(question("is it locked?"), session="after")
            (after,) = [one for one in service.served.desk.sessions.open if one.session == "after"]
            system = after.said[0].prompt.messages[0]
            assert system["role"] == "system"
            assert "## Active Skills\n\n### try-the-key" in system["content"]
            assert after.said[0].prompt.generation == 1
            assert len(after.said[0].prompt.skills) == 1

            # It began under the skills of before, so it is support data too, whenever it ends.
            echoed = {"role": "assistant", "content": before["choices"][0]["message"]["content"]}
            await service.ask(HELLO, echoed, question("and now?"), session="before")
            await service.http.post("/v1/sessions/before/end", json={"reward": 1})
            await service.until(generation=1)
            assert (await service.learning())["sessions"]["flushed"] == 5
            script.answers = [(200, "[]")]
            await batch(service, 1, 1, 1, 0)
            service.clock.move(minutes=11)
            await service.until(updates=1)
        async with serving(tmp_path, *pairs) as service:
            assert (await service.learning())["generation"] == 1


async def test_who_was_killed_while_an_evolver_was_asked_counts_its_readers_as_support(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await batch(service, 1, 0, 1)
        await service.served.scheduler.tick()
        scheduler = service.served.scheduler
        scheduler._books.write([lesson.episode for lesson in scheduler.waiting])
    async with serving(tmp_path) as service:
        await service.served.scheduler.tick()
        state = await service.learning()
        assert (state["generation"], state["sessions"]["waiting"], state["sessions"]["flushed"]) == (1, 0, 3)


async def judged(service: Service, first: str = "thanks") -> None:
    """A session of two turns; the second question is what the judge sees of the first answer."""
    one = await service.ask(HELLO, session="judged", seed=3)
    echoed = {"role": "assistant", "content": one["choices"][0]["message"]["content"]}
    await service.ask(HELLO, echoed, question(first), session="judged")
    await asyncio.gather(*service.served.desk._judging)


async def test_a_judge_rates_a_turn_by_what_the_user_said_next(tmp_path: Path) -> None:
    with endpoint() as script:
        script.answers = [(200, "Fine. Score: 1"), (200, "Score: **-1**"), (200, "So, score: 1")]
        async with serving(tmp_path, f"serving.judge.url={script.url}", "serving.judge.model=prm") as service:
            await judged(service)
            (session,) = service.served.desk.sessions.open
            assert [(turn.reward, turn.by) for turn in session.said] == [(1.0, "judge"), (None, "")]
            assert len(script.asked) == 3
            assert {asked["temperature"] for asked in script.asked} == {0.6}
            case = script.asked[0]["messages"][1]["content"]
            assert case.startswith("The user asked:\nopen the door\n")
            assert case.endswith("The user said next:\nthanks")
            assert (await service.learning())["judge"] == {"said": {"good": 1}, "error": None}
            answer = await service.http.post("/v1/feedback", json={"session": "judged", "turn": 0, "reward": -1})
            assert answer.status_code == 200
            assert session.rewards == [-1.0, None], "who was there knows better"


async def test_an_unclear_turn_and_one_that_no_judge_answers_have_no_reward(tmp_path: Path) -> None:
    with endpoint() as script:
        script.answers = [(200, "Score: 1"), (200, "Score: 0"), (200, "Score: -1")]
        async with serving(tmp_path, f"serving.judge.url={script.url}") as service:
            await judged(service)
            assert service.served.desk.sessions.open[0].rewards == [None, None]
        script.answers = [(401, "no")]
        async with serving(tmp_path / "other", f"serving.judge.url={script.url}") as service:
            await judged(service)
            assert service.served.desk.sessions.open[0].rewards == [None, None]
            state = (await service.learning())["judge"]
            assert state["said"] == {"failed": 1}
            assert "401" in state["error"]


async def test_nobody_waits_for_a_judge(tmp_path: Path) -> None:
    with endpoint() as script:
        script.wait_s = 3600.0
        async with serving(tmp_path, f"serving.judge.url={script.url}") as service:
            for index in range(3):
                await service.ask(HELLO, session=f"s{index}")
                one = await service.ask(question("again"), session=f"s{index}")
                echoed = {"role": "assistant", "content": one["choices"][0]["message"]["content"]}
                await asyncio.wait_for(service.ask(question("again"), echoed, HELLO, session=f"s{index}"), 30)
            assert len(service.served.desk._judging) == 3
            await service.served.desk.close()
