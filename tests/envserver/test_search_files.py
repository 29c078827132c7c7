"""search over a server's own files: what is read, what is refused with its line, how answers are graded."""

from __future__ import annotations

import json
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from envserver import Action, Task
from envserver.catalogue import BadOption, configured
from envserver.client import Gym
from envserver.launch import launch

pytest.importorskip("bm25s", reason="needs the extra [search]")

from envserver.check import check
from envserver.envs._search.files import own_pages, own_questions
from envserver.envs._search.grading import exact, f1, normalised
from envserver.envs._search.shelf import Shelf
from envserver.envs._search.words import asked, words
from envserver.envs.search import Search

PAGES = [
    {"id": "1", "title": "Arthur's Magazine", "text": "Arthur's Magazine (1844–1846) was an American periodical."},
    {"_id": 2, "title": "First for Women", "text": "First for Women is a woman's magazine, started in 1989."},
    {"docid": "d/3", "contents": '"Zürich"\nZürich lies on the river Limmat.'},
    {"id": "4", "title": "Long", "text": "word " * 3000},
    {"id": "5", "title": "Nothing", "text": ""},
]
QUESTIONS = [
    {
        "question": "Which magazine was started first, Arthur's Magazine or First for Women?",
        "answer": "Arthur's Magazine",
        "supporting_facts": [["Arthur's Magazine", 0], ["First for Women", 0]],
    },
    {"question": "On which river does Zurich lie?", "answer": ["the Limmat", "Limmat River"]},
    {"question": "Is Zürich in Japan?", "golden_answers": ["no"], "supporting_facts": {"title": ["Zürich", "Japan"]}},
]


def lines(*rows: object) -> bytes:
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "pages.jsonl").write_bytes(b"\xef\xbb\xbf" + lines(*PAGES) + b"\n")
    (tmp_path / "asked").mkdir()
    (tmp_path / "asked" / "train.jsonl").write_bytes(lines(*QUESTIONS))
    for name in ("dev", "test"):
        (tmp_path / "asked" / f"{name}.jsonl").write_bytes(lines(QUESTIONS[1]))
    return {"source": "files", "corpus": str(tmp_path / "pages.jsonl"), "questions": str(tmp_path / "asked")}


def begun(files: dict[str, str], number: int, **options):
    world = Search(configured(Search, {**files, **options}))
    return world, world.reset(Task(env="search", key=f"questions/train/{number}"))


def played(world) -> list[Action]:
    calls, result = [], None
    while result is None or not result.over:
        calls.append(world.expert())
        result = world.step(calls[-1])
    assert (result.success, world.steps) == (True, len(calls))
    return calls


def test_pages_are_read_in_the_forms_that_are_about(files):
    read = list(own_pages(Path(files["corpus"])))
    assert [(page.id, page.title) for page in read] == [
        ("1", "Arthur's Magazine"),
        ("2", "First for Women"),
        ("d/3", "Zürich"),
        ("4", "Long"),
        ("5", "Nothing"),
    ]
    assert read[2].text == "Zürich lies on the river Limmat."


def test_the_expert_reads_the_supporting_pages_that_there_are(files):
    calls = played(begun(files, 0)[0])
    assert [action.tool for action in calls] == ["search", "open_page", "open_page", "finish"]
    assert [action.arguments["id"] for action in calls[1:3]] == ["1", "2"]
    assert [action.tool for action in played(begun(files, 1)[0])] == ["search", "finish"]
    assert [action.tool for action in played(begun(files, 2)[0])] == ["search", "open_page", "finish"]


def test_long_pages_have_parts_and_accents_do_not_matter(files):
    world, _ = begun(files, 1)
    assert "[d/3] Zürich: Zürich lies" in world.step(call("search", query="zurich")).observation.text
    text = world.step(call("open_page", id="4", part=4)).observation.text
    assert text.endswith("\n(part 4 of 4)")
    assert world.step(call("open_page", id="4", part=5)).observation.text == (
        "Page '4' has 4 parts; there is no part 5."
    )
    assert world.step(call("open_page", id="5")).observation.text == "Nothing\n"


def call(tool: str, **arguments) -> Action:
    return Action(tool=tool, arguments=arguments)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (b'{"id": "2", "text": "a\xff"}\n', r"jsonl:2 is not UTF-8, at byte 22"),
        (b'{"id": "2", "text": \n', r"jsonl:2 is no JSON"),
        (b"[" * 100_000 + b"\n", r"jsonl:2 is no JSON"),
        (b'["a"]\n', r"jsonl:2 is a list, not an object"),
        (lines({"text": "x"}), r"jsonl:2 needs an 'id' of 1 to 200"),
        (lines({"id": "", "text": "x"}), r"jsonl:2 needs an 'id'"),
        (lines({"id": "a\nb", "text": "x"}), r"jsonl:2 needs an 'id'"),
        (lines({"id": "x" * 201, "text": "x"}), r"jsonl:2 needs an 'id'"),
        (lines({"id": True, "text": "x"}), r"jsonl:2 needs an 'id'"),
        (lines({"id": "2"}), r"jsonl:2 needs a 'text'"),
        (lines({"id": "2", "text": 3}), r"jsonl:2 needs a 'text'"),
        (lines({"id": "2", "title": 5, "text": "x"}), r"'title' has to be a text"),
        (lines({"id": "1", "text": "x"}), r"jsonl:2 has the id '1' of line 1"),
    ],
)
def test_a_page_that_cannot_be_read_is_told_with_file_and_line(files, broken, says):
    Path(files["corpus"]).write_bytes(lines(PAGES[0]) + broken)
    with pytest.raises(ValueError, match=says):
        begun(files, 0)


def test_a_corpus_that_is_none_is_refused(files, tmp_path):
    for path, says in [
        (tmp_path, "is a directory; name the .jsonl file in it"),
        (tmp_path / "no.jsonl", "cannot be read: No such file"),
    ]:
        with pytest.raises(ValueError, match=says):
            begun({**files, "corpus": str(path)}, 0)
    (tmp_path / "empty.jsonl").write_bytes(b"\n \n")
    with pytest.raises(ValueError, match="holds no page"):
        begun({**files, "corpus": str(tmp_path / "empty.jsonl")}, 0)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lines({"answer": "x"}), r"jsonl:1 needs a 'question'"),
        (lines({"question": " ", "answer": "x"}), r"jsonl:1 needs a 'question'"),
        (lines({"question": "Who?"}), r"jsonl:1 needs an 'answer'"),
        (lines({"question": "Who?", "answer": []}), r"jsonl:1 needs an 'answer'"),
        (lines({"question": "Who?", "answer": ["x", 3]}), r"jsonl:1 needs an 'answer'"),
        (b"\xff\n", r"jsonl:1 is not UTF-8"),
        (b"[{}]\n", r"jsonl:1 is a list"),
        (b"", "holds no question"),
    ],
)
def test_a_question_that_cannot_be_read_is_told_with_file_and_line(files, broken, says, tmp_path):
    (tmp_path / "asked.jsonl").write_bytes(broken)
    config = configured(Search, {**files, "questions": str(tmp_path / "asked.jsonl")})
    with pytest.raises(BadOption, match=says):
        Search.tasks(config, "train")


def test_one_file_of_questions_is_split_by_content(tmp_path):
    rows = [{"question": f"How much is {number}?", "answer": str(number)} for number in range(240)]
    (tmp_path / "all.jsonl").write_bytes(lines(*rows, rows[5]))
    splits = own_questions(tmp_path / "all.jsonl")
    texts = {split: {question.text for question in listed} for split, listed in splits.items()}
    assert sum(len(listed) for listed in splits.values()) == 241
    assert sum(map(len, texts.values())) == 240
    assert len(texts["train"]) > 5 * len(texts["valid"]) > 0


def test_a_question_that_is_not_there_is_refused(files):
    with pytest.raises(KeyError, match="the train split has 3 questions; there is no number 3"):
        begun(files, 3)


def test_answers_are_graded_as_the_data_sets_do():
    assert normalised("  The  Knight's Tale, (A) ") == "knights tale"
    assert exact("The U.S.A.", ["usa"])
    assert exact("Zu\u0308rich", ["Zürich"])
    assert exact("A", ["A"])
    assert not exact("", ["A", "?"])
    assert not exact("Theodore", ["odore"])
    assert f1("the quick brown fox", ["brown fox jumps"]) == pytest.approx(2 * 2 / (3 + 3))
    assert f1("red red", ["red"]) == pytest.approx(2 * 1 / 3)
    assert f1("yes it is", ["yes"]) == 0.0
    assert f1("yes", ["no", "yes"]) == 1.0
    assert f1("", ["x"]) == 0.0


def test_f1_is_paid_where_it_is_asked_for(files):
    world, _ = begun(files, 1, reward="f1")
    result = world.copy().step(call("finish", answer="the great Limmat"))
    assert (result.reward, result.success) == (pytest.approx(2 / 3), False)
    assert world.step(call("finish", answer="limmat river.")).reward == 1.0


def test_words_are_small_plain_and_never_all_left_out():
    assert words("Ångström's ÉTUDE №5, straße_1") == ["angstrom", "s", "etude", "no5", "strasse_1"]
    assert asked("Who was the the Bishop?") == ["bishop"]
    assert asked("The Who") == ["the", "who"]


def test_a_corpus_is_made_once_and_again_where_it_is_damaged(tmp_path):
    shelf, made = Shelf(tmp_path / "cache"), []

    def make(place: Path) -> None:
        made.append(place)
        (place / "a").write_text("whole")

    assert (shelf.made("x", make) / "a").read_text() == "whole"
    assert shelf.made("x", make) == tmp_path / "cache" / "x"
    assert len(made) == 1
    (tmp_path / "cache" / "x" / "a").write_text("half")
    assert not shelf.has("x")
    assert (shelf.made("x", make) / "a").read_text() == "whole"
    with pytest.raises(RuntimeError):
        shelf.made("y", lambda place: (_ for _ in ()).throw(RuntimeError("no")))
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [".lock-x", ".lock-y", "x"]


def test_what_a_killed_process_left_is_taken_away_and_many_at_once_make_one(tmp_path):
    left = tmp_path / ".making-x.left"
    left.mkdir()
    made = []

    def make(place: Path) -> None:
        made.append(place)
        time.sleep(0.1)
        (place / "a").write_text("whole")

    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(lambda _: Shelf(tmp_path).made("x", make), range(4)))
    assert places == {tmp_path / "x"}
    assert len(made) == 1
    assert not left.exists()


def test_what_a_task_needs_is_made_before_it_is_opened(files, tmp_path):
    config = configured(Search, {**files, "cache_dir": str(tmp_path / "cache")})
    task = Task(env="search", key="questions/train/0")
    making = Search.making(config, task)
    assert making is not None
    making.make()
    assert Search.making(config, task) is None


def test_a_cache_that_is_a_file_is_told(files, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot be written .*; set cache_dir"):
        begun(files, 0, cache_dir=str(tmp_path / "file"))


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """A stand-in for sentence-transformers that embeds by letters."""

    class SentenceTransformer:
        def __init__(self, path, device, local_files_only):
            assert (device, local_files_only) == ("cpu", True)

        def encode(self, texts, **options):
            assert options["normalize_embeddings"]
            rows = np.array(
                [[text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
            )
            return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "modules.json").write_text("[]")
    return tmp_path / "letters"


def test_a_models_directory_ranks_pages(files, model):
    world, _ = begun(files, 1, retriever="vector", encoder=str(model))
    assert world.step(call("search", query="for women", topk=1)).observation.text.startswith("[2]")
    assert played(begun(files, 1, retriever="vector", encoder=str(model))[0])


def test_a_directory_without_a_model_is_refused(files, tmp_path):
    with pytest.raises(ValueError, match="holds no sentence-transformers model"):
        begun(files, 1, retriever="vector", encoder=str(tmp_path))


@pytest.mark.parametrize("retriever", ["bm25", "vector"])
def test_questions_of_ones_own_keep_the_rules(files, retriever):
    findings = check(Search, configured(Search, {**files, "retriever": retriever, "reward": "dense"}), steps=6)
    assert not findings, findings


async def test_they_are_served_and_a_client_cannot_name_another_file(files, tmp_path):
    options = {"search": {**files, "pages": 3000}}
    with launch(["search"], workers=1, expert=True, env_options=options, log=tmp_path / "log") as served:
        async with Gym(served.url, timeout_s=60) as gym:
            page = await gym.tasks("search", "train", limit=5)
            assert page.keys == ["questions/train/0", "questions/train/1", "questions/train/2"]
            world = await gym.open(Task(env="search", key=page.keys[0]))
            while not world.over:
                result = await world.step(await world.expert())
            assert result.success
            generated = await gym.open(Task(env="search", key="h1-d1/test/0000"))
            result = await generated.step(await generated.expert())
            assert result.observation.text.startswith("[p0")
            fork = await generated.fork()
            assert (await fork.step(await fork.expert())) == (await generated.step(await generated.expert()))
            with pytest.raises(Exception, match="corpus"):
                await gym.open(Task(env="search", key=page.keys[0], options={"corpus": "/etc/passwd"}))
