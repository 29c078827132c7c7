"""Runs, episodes and turns go in and come out, on both engines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

import pytest

from skills_db.errors import BadRecord, StoreClosed, UnknownRecord
from skills_db.store import Store, open_store
from skills_db.types import NewEpisode, NewTurn


def growing_turns(count: int, *, step: int = 50) -> list[NewTurn]:
    """Turns whose prompt continues the last prompt and answer, as in a chat that is never cut."""
    turns = []
    ids = list(range(1000, 1100))
    for position in range(count):
        sample = [7, 8, 9, position]
        turns.append(
            NewTurn(
                observation=f"You see a locked drawer {position}.",
                text=f"I open it, try {position}.",
                action=f"open drawer {position}",
                reward=0.25,
                prompt_ids=list(ids),
                sample_ids=sample,
                logprobs=[-0.5, -0.25, -1.5, -float(position)],
                version=3,
                generation=2,
                temperature=0.7,
            )
        )
        ids += sample + [(position * 7919 + i * 104729) % 32000 for i in range(step)]
    return turns


def an_episode(id: str = "e1", *, turns: Sequence[NewTurn] | None = None, **changes: object) -> NewEpisode:
    """An episode of textworld; `changes` are fields."""
    base = NewEpisode(
        id=id,
        env="textworld",
        key="custom/w2-o3-q4/train/0007",
        seed=11,
        split="train",
        stop="done",
        reward=0.75,
        success=True,
        turns=growing_turns(3) if turns is None else turns,
        step=4,
        wall_s=1.5,
        opening="You are in a kitchen.",
        closing="You win.",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture
def run(store: Store) -> str:
    return store.add_run("a run", {"seed": 1, "algorithm": {"name": "grpo"}})


def test_an_episode_comes_back_as_it_was_kept(store: Store, run: str) -> None:
    kept = an_episode(error="none", turns=[*growing_turns(2), replace(growing_turns(1)[0], kind="summary", tag="plan")])
    assert store.add_episode(run, kept)
    assert store.episode("e1") == kept


def test_a_run_comes_back_with_its_configuration_and_its_count(store: Store, run: str) -> None:
    store.add_episodes([(run, an_episode("a")), (run, an_episode("b"))])
    later = store.add_run("later", {})
    assert [(row.id, row.name, row.episodes) for row in store.runs()] == [(later, "later", 0), (run, "a run", 2)]
    assert store.runs()[1].config == {"seed": 1, "algorithm": {"name": "grpo"}}


def test_the_same_episode_twice_is_one_row_and_one_visit(store: Store, run: str) -> None:
    assert store.add_episode(run, an_episode())
    assert not store.add_episode(run, an_episode())
    assert store.add_episodes([(run, an_episode()), (run, an_episode("e2")), (run, an_episode("e2"))]) == 1
    assert [row.id for row in store.episodes()] == ["e2", "e1"]
    assert store.task_stats()[0].visits == 2


def test_one_id_in_two_runs_is_refused(store: Store, run: str) -> None:
    store.add_episode(run, an_episode())
    with pytest.raises(BadRecord, match="already kept in run"):
        store.add_episode(store.add_run("other", {}), an_episode())
    with pytest.raises(BadRecord, match="already kept in run"):
        store.add_episodes([(run, an_episode("e2")), (store.add_run("third", {}), an_episode("e2"))])


def test_prompts_that_grow_cost_their_tokens_once(store: Store, run: str) -> None:
    def bytes_of(count: int) -> int:
        store.add_episode(run, an_episode(f"long{count}", turns=growing_turns(count)))
        sql = (
            "SELECT sum(length(prompt_tail)) FROM turns JOIN episodes ON turns.episode = episodes.number "
            f"WHERE episodes.id = 'long{count}'"
        )
        with store._database.reading() as connection:
            return int(connection.exec_driver_sql(sql).scalar_one())

    twenty, eighty = bytes_of(20), bytes_of(80)
    assert eighty < 4.5 * twenty
    assert list(store.episode("long80").turns[79].prompt_ids) == growing_turns(80)[79].prompt_ids


def test_a_prompt_that_does_not_continue_is_kept_whole(store: Store, run: str) -> None:
    first = growing_turns(1)[0]
    turns = [first, replace(first, prompt_ids=[1000, 1001, 5, 6]), replace(first, prompt_ids=[]), first]
    store.add_episode(run, an_episode(turns=turns))
    assert [list(turn.prompt_ids) for turn in store.episode("e1").turns] == [list(turn.prompt_ids) for turn in turns]


def test_log_probabilities_come_back_as_float32(store: Store, run: str) -> None:
    turn = replace(growing_turns(1)[0], logprobs=[-0.1, -math.inf, math.nan, -1e-30])
    store.add_episode(run, an_episode(turns=[turn]))
    back = store.episode("e1").turns[0].logprobs
    assert back[0] == pytest.approx(-0.1, rel=1e-7)
    assert back[1] == -math.inf
    assert math.isnan(back[2])
    assert back[3] == pytest.approx(-1e-30, rel=1e-6)


def test_advantages_are_set_afterwards(store: Store, run: str) -> None:
    store.add_episode(run, an_episode())
    store.set_advantages("e1", [0.5, -1.0, None])
    assert [turn.advantage for turn in store.episode("e1").turns] == [0.5, -1.0, None]
    with pytest.raises(BadRecord, match="3 turns and was given 2"):
        store.set_advantages("e1", [0.5, 1.0])
    with pytest.raises(UnknownRecord, match="no episode has the id 'nobody'"):
        store.set_advantages("nobody", [])


def test_task_statistics_are_those_of_the_returns(store: Store, run: str) -> None:
    returns = [0.0, 1.0, 0.25, 3.5, -2.0, 1.0, 1e6, 0.125]
    store.add_episodes([(run, an_episode(f"a{i}", reward=value, turns=[])) for i, value in enumerate(returns)])
    store.add_episode(run, an_episode("broken", reward=None, stop="error", turns=[]))
    (stat,) = store.task_stats(run)
    assert (stat.visits, stat.best) == (8, 1e6)
    assert stat.mean == pytest.approx(statistics.fmean(returns))
    assert stat.variance == pytest.approx(statistics.pvariance(returns))


def test_task_statistics_of_all_runs_are_those_of_all_returns(store: Store, run: str) -> None:
    other = store.add_run("other", {})
    returns = [0.0, 1.0, 0.25, 3.5, -2.0]
    for i, value in enumerate(returns):
        store.add_episode(run if i < 2 else other, an_episode(f"a{i}", reward=value, turns=[]))
    store.add_episode(run, an_episode("elsewhere", env="keydoor", turns=[]))
    (stat,) = store.task_stats(env="textworld")
    assert (stat.visits, stat.best) == (5, 3.5)
    assert stat.mean == pytest.approx(statistics.fmean(returns))
    assert stat.variance == pytest.approx(statistics.pvariance(returns))
    assert [item.env for item in store.task_stats()] == ["keydoor", "textworld"]


def test_episodes_are_listed_by_what_is_asked(store: Store, run: str) -> None:
    other = store.add_run("other", {})
    store.add_episodes(
        [
            (run, an_episode("a", step=1)),
            (run, an_episode("b", step=2, success=False)),
            (other, an_episode("c", env="keydoor", split="test", step=2)),
        ]
    )

    def ids(**wanted: object) -> list[str]:
        return [row.id for row in store.episodes(**wanted)]  # type: ignore[arg-type]

    assert ids() == ["c", "b", "a"]
    assert ids(newest=False) == ["a", "b", "c"]
    assert ids(run=run) == ["b", "a"]
    assert ids(env="keydoor") == ids(split="test") == ["c"]
    assert ids(step=2, success=False) == ["b"]
    assert ids(limit=1, offset=1) == ["b"]
    assert store.episodes(run=other)[0].turns == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": ""}, "needs an id"),
        ({"id": "a\x00b"}, "no printable text"),
        ({"reward": math.nan}, "finite number"),
        ({"reward": math.inf}, "finite number"),
        ({"seed": 2**63}, "64 bits"),
        ({"turns": [replace(growing_turns(1)[0], reward=math.nan)]}, "not finite"),
        ({"turns": [replace(growing_turns(1)[0], logprobs=[-1.0])]}, "4 sampled ids and 1 log-probabilities"),
        ({"turns": [replace(growing_turns(1)[0], prompt_ids=[2**31])]}, "32 bits"),
        ({"turns": [replace(growing_turns(1)[0], kind="dream")]}, "'act' or 'summary'"),
        ({"turns": [replace(growing_turns(1)[0], used=(99,))]}, "'bad' was shown experience 99"),
        ({"step": 2**31}, "32 bits"),
        ({"turns": [replace(growing_turns(1)[0], version=2**70)]}, "32 bits"),
    ],
)
def test_an_episode_that_cannot_be_kept_is_refused_whole(
    store: Store, run: str, changes: dict[str, object], said: str
) -> None:
    store.add_episode(run, an_episode("before"))
    with pytest.raises(BadRecord, match=said):
        store.add_episodes([(run, an_episode("good")), (run, an_episode(**{"id": "bad", **changes}))])  # type: ignore[arg-type]
    assert [row.id for row in store.episodes()] == ["before"]


def test_an_unknown_run_is_refused(store: Store) -> None:
    with pytest.raises(BadRecord, match="no run has the id 'nowhere': begin one"):
        store.add_episode("nowhere", an_episode())


def test_text_no_database_likes_is_kept_readable(store: Store, run: str) -> None:
    text = "null \x00, lone \ud800, bell \x07, escape \x1b[31m, emoji 🗝, quote ' \" ; DROP TABLE turns"
    turn = replace(growing_turns(1)[0], observation=text, action=text)
    store.add_episode(run, an_episode(turns=[turn], key=text))
    kept = store.episode("e1").turns[0].observation
    assert kept.startswith("null \u2400, lone \ufffd")
    assert kept.endswith("bell \x07, escape \x1b[31m, emoji 🗝, quote ' \" ; DROP TABLE turns")


def test_a_configuration_that_is_not_json_is_refused(store: Store) -> None:
    with pytest.raises(BadRecord, match="is not JSON"):
        store.add_run("bad", {"x": object()})
    with pytest.raises(BadRecord, match="is not JSON"):
        store.add_run("bad", {"x": math.nan})
    assert store.runs() == []


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreClosed, match="has been closed"):
        store.runs()


def test_what_one_store_wrote_another_reads(store: Store, run: str, url: str) -> None:
    store.add_episode(run, an_episode())
    with open_store(url, readonly=True) as reader:
        assert reader.episode("e1") == an_episode()
