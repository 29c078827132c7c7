"""sql: gold earns all, constants and luck earn nothing, and strangers' queries read, in bounds, and do nothing else."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from random import Random

import pytest

from envserver import Action, Task
from envserver.catalogue import BadOption, configured
from envserver.check import check
from envserver.envs._sql.files import Files, in_order
from envserver.envs._sql.guarded import STEPS, Guarded, Refused, _matches
from envserver.envs._sql.judge import same
from envserver.envs._sql.keys import drawn, parse
from envserver.envs._sql.rows import filled
from envserver.envs._sql.schemas import SCHEMAS
from envserver.envs._sql.templates import TEMPLATES
from envserver.envs.sql import Sql

SPLITS = ("train", "valid", "test")
KEY = "shop/d2/test/0001"
ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "


def begun(key: str = KEY, seed: int = 0, **options):
    world = Sql(Sql.Config(**options))
    world.reset(Task(env="sql", key=key, seed=seed))
    return world


def call(world, tool: str, **arguments):
    return world.step(Action(tool=tool, arguments=arguments))


def ask(world, sql: str) -> str:
    return call(world, "query", sql=sql).observation.text


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("name", SCHEMAS)
def test_gold_earns_all_and_doing_nothing_earns_nothing(name, level):
    for number in range(6):
        world = begun(f"{name}/d{level}/{SPLITS[number % 3]}/{number:04d}", number % 2)
        idle = world.copy()
        result, tools = None, []
        while result is None or not result.over:
            action = world.expert()
            tools.append(action.tool)
            result = world.step(action)
            assert "refused" not in result.observation.text
        assert (result.success, result.reward) == (True, 1.0)
        assert tools[0] == "tables"
        assert tools[-2:] == ["query", "answer"]
        while not (result := idle.step(Action())).over:
            assert result.reward == 0
        assert (result.truncated, result.reward) == (True, 0.0)


def test_every_template_can_be_asked_of_every_subject():
    for name, schema in SCHEMAS.items():
        database = Guarded(filled(schema, name), longest_bytes=1000)
        for level, made in TEMPLATES.items():
            for number, template in enumerate(made):
                asked = [template(schema, Random(f"{name}{seed}")) for seed in range(8)]
                found = [database.ask(one.query, 300)[1] for one in asked]
                assert any(found), (name, level, number)
                assert len({one.words for one in asked}) > 4
                assert all(one.ordered == in_order(one.query) for one in asked)


def test_a_constant_a_lucky_query_and_rows_in_another_order_are_wrong():
    world = begun("league/d1/train/0003")
    posed = world.posed
    constant = "VALUES " + ", ".join(
        "(" + ", ".join("NULL" if cell is None else repr(cell) for cell in row) + ")" for row in posed.right[0]
    )
    assert same(posed.databases[0].ask(constant, 300)[1], posed.right[0], ordered=True)
    result = call(world, "answer", sql=constant)
    assert (result.terminated, result.success, result.reward) == (True, False, 0.0)
    number = next(n for n in range(50) if begun(f"shop/d2/train/{n:04d}").posed.asked.ordered)
    world = begun(f"shop/d2/train/{number:04d}")
    gold = world.posed.asked.query
    assert call(world.copy(), "answer", sql=f"SELECT * FROM ({gold}) LIMIT 1000").success
    turned = f"SELECT * FROM (SELECT *, ROW_NUMBER() OVER () r FROM ({gold})) ORDER BY r DESC"
    assert call(world.copy(), "answer", sql=turned).success is False


def test_answers_differ_between_what_is_shown_and_what_is_hidden():
    seen: dict[str, str] = {}
    for split in SPLITS:
        for key in Sql.tasks(Sql.Config(difficulty=2), split)[:40]:
            posed = drawn(parse(key), 0)
            assert not same(posed.right[0], posed.right[1], ordered=False)
            assert seen.setdefault(posed.asked.words, split) == split
    assert len(seen) > 110
    sizes = [len(Sql.tasks(Sql.Config(), split)) for split in SPLITS]
    assert sizes == [10_000, 1_000, 1_000]


def test_tools_tell_what_there_is():
    world = begun(rows=2)
    assert call(world, "tables").observation.text.splitlines()[0].startswith("customers: ")
    told = call(world, "schema", table="orders").observation.text
    assert told.startswith("CREATE TABLE orders (\n  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES")
    assert told.endswith("(3 rows)")
    assert "There is no table 'x'; there are: customers" in call(world, "schema", table="x").observation.text
    assert ask(world, "SELECT 1 AS a, NULL b, 'x' c, 2.5 d") == "a | b | c | d\n1 | NULL | x | 2.5\n(1 row)"
    assert ask(world, "SELECT id FROM orders ORDER BY id") == "id\n1\n2\n(the first 2 rows; there are more)"
    assert "(0 rows)" in ask(world, "SELECT id FROM orders WHERE id < 0")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("DELETE FROM orders", "only reading is allowed"),
        ("UPDATE orders SET quantity = 1", "only reading is allowed"),
        ("INSERT INTO orders SELECT * FROM orders RETURNING 1", "only reading is allowed"),
        ("DROP TABLE orders", "only reading is allowed"),
        ("CREATE TEMP TABLE t (x)", "only reading is allowed"),
        ("CREATE VIRTUAL TABLE t USING fts5(x)", "only reading is allowed"),
        ("ATTACH '/tmp/x' AS y", "only reading is allowed"),
        ("PRAGMA query_only = OFF", "only reading is allowed"),
        ("SELECT * FROM pragma_table_info('orders')", "only reading is allowed"),
        ("SELECT * FROM dbstat", "refused"),
        ("SELECT load_extension('x')", "only reading is allowed"),
        ("SELECT readfile('/etc/passwd')", "no such function"),
        ("VACUUM INTO '/tmp/x'", "refused"),
        ("BEGIN", "only reading is allowed"),
        ("SELECT 1; DELETE FROM orders", "one statement at a time"),
        ("SELECT random()", "only reading is allowed"),
        ("SELECT date('now')", "the time of now is not to be had"),
        ("SELECT date(x'6e6f77')", "the time of now is not to be had"),
        ("SELECT datetime('subsec')", "the time of now is not to be had"),
        ("SELECT strftime('%s')", "the time of now is not to be had"),
        ("SELECT CURRENT_TIMESTAMP", "only reading is allowed"),
        ("SELECT printf('%1000000d', 1)", "only reading is allowed"),
        ("SELECT zeroblob(1000000000)", "only reading is allowed"),
        ("SELECT replace('" + "a" * 500 + "', 'a', 'bbb')", "texts have a limit"),
        ("SELECT " + "(" * 500 + "1" + ")" * 500, "refused"),
        ("SELECT " + ", ".join("1" * 150), "too many columns"),
        (ENDLESS + "SELECT COUNT(*) FROM c", f"more than {STEPS:,} steps"),
        (ENDLESS + f"SELECT '{'a' * 900}' || n FROM c ORDER BY 1", f"more than {STEPS:,} steps"),
        (
            ENDLESS + f"SELECT COUNT(*) FROM c WHERE '{'a' * 700}' || n LIKE '{'%a' * 60}b'",
            f"more than {STEPS:,} steps",
        ),
        (
            ENDLESS + f"SELECT COUNT(*) FROM c WHERE '{'a' * 700}' || n LIKE '{'%a_' * 60}b'",
            f"more than {STEPS:,} steps",
        ),
        (ENDLESS + f"SELECT SUM(instr('{'a' * 700}' || n, '{'a' * 200}b')) FROM c", f"more than {STEPS:,} steps"),
        ("SELECT COUNT(*) FROM orders a, orders b, orders c", f"more than {STEPS:,} steps"),
        ("SELECT 'a' LIKE 'a' ESCAPE 'b'", "ESCAPE is not"),
        ("SELECT 9223372036854775807 + abs(-9223372036854775808)", "integer overflow"),
        ("SELECT '\0'", "null character"),
        ("", "only a SELECT"),
        ("SELEC", "syntax error"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT ?", "refused"),
    ],
)
def test_what_does_not_read_in_bounds_is_refused_and_costs_a_step(sql, says):
    world = begun()
    result = call(world, "query", sql=sql)
    assert says in result.observation.text
    assert not result.over
    assert world.steps == 1
    assert len(result.observation.text) < 500
    assert call(world.copy(), "answer", sql=sql).over is False
    gold = world.posed.asked.query
    assert call(world, "answer", sql=gold).success


def test_a_long_text_is_cut_and_a_long_call_is_refused():
    world = begun(rows=500, max_steps=50)
    wide = "SELECT " + ", ".join(f"'{'x' * 100}' a{n}" for n in range(8)) + " FROM orders"
    assert len(ask(world, wide)) < 9000
    assert "longer than 10000" in ask(world, "SELECT 1 --" + "x" * 10_000)
    for action, says in (
        (Action(text="SELECT 1"), "Call a tool: tables, schema, query, answer."),
        (Action(tool="fly"), "There is no tool 'fly'"),
        (Action(tool="query", arguments={"sql": 1}), "sql of query must be a string, not an integer."),
        (Action(tool="query", arguments={"sql": "SELECT '\ud800'"}), "?"),
    ):
        result = world.step(action)
        assert says in result.observation.text
        result.model_dump_json()


def test_a_value_is_an_answer_where_that_is_asked_for():
    world = begun(answer="value")
    right = world.posed.right[0]
    assert call(world.copy(), "answer", value=json.dumps(right)).success
    assert call(world.copy(), "answer", value="[[1, true]]").success is False
    assert call(world.copy(), "answer", value="[" * 5000).success is False
    number = next(n for n in range(50) if len(begun(f"shop/d1/test/{n:04d}").posed.right[0][0]) == 1)
    world = begun(f"shop/d1/test/{number:04d}", answer="value")
    assert call(world, "answer", value=f" {world.posed.right[0][0][0]} ").success


def test_rows_are_compared_by_type_and_as_often_as_they_come():
    assert same([(1, "a"), (2, None)], [(2, None), (1, "a")], ordered=False)
    assert not same([(1, "a"), (2, None)], [(2, None), (1, "a")], ordered=True)
    assert same([(0.1 + 0.2,)], [(0.3,)], ordered=True)
    assert same([(3,)], [(3.0,)], ordered=True)
    assert not same([("3",)], [(3,)], ordered=True)
    assert not same([(None,)], [(0,)], ordered=True)
    assert not same([(None,)], [("",)], ordered=True)
    assert not same([(1,), (1,), (2,)], [(1,), (2,), (2,)], ordered=False)
    assert not same([(1, 2)], [(2, 1)], ordered=False)
    assert not same([(1,)], [(1, 1)], ordered=False)


def test_our_like_is_sqlites():
    link, rng = sqlite3.connect(":memory:"), Random(0)
    for _ in range(6000):
        pattern = "".join(rng.choices("abA%_*?", k=rng.randint(0, 6)))
        text = "".join(rng.choices("abAB%", k=rng.randint(0, 7)))
        like, glob = link.execute("SELECT ? LIKE ?, ? GLOB ?", (text, pattern, text, pattern)).fetchone()
        assert _matches(pattern, text, "%", "_", fold=True) == bool(like), (pattern, text)
        assert _matches(pattern, text, "*", "?", fold=False) == bool(glob), (pattern, text)
    link.close()


def test_the_same_query_takes_the_same_steps_however_often_it_is_asked():
    database = Guarded(filled(SCHEMAS["shop"], "x"), longest_bytes=1000)

    def asked(top: int) -> bool:
        try:
            database.ask(ENDLESS + f"SELECT COUNT(*) FROM (SELECT n FROM c LIMIT {top})", 1)
        except Refused:
            return False
        return True

    low, high = 1000, 2_000_000
    while high - low > 200:
        middle = (low + high) // 2
        low, high = (middle, high) if asked(middle) else (low, middle)
    assert [asked(low) for _ in range(4)] == [True] * 4
    assert [asked(high) for _ in range(4)] == [False] * 4


def test_another_process_with_another_hash_seed_draws_the_same():
    code = "from envserver.envs._sql.keys import drawn, parse; from zlib import crc32\n"
    code += "print([crc32(repr((p.asked, p.right)).encode()) for d in (1, 2, 3) for n in range(6)"
    code += " for p in [drawn(parse(f'hospital/d{d}/test/{n:04d}'), 3)]])"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_the_hardest_keep_the_rules():
    findings = check(Sql, Sql.Config(difficulty=3, answer="value", describe=True), tasks_per_split=1, steps=4)
    assert not findings, findings


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("shop/d4/train/0000", "d is 1 to 3"),
        ("zoo/d1/train/0000", "no subject 'zoo'; there are: shop"),
        ("shop/d1/dev/0000", "no split 'dev'"),
        ("shop/d1/test/1000", "0000 to 0999"),
        ("shop/d1/train/42", "keys look like"),
        ("files/train/x/0", "has no files of questions"),
    ],
)
def test_a_key_that_names_nothing_is_refused_with_the_reason(key, says):
    with pytest.raises(KeyError, match=says):
        begun(key)


def test_a_wrong_option_is_refused_with_the_reason():
    for options, says in (
        ({"subjects": {"zoo": 1}}, "no subject is named 'zoo'"),
        ({"subjects": {"shop": 0}}, "the weight of 'shop' is 1 to 100, not 0"),
        ({"source": "files"}, "needs the server's directory"),
    ):
        with pytest.raises(BadOption, match=says):
            configured(Sql, options)


@pytest.fixture
def spider(tmp_path):
    """Two questions as Spider writes them, one as BIRD does."""
    home = tmp_path / "database" / "pets"
    home.mkdir(parents=True)
    link = sqlite3.connect(home / "pets.sqlite")
    link.executescript(
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, age REAL);"
        "CREATE TABLE codes (k TEXT PRIMARY KEY) WITHOUT ROWID;"
    )
    link.executemany("INSERT INTO pets VALUES (?, ?, ?)", [(n, f"pet {n}", n / 2) for n in range(1, 31)])
    link.commit()
    link.close()
    rows = [
        {"db_id": "pets", "question": "How many pets are there?", "query": "SELECT count(*) FROM pets"},
        {"db_id": "pets", "question": "Names, oldest first?", "query": "SELECT name FROM pets ORDER BY age DESC"},
    ]
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    bird = {"db_path": "database/pets/pets.sqlite", "question": "Old?", "SQL": "SELECT id FROM pets WHERE age > 9"}
    (tmp_path / "mini.jsonl").write_text(json.dumps({**bird, "evidence": "old means above 9"}) + "\n")
    return tmp_path


def test_questions_like_spiders_and_birds_are_played_and_a_constant_fails_on_the_thinned_instance(spider):
    options = {"source": "files", "files_dir": spider}
    keys = [key for split in SPLITS for key in Sql.tasks(Sql.Config(**options), split)]
    assert len(keys) == 3
    for key in keys:
        world = begun(key, **options)
        while not (result := world.step(world.expert())).over:
            pass
        assert result.success, key
    [counted] = [key for key in keys if key.endswith("dev/0")]
    assert call(begun(counted, **options), "answer", sql="SELECT 30").success is False
    assert call(begun(counted, **options), "answer", sql="SELECT COUNT(id) FROM pets").success
    [named] = [key for key in keys if key.endswith("dev/1")]
    assert call(begun(named, **options), "answer", sql="SELECT name FROM pets ORDER BY age").success is False
    [old] = [key for key in keys if "mini" in key]
    assert "(old means above 9)" in begun(old, **options).posed.asked.words
    before = (spider / "database" / "pets" / "pets.sqlite").read_bytes()
    assert "refused" in ask(begun(old, **options), "DELETE FROM pets")
    assert (spider / "database" / "pets" / "pets.sqlite").read_bytes() == before
    assert sorted(path.name for path in (spider / "database" / "pets").iterdir()) == ["pets.sqlite"]


def test_instances_beside_a_database_take_the_place_of_the_thinned_one(spider):
    link = sqlite3.connect(spider / "database" / "pets" / "other.sqlite")
    link.executescript(
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, age REAL); INSERT INTO pets VALUES (1, 'a', 1);"
    )
    link.close()
    [key] = [key for split in SPLITS for key in Files(spider).keys(split) if key.endswith("dev/0")]
    assert Files(spider).posed(key).right == [[(30,)], [(1,)]]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.json", "{", "is no file of questions"),
        ("x.json", "{}", "holds no list"),
        ("x.json", "[{}]", "question 0 of .* is none: KeyError"),
        ("x.json", '[{"question": "a", "query": "b", "db_id": "none"}]', "there is no database none/none.sqlite"),
        ("x.jsonl", '{"question": "a", "query": "b", "db_path": "../../etc/passwd"}', "there is no database"),
        ("x.jsonl", '{"question": 1, "query": "b", "db_id": "none"}', "are texts"),
        ("x.jsonl", "", "holds no question"),
    ],
)
def test_a_broken_directory_is_refused_with_the_question(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=says):
        Files(tmp_path)


def test_a_query_of_a_file_that_is_refused_is_told(spider):
    (spider / "dev.json").write_text(json.dumps([{"db_id": "pets", "question": "Now?", "query": "SELECT date('now')"}]))
    found = Files(spider)
    [key] = [key for split in SPLITS for key in found.keys(split) if "dev" in key]
    with pytest.raises(RuntimeError, match="is refused: a function cannot be called so"):
        found.posed(key)
