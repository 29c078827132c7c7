"""Every type that crosses HTTP.

They are frozen and refuse unknown keys, so a typo is an error at the door and not a silent default. What is not here
does not cross the wire.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "Action",
    "BatchOpen",
    "BatchOpened",
    "BatchStep",
    "BatchStepped",
    "BatchSteps",
    "Demonstration",
    "EnvCard",
    "ForkRequest",
    "Health",
    "Observation",
    "OpenRequest",
    "Opened",
    "Outcome",
    "Problem",
    "SessionState",
    "StepRequest",
    "StepResult",
    "Task",
    "TaskPage",
    "ToolSpec",
]

MAX_TEXT_CHARS = 1 << 20
"""Longest action text that is read at all; a world may cut far earlier."""

SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
Name = Annotated[str, Field(min_length=1, max_length=128)]

Index = Annotated[int, Field(ge=0, strict=True)]
"""Steps taken; neither `true` nor `"1"` is one."""

# A plain `= {}` would be deep-copied for every object, 4 µs on each step's way.
Empty: Any = Field(default_factory=dict, json_schema_extra={"default": {}})

Outcome = Literal["terminated", "truncated", "env_error", "infra_error", "timeout", "cancelled"]
"""How an episode ended. After the last four its reward is null: no gradient, and in no baseline."""


class Wire(BaseModel):
    """Base of every wire type."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Task(Wire):
    """What to play. The same Task gives the same episode."""

    env: Name
    """The environment's registry name."""
    key: Annotated[str, Field(max_length=512)]
    """Names one task of the environment completely; its form is the environment's."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """Chooses among the episodes of a key where the environment has any randomness."""
    options: dict[str, JsonValue] = Empty
    """Settings of the environment's Config for this episode only."""


class ToolSpec(Wire):
    """One callable tool, in the shape chat models know."""

    name: Name
    description: str
    parameters: dict[str, JsonValue]
    """JSON schema of the arguments."""


class Action(Wire):
    """What a player does in one turn: a text, or a call of one tool."""

    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] = ""
    tool: str | None = None
    """Name of the tool to call; None where the action is the text."""
    arguments: dict[str, JsonValue] = Empty


class Observation(Wire):
    """What the world shows."""

    text: str
    choices: list[str] = Field(default_factory=list, json_schema_extra={"default": []})
    """Commands that are accepted now; empty where the form is free."""


class StepResult(Wire):
    """What opening or stepping a world returns."""

    observation: Observation
    reward: float = 0.0
    """Reward of this step alone, unshaped."""
    terminated: bool = False
    """The task itself ended."""
    truncated: bool = False
    """Something outside the task cut it: a step limit."""
    success: bool | None = None
    """Whether the task is solved; None while that is open."""
    measured: dict[str, float] = Empty
    """What the world measured of this step, by name, beside the reward it made of it: for shapers and algorithms that
    weigh it anew. An environment's page names what it measures."""
    info: dict[str, JsonValue] = Empty
    """For people and plots; code never branches on it, and no id, time or latency stands in it."""

    @property
    def over(self) -> bool:
        """True once no further step will be answered."""
        return self.terminated or self.truncated


class OpenRequest(Wire):
    """Body of `POST /v1/sessions`."""

    task: Task
    session: SessionId | None = None
    """A caller-made id makes opening a safe retry: the same id and task give the same session again."""
    owner: Name | None = None
    """Who asks, for the list of sessions; it decides nothing."""


class Opened(Wire):
    """A session that is ready for its first step."""

    session: str
    instructions: str
    """What can be done here; never how an answer is formatted."""
    tools: list[ToolSpec] = []
    result: StepResult
    """The state before the first step (after a fork: the state at that step)."""
    index: Annotated[int, Field(ge=0)] = 0
    """Steps taken so far: 0, or more after a fork."""


class StepRequest(Wire):
    """Body of `POST /v1/sessions/{id}/steps`."""

    index: Index
    """Steps taken before this one. A taken index answers the same result again; an index ahead is 409."""
    action: Action


class ForkRequest(Wire):
    """Body of `POST /v1/sessions/{id}/fork`."""

    index: Index | None = None
    """Steps the copy shall have taken; None for all of them."""
    session: SessionId | None = None
    """A caller-made id for the copy."""


class SessionState(Wire):
    """What the server knows about one session."""

    session: str
    task: Task
    owner: str | None = None
    """Who opened it, by their own word; a fork has its source's."""
    index: int
    """Steps taken."""
    over: bool
    outcome: Outcome | None
    """None while the episode goes on."""
    age_s: float
    idle_s: float
    lease_s: float
    """Seconds of silence after which the session is reaped."""
    actions: list[Action] = []
    """The transcript's actions; only in the single-session view."""
    results: list[StepResult] = []
    """The opening result, then one result a step; only in the single-session view."""


class Problem(Wire):
    """`application/problem+json`: the one shape of every error."""

    type: str
    """The error's kind, such as `UnknownEnv`."""
    title: str
    status: int
    detail: str
    """One sentence: what was wrong and what to do."""
    session: str | None = None
    retry_after_s: float | None = None


class BatchOpen(Wire):
    """Body of `POST /v1/batch/sessions`."""

    requests: Annotated[list[OpenRequest], Field(max_length=4096)]


class BatchOpened(Wire):
    """One answer or one refusal for each request, in order."""

    answers: list[Opened | Problem]


class BatchStep(Wire):
    """One step of a batch."""

    session: SessionId
    index: Index
    action: Action


class BatchSteps(Wire):
    """Body of `POST /v1/batch/steps`."""

    requests: Annotated[list[BatchStep], Field(max_length=4096)]


class BatchStepped(Wire):
    """One answer or one refusal for each request, in order."""

    answers: list[StepResult | Problem]


class EnvCard(Wire):
    """One environment of the catalogue."""

    env: str
    summary: str
    """First line of the environment's docstring."""
    instructions: str
    tools: list[ToolSpec]
    deterministic: bool
    weight: Literal["trivial", "worker"]
    splits: dict[str, int]
    """Number of tasks in each split."""
    config_schema: dict[str, JsonValue]
    """JSON schema of what `Task.options` may hold."""


class TaskPage(Wire):
    """A page of task keys."""

    env: str
    split: str
    total: int
    offset: int
    keys: list[str]


class Demonstration(Wire):
    """How the expert plays one task."""

    task: Task
    actions: list[Action]
    success: bool


class Health(Wire):
    """Liveness, capacity and limits."""

    status: Literal["ok", "degraded"]
    """`degraded` where there is no worker, or an environment that was asked for could not be loaded."""
    version: str
    envs: list[str]
    sessions: int
    max_sessions: int
    workers: list[dict[str, JsonValue]]
    """One object a worker: pid, sessions, resident memory, age, state."""
    limits: dict[str, float]
    """Each limit by name, its unit in the name."""
