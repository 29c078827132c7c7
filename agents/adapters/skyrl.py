"""SkyRL: a world as a text environment of its gym.

    skyrl_gym.register(
        id="keydoor",
        entry_point="agents.adapters.skyrl:TextWorld",
        kwargs={"url": "http://localhost:8000", "env": "keydoor"},
    )

A row of the data set names the task in columns of its own (`key`, or `split` and `index`, or `seed`, and `options`)
beside `env_class`, which is the id. The system message is the format's, put after the row's own; what is seen first
follows the row's last user message. What the model says is read by the format, and a complaint costs a turn. SkyRL has
no word for an episode that counts nowhere: one that broke ends with a reward of 0, and is counted in the metric
`failed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput, ConversationType

from agents.adapters.base import Answer, Place, Play, after
from agents.formats.base import Format
from agents.types import History, Move, Prompt, Sample, Turn
from envserver import plugins
from envserver.schema import Task

__all__ = ["TextWorld"]


class TextWorldConfig(BaseModel):
    """What registering it says, and SkyRL's settings under the same id."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: str
    """Where the worlds are served."""
    env: str
    """Which environment is played."""
    token: str | None = None
    """The server's bearer token."""
    options: dict[str, JsonValue] = {}
    """Options of every task; a row's own are put on top."""
    format: str = "plain"
    """How the model answers: a name of `agents/formats`."""
    format_options: dict[str, JsonValue] = {}
    """The format's own options."""


class TextWorld(BaseTextEnv):  # type: ignore[misc]
    """One episode."""

    def __init__(
        self, env_config: Mapping[str, Any] | None = None, extras: Mapping[str, Any] | None = None, **settings: Any
    ) -> None:
        super().__init__()
        self._row = dict(extras or {})
        self.max_turns = int(self._row.get("max_turns", 1 << 31))
        config = TextWorldConfig.model_validate({**settings, **(env_config or {})})
        kind = plugins.load("agents.formats", config.format, Format)  # type: ignore[type-abstract]
        self._format = kind(kind.Config.model_validate(config.format_options))
        self._place = Place(config.url, config.env, config.token, config.options)
        self._play = Play(self._place)
        self._history: History | None = None

    def init(self, prompt: ConversationType) -> tuple[ConversationType, dict[str, Any]]:
        """The row's messages with the format's system message and what is seen first."""
        opened = self._place.run(lambda gym: self._play.begin(gym, self._row))
        if opened is None:
            return [*prompt, {"role": "user", "content": self._play.failure}], {}
        self._history = History(Task(env=self._place.env, key=""), opened)
        system, seen = self._format.system(opened), self._format.show(opened.result.observation)
        messages = [dict(message) for message in prompt]
        if messages and messages[0]["role"] == "system":
            messages[0]["content"] = after(messages[0]["content"], system)
        else:
            messages.insert(0, {"role": "system", "content": system})
        if messages[-1]["role"] == "user":
            messages[-1]["content"] = after(messages[-1]["content"], seen)
        else:
            messages.append({"role": "user", "content": seen})
        return messages, {}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Play what the model said; a complaint of the format costs a turn, and the world is untouched."""
        self.turns += 1
        answer = self._answered(action)
        result = answer.result
        return BaseTextEnvStepOutput(
            observations=[{"role": "user", "content": answer.text}],
            reward=0.0 if result is None else result.reward,
            done=self._play.world is None or self.turns >= self.max_turns,
            metadata={
                "terminated": result is not None and result.terminated,
                "truncated": result is not None and result.truncated,
                "success": self._play.success,
                "failure": self._play.failure,
            },
        )

    def get_metrics(self) -> dict[str, Any]:
        """Of the whole episode."""
        failed = self._play.failure is not None
        return {"success": float(self._play.success), "steps": self._play.steps, "failed": float(failed)}

    def close(self) -> None:
        """Let the world go; closing again is fine."""
        self._place.run(lambda _: self._play.end())

    def _answered(self, text: str) -> Answer:
        """What comes of what the model said."""
        history = self._history
        if history is None:
            return Answer(self._play.failure or "There is no episode: init() comes first.")
        reply = self._format.parse(text, history)
        if reply.action is None:
            answer = Answer(reply.complaint)
        else:
            action = reply.action
            answer = self._place.run(lambda _: self._play.step(action))
        history.turns.append(Turn(Prompt([]), Move([], Sample([], [], "stop", 0.0, 0), text), reply, answer.result))
        seen = answer.text if answer.result is None else self._format.show(answer.result.observation)
        return Answer(seen, answer.result)
