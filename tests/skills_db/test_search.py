"""Full text on both engines: what is found, in what order, and that no query is an error."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skills_db.errors import BadRecord
from skills_db.search import snippet_of, terms
from skills_db.store import Store
from skills_db.types import NewEpisode, NewExperience, NewSkill, NewTurn, SkillEdit


@pytest.fixture
def filled(store: Store) -> Store:
    run = store.add_run("r", {})
    other = store.add_run("other", {})
    said = [
        ("You are in a kitchen.\nThe locked drawer is made of oak.", "open drawer"),
        ("The drawer is locked, and the Schlüssel is under the café table.", "take brass-key"),
        ("You see a w2-o3-q4 label and drawers everywhere.", "unlock drawer with brass key"),
    ]
    turns = [NewTurn(observation, "I think so.", action, 0.0) for observation, action in said]
    store.add_episode(run, NewEpisode("e1", "textworld", "k1", 0, "train", "done", 1.0, True, turns))
    store.add_episode(other, NewEpisode("e2", "keydoor", "k2", 0, "train", "done", 1.0, True, turns[:1]))
    store.add(
        [
            NewExperience("textworld", "A locked drawer.", "Find the key before you pull.", "skill", 1.0, "e1", 2),
            NewExperience("keydoor", "A door.", "Turn the key.", "failure", 1.0, "e2"),
        ]
    )
    return store


def places(store: Store, text: str, **wanted: object) -> set[tuple[str, str, int | None]]:
    return {(hit.kind, hit.id, hit.position) for hit in store.find(text, **wanted)}  # type: ignore[arg-type]


def test_all_words_must_occur_in_any_order_and_case(filled: Store) -> None:
    expected = {("observation", "e1", 0), ("observation", "e1", 1), ("observation", "e2", 0), ("experience", "1", 2)}
    assert places(filled, "locked drawer") == expected
    assert places(filled, "DRAWER  Locked") == expected
    assert places(filled, "locked submarine") == set()


def test_a_word_finds_the_words_it_begins_and_a_phrase_only_itself(filled: Store) -> None:
    assert places(filled, "drawer", kind="observation", env="textworld") == {("observation", "e1", i) for i in range(3)}
    assert places(filled, '"locked drawer"') == {
        ("observation", "e1", 0),
        ("observation", "e2", 0),
        ("experience", "1", 2),
    }
    assert places(filled, '"draw"') == set()


def test_words_are_cut_at_punctuation_and_kept_with_their_accents(filled: Store) -> None:
    assert places(filled, "brass-key") == {("action", "e1", 1), ("action", "e1", 2)}
    assert places(filled, "w2-o3") == places(filled, "o3 w2") == {("observation", "e1", 2)}
    assert places(filled, "schlüssel") == places(filled, "café") == {("observation", "e1", 1)}


def test_a_search_is_narrowed_by_env_kind_and_run(filled: Store) -> None:
    assert places(filled, "key", kind="experience") == {("experience", "1", 2), ("experience", "2", None)}
    assert places(filled, "key", env="keydoor") == {("experience", "2", None)}
    run = next(row.id for row in filled.runs() if row.name == "other")
    assert places(filled, "drawer", run=run) == {("observation", "e2", 0), ("action", "e2", 0)}
    assert places(filled, "key", run=run) == {("experience", "2", None)}
    assert len(filled.find("drawer", limit=2)) == 2
    with pytest.raises(BadRecord, match="observation, action, experience, skill"):
        filled.find("drawer", kind="dream")


def test_a_text_of_megabytes_is_kept_and_its_beginning_is_found(store: Store) -> None:
    long = " ".join(f"w{number:x}" for number in range(190_000))
    assert len(long) > 1 << 20
    run = store.add_run("r", {})
    store.add_episode(run, NewEpisode("e1", "e", "k", 0, "train", "done", 1.0, True, [NewTurn(long, "", "", 0.0)]))
    assert store.episode("e1").turns[0].observation == long
    assert [hit.kind for hit in store.find("w1 wff")] == ["observation"]
    with pytest.raises(BadRecord, match="more than 200000 characters"):
        store.add([NewExperience("e", long, "take it", "skill", 1.0)])


def test_kinds_take_turns_so_that_many_turns_hide_no_lesson(store: Store) -> None:
    run = store.add_run("r", {})
    store.add_episode(
        run, NewEpisode("e1", "e", "k", 0, "train", "done", 1.0, True, [NewTurn("key", "", "key", 0.0)] * 9)
    )
    store.add([NewExperience("e", "a key", f"take it {i}", "skill", 1.0) for i in range(2)])
    store.add_skill(NewSkill("use-keys", "When there is a key.", "Turn it."))
    kinds = ["skill", "experience", "observation", "action", "experience", "observation", "action", "observation"]
    assert [hit.kind for hit in store.find("key", limit=8)] == kinds
    assert [hit.kind for hit in store.find("key", limit=1)] == ["skill"]


def test_what_says_it_more_densely_ranks_higher(store: Store) -> None:
    run = store.add_run("r", {})
    turns = [NewTurn(text, "", "", 0.0) for text in ("key " + "filler " * 200, "key key key", "nothing")]
    store.add_episode(run, NewEpisode("e1", "textworld", "k1", 0, "train", "done", 1.0, True, turns))
    hits = store.find("key")
    assert [hit.position for hit in hits] == [1, 0]
    assert hits[0].rank > hits[1].rank


def test_a_snippet_is_one_line_around_the_words_in_brackets() -> None:
    text = "far away " * 40 + "there is\n a Locked  DRAWER here " + "and on " * 40
    snippet = snippet_of(text, terms("locked draw"))
    assert "there is a [Locked] [DRAWER] here" in snippet
    assert snippet.startswith("…")
    assert snippet.endswith("…")
    assert len(snippet) < 200
    assert snippet_of("all of it", terms("of")) == "all [of] it"
    assert snippet_of("x" * 500, terms("x")) == "[" + "x" * 500 + "]"
    assert snippet_of("keyhole key_key monkey", terms('ke keyh "key"')) == "[keyhole] [key]_[key] monkey"
    assert snippet_of("key " + "a " * 300_000 + "key", terms("a key")).count("[a]") == 78


AWKWARD = ["", '"', '""', '"a AND (', "a OR", "NOT", "*", "col:", "a:b*", "'", "\\", "a & | ! <-> b", "NEAR(a b)"]
AWKWARD += [
    "-- ; DROP TABLE turns",
    "%s %(x)s",
    ":match",
    "²",
    "\ud800",
    "\x00",
    "drawer\x00",
    "x" * 10_000,
    "a " * 5_000,
]


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_no_query_is_an_error(filled: Store, text: str) -> None:
    assert isinstance(filled.find(text), list)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=bool(os.environ.get("CI")),
)
@given(st.text(max_size=40) | st.text(alphabet="\"*()&|!:<>- \\'aäNEARANDORNOT^{}²_\x00", max_size=40))
def test_no_random_query_is_an_error(filled: Store, text: str) -> None:
    assert isinstance(filled.find(text), list)


DRAWERS = NewSkill("open-drawers", "When one is locked.", "Find the brass key.", "textworld")


def test_a_skill_is_found_by_its_name_its_description_and_its_text(filled: Store) -> None:
    filled.add_skill(DRAWERS)
    assert places(filled, '"open drawers" locked "brass key"') == {("skill", "open-drawers", None)}
    (hit,) = filled.find("brass", kind="skill")
    assert (hit.env, hit.key) == ("textworld", "v1")
    assert hit.snippet == "open-drawers When one is locked. Find the [brass] key."
    assert places(filled, "open submarines", kind="skill") == set()


def test_a_skill_is_found_by_the_version_in_use(filled: Store) -> None:
    filled.add_skill(DRAWERS)
    filled.add_skill(NewSkill("dive", "When it is wet.", "Hold your breath."))
    filled.edit_skill("open-drawers", SkillEdit(body="Kick it.", description="When it is stuck."))
    assert places(filled, "brass", kind="skill") == places(filled, "locked", kind="skill") == set()
    assert places(filled, "kick stuck") == {("skill", "open-drawers", None)}
    assert filled.find("kick")[0].key == "v2"
    filled.edit_skill("open-drawers", SkillEdit(body=DRAWERS.body, description=DRAWERS.description))
    assert places(filled, "kick") == set()
    assert filled.find("brass", kind="skill")[0].key == "v1"
    filled.edit_skill("open-drawers", SkillEdit(body="Pick the lock."))
    assert [hit.key for hit in filled.find("pick lock", kind="skill")] == ["v3"]
    filled.retire("skill", "open-drawers")
    assert places(filled, "pick lock") == set()
    assert [hit.id for hit in filled.find("pick lock", retired=True)] == ["open-drawers"]
    with filled._database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM skills WHERE name = 'open-drawers'")
    assert filled.find("pick lock", retired=True) == []
    assert places(filled, "breath") == {("skill", "dive", None)}


def test_a_retired_experience_is_found_where_the_retired_are_asked_for(store: Store) -> None:
    store.add([NewExperience("textworld", "A drawer.", "Pull.", "skill", 0.5)])
    store.retire("experience", "1")
    assert store.find("pull") == []
    assert [hit.id for hit in store.find("pull", retired=True)] == ["1"]


def test_skills_are_narrowed_by_env_and_run(filled: Store) -> None:
    filled.keep_skills(
        [
            DRAWERS,
            NewSkill("take-keys", "When there is a key.", "Take it.", "keydoor", episode="e2", turn=0),
            NewSkill("use-keys", "When you hold a key.", "Use it."),
        ]
    )
    assert places(filled, "key", kind="skill", env="keydoor") == {
        ("skill", "take-keys", 0),
        ("skill", "use-keys", None),
    }
    run = next(row.id for row in filled.runs() if row.name == "other")
    assert places(filled, "key", kind="skill", run=run) == {("skill", "take-keys", 0)}


def test_of_a_text_as_long_as_may_be_the_beginning_is_found(store: Store) -> None:
    body = " ".join(f"w{i:x}" for i in range(150_000))
    store.add_skill(NewSkill("long", "When it is long.", body))
    assert [hit.id for hit in store.find("w9 w7530")] == ["long"]
    assert store.find(f"w{149_999:x}") == []


def test_a_changed_and_a_deleted_row_are_found_no_more(filled: Store) -> None:
    with filled._database.writing() as connection:
        connection.exec_driver_sql("UPDATE turns SET observation = 'a submarine' WHERE observation LIKE '%%café%%'")
        connection.exec_driver_sql("DELETE FROM episodes WHERE id = 'e2'")
    assert places(filled, "café") == set()
    assert places(filled, "submarine") == {("observation", "e1", 1)}
    assert places(filled, "locked drawer", kind="observation") == {("observation", "e1", 0)}


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_postgresql_answers_from_its_index(filled: Store) -> None:
    import sqlalchemy as sa

    from skills_db import search

    with filled._database.reading() as connection:
        for other in ("seqscan", "indexscan"):  # so few rows are read as quickly by others, once they are analysed
            connection.exec_driver_sql(f"SET enable_{other} = off")
        for kind, index in (
            ("observation", "turns_observation_fts"),
            ("action", "turns_action_fts"),
            ("experience", "experiences_fts"),
            ("skill", "skills_fts"),
        ):
            named = {"experience": search._experiences(None, None, True), "skill": search._skills(None, None, True)}
            base = named.get(kind, search._turns("action", None, None))
            query = search._rank_tsvector(base, kind, terms("locked drawer")).order_by(None)
            compiled = query.compile(connection.engine, compile_kwargs={"literal_binds": True})
            plan = "\n".join(connection.execute(sa.text("EXPLAIN " + str(compiled).replace(":", "\\:"))).scalars())
            assert index in plan
