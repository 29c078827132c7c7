"""SQL: questions over a database, asked by queries that only read, answered by a query that is judged by its result.

A key such as `shop/d1/train/0042` names a subject, a difficulty, a split and a number; the task's seed draws another
question over other rows under the same key. `tables`, `schema` and `query` look at one database; `answer` takes a
query, which is run on that one and on a second one of the same tables that is never shown, so that a constant or a
query that is right by chance is wrong. Rows have to be the same, in order where the question asks for one. `guarded`
says what keeps strangers' queries in bounds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from envserver.arguments import refusal
from envserver.calls import signature
from envserver.core import Briefing, Env, EnvConfig, cut, going, lost, won
from envserver.envs._sql.files import Files, files
from envserver.envs._sql.guarded import Refused, Row
from envserver.envs._sql.judge import same, shown
from envserver.envs._sql.keys import LEVELS, MOST_ROWS, Posed, drawn, parse
from envserver.envs._sql.schemas import SCHEMAS
from envserver.numbered import MixedKeys
from envserver.schema import Action, StepResult, Task, ToolSpec

__all__ = ["Sql"]

LONGEST_CHARS = 10_000
"""Of a query or an answer."""


def _tool(name: str, description: str, *parameters: str) -> ToolSpec:
    properties: dict[str, Any] = {one: {"type": "string"} for one in parameters}
    schema = {"type": "object", "properties": properties, "required": [*parameters], "additionalProperties": False}
    return ToolSpec(name=name, description=description, parameters=schema)


TABLES = _tool("tables", "The names of the tables, and how many rows each has.")
SCHEMA = _tool("schema", "The statement that made a table, and some of its rows.", "table")
QUERY = _tool("query", "The result of a SELECT, in SQLite's SQL.", "sql")
ANSWER = _tool("answer", "Answer with a SELECT, whose result is judged; it ends the task.", "sql")
ANSWER_VALUE = _tool("answer", "Answer with a value, or rows as JSON such as [[1, null]]; it ends the task.", "value")


class SqlConfig(EnvConfig):
    """Options of sql."""

    servers_own: ClassVar[tuple[str, ...]] = ("files_dir",)

    source: Literal["generated", "files"] = "generated"
    """What is listed: questions of the subjects, or those in `files_dir`."""
    subjects: dict[str, int] = {}
    """Which subjects are listed, each with its weight; none given: all, alike."""
    difficulty: int = Field(default=1, ge=1, le=LEVELS)
    """1: one table; 2: joins, groups, having, months; 3: nested queries, set operations, windows."""
    answer: Literal["query", "value"] = "query"
    """What `answer` takes: a query, which is run on the hidden database too, or what was found in the shown one."""
    max_steps: int = Field(default=15, ge=1, le=1000)
    """Calls after which the episode is cut."""
    rows: int = Field(default=30, ge=1, le=500)
    """How many rows of a result are shown."""
    describe: bool = False
    """Whether the instructions list the tools, for players whose format does not."""
    files_dir: Path | None = Field(default=None, validate_default=True)
    """Questions and databases like Spider's or BIRD's. Only the server may set it."""

    @field_validator("files_dir")
    @classmethod
    def _is_needed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("source") == "files":
            raise ValueError("source 'files' needs the server's directory of questions and databases")
        return value

    @field_validator("subjects")
    @classmethod
    def _weights(cls, value: dict[str, int]) -> dict[str, int]:
        for name, weight in value.items():
            if name not in SCHEMAS:
                raise ValueError(f"no subject is named '{name[:40]}'; there are: {', '.join(SCHEMAS)}")
            if not 1 <= weight <= 100:
                raise ValueError(f"the weight of '{name}' is 1 to 100, not {weight}")
        return value


class Sql(Env):
    """Answer a question over a database by queries that only read."""

    Config: ClassVar[type[EnvConfig]] = SqlConfig
    config: SqlConfig
    instructions: ClassVar[str] = "Look at the database with tables, schema and query; answer ends the task."
    tools: ClassVar[tuple[ToolSpec, ...]] = (TABLES, SCHEMA, QUERY, ANSWER)

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, SqlConfig)
        if config.source == "files":
            return _files(config).keys(split)
        weights = config.subjects or dict.fromkeys(SCHEMAS, 1)
        return MixedKeys(weights, f"d{config.difficulty}", split)

    def reset(self, task: Task) -> StepResult:
        if task.key.startswith("files/"):
            self.posed: Posed | None = _files(self.config).posed(task.key)
        else:
            self.posed = drawn(parse(task.key), task.seed)
        self.steps = 0
        self.looked: tuple[str, ...] = ()
        """What the expert would look at and what was looked at."""
        return going(self.posed.asked.words)

    def briefing(self) -> Briefing:
        told = [self.instructions]
        if self.config.describe:
            told += map(signature, self._tools())
        return Briefing("\n".join(told), self._tools())

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        result = self._called(action)
        if result.over or self.steps < self.config.max_steps:
            return result
        return cut(f"{result.observation.text}\nNo call is left.")

    def close(self) -> None:
        # Copies share the databases, which nobody can change; the last to let go closes them.
        self.posed = None

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        return twin

    def expert(self) -> Action | None:
        """Looks at what its query reads, tries it, and answers; sooner where few calls are left."""
        assert self.posed is not None
        asked = self.posed.asked
        words = asked.query.replace("(", " ").split()
        plan: list[tuple[str, dict[str, str]]] = [("tables", {})]
        plan += [("schema", {"table": name}) for name in self.posed.databases[0].tables if name in words]
        plan += [("query", {"sql": asked.query})]
        for tool, arguments in plan:
            if self.steps + 1 < self.config.max_steps and _look(tool, arguments) not in self.looked:
                return Action(tool=tool, arguments=dict(arguments))
        if self.config.answer == "value":
            return Action(tool="answer", arguments={"value": json.dumps(self.posed.right[0])})
        return Action(tool="answer", arguments={"sql": asked.query})

    def _tools(self) -> list[ToolSpec]:
        return [TABLES, SCHEMA, QUERY, ANSWER if self.config.answer == "query" else ANSWER_VALUE]

    def _called(self, action: Action) -> StepResult:
        """What a call comes to; a sentence where nothing could be called."""
        assert self.posed is not None
        tools = {tool.name: tool for tool in self._tools()}
        if action.tool is None:
            return going(f"Call a tool: {', '.join(tools)}.")
        if (tool := tools.get(action.tool)) is None:
            return going(f"There is no tool {action.tool[:40]!r}; there are: {', '.join(tools)}.")
        if wrong := refusal(tool, action.arguments):
            return going(wrong)
        said = str(next(iter(action.arguments.values()), ""))
        if len(said) > LONGEST_CHARS:
            return going(f"That is longer than {LONGEST_CHARS} characters.")
        self.looked += (_look(action.tool, action.arguments),)
        try:
            if tool is ANSWER_VALUE:
                right = self.posed.right[0]
                good = same(_read(said, right), right, ordered=self.posed.asked.ordered)
                return won("Right.") if good else lost("Wrong.")
            if tool is ANSWER:
                return won("Right.") if self._right(said) else lost("Wrong.")
            return going(self._looked_at(tool, said))
        except Refused as refused:
            return going(f"That is refused: {refused}.".encode(errors="replace").decode())

    def _looked_at(self, tool: ToolSpec, said: str) -> str:
        """What a tool says that does not end the task. Raises Refused."""
        assert self.posed is not None
        database = self.posed.databases[0]
        if tool is QUERY:
            return shown(database.ask(said, self.config.rows))
        if tool is TABLES:
            counts = [(name, database.ask(f"SELECT COUNT(*) FROM {_quoted(name)}", 1)[1]) for name in database.tables]
            return "\n".join(f"{name}: {rows[0][0]} rows" for name, rows in counts)
        if said not in database.tables:
            return f"There is no table {said[:40]!r}; there are: {', '.join(database.tables)}."
        return f"{database.tables[said]}\n{shown(database.ask(f'SELECT * FROM {_quoted(said)} LIMIT 3', 3))}"

    def _right(self, query: str) -> bool:
        """Whether a query gives what is right in every database. Raises Refused where the shown one refuses it."""
        assert self.posed is not None
        for number, (database, right) in enumerate(zip(self.posed.databases, self.posed.right, strict=True)):
            try:
                rows = database.ask(query, MOST_ROWS + 1)[1]
            except Refused:
                if number == 0:
                    raise
                return False
            if not same(rows, right, ordered=self.posed.asked.ordered):
                return False
        return True


def _look(tool: str, arguments: dict[str, Any]) -> str:
    return json.dumps([tool, arguments], sort_keys=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _read(said: str, right: list[Row]) -> list[Row]:
    """An answer as rows: JSON's rows, a list that is a column or a row, one value, or a text."""
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        value = said.strip()
    if not isinstance(value, list):
        value = [[value]]
    elif not all(isinstance(one, list) for one in value):
        value = [[one] for one in value] if right and len(right[0]) == 1 else [value]
    return [tuple(str(cell) if isinstance(cell, bool | list | dict) else cell for cell in row) for row in value]


def _files(config: SqlConfig) -> Files:
    """The server's questions. Raises KeyError where it has none."""
    if config.files_dir is None:
        raise KeyError("this server has no files of questions; serve sql with files_dir set")
    return files(config.files_dir)
