"""A world as a `gymnasium.Env`: text in, text and choices out.

`reset(seed=...)` draws the task, so a seed names an episode; `reset(options={"key": ...})` names the task itself.
`gymnasium.make("envserver.gymnasium:Turnhalle/World-v0", url=..., env="keydoor")` makes one too, and `make_vec` many
(`envserver/gymnasium_vector.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.spaces import Dict, Sequence, Text
from numpy.random import Generator
from pydantic import JsonValue

from envserver.errors import BadRequest
from envserver.schema import MAX_TEXT_CHARS, Action, StepResult, Task
from envserver.sync import SyncGym, SyncWorld

__all__ = ["AnyText", "GymnasiumEnv", "drawn", "seen", "spaces"]

SAMPLED = "abcdefghijklmnopqrstuvwxyz "
"""What random actions are drawn from; every text is accepted."""


class AnyText(Text):
    """Every text of at most `max_length` characters; samples are short and plain."""

    def __init__(self, max_length: int, *, seed: int | None = None) -> None:
        super().__init__(max_length, min_length=0, charset=SAMPLED, seed=seed)

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        if mask is None and probability is None:
            length = int(self.np_random.integers(0, min(self.max_length, 40) + 1))
            mask = (length, None)
        return super().sample(mask, probability)


class GymnasiumEnv(gymnasium.Env[dict[str, Any], str]):
    """One environment of a gym, an episode at a time.

    Observations are `{"text": str, "choices": tuple[str, ...]}`. `info` holds the world's own info and `is_success`.
    Raises the errors of `envserver.errors`.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(
        self,
        url: str,
        env: str,
        *,
        split: str = "train",
        token: str | None = None,
        options: Mapping[str, JsonValue] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "ansi"):
            raise BadRequest(f"render_mode '{render_mode}' is not known; use 'ansi' or None")
        self.render_mode = render_mode
        self.observation_space, self.action_space = spaces()
        self._env, self._split, self._options = env, split, dict(options or {})
        self._world: SyncWorld | None = None
        self._gym = SyncGym(url, token=token)
        try:
            self._total = self._gym.tasks(env, split, limit=1, options=self._options).total
        except BaseException:
            self._gym.close()
            raise

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin another episode. `options` may hold `key`, `seed` and `options` of the Task."""
        super().reset(seed=seed)
        place, asked = drawn(self.np_random, self._total, options or {})
        if "key" not in asked:
            asked["key"] = self._gym.tasks(self._env, self._split, offset=place, limit=1, options=self._options).keys[0]
        task = Task(env=self._env, **asked | {"options": self._options | asked["options"]})
        self._leave()
        self._world = self._gym.open(task)
        return seen(self._world.result)

    def step(self, action: str) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Play one action. Raises gymnasium's ResetNeeded before the first reset()."""
        if self._world is None:
            raise gymnasium.error.ResetNeeded("there is no episode yet; call reset() first")
        result = self._world.step(Action(text=str(action)))
        observation, info = seen(result)
        return observation, result.reward, result.terminated, result.truncated, info

    def render(self) -> str | None:
        """The last observation's text, in mode `ansi`."""
        return self._world.result.observation.text if self._world and self.render_mode == "ansi" else None

    def close(self) -> None:
        """Close the session and the connection; safe to call twice."""
        self._leave()
        self._gym.close()

    def _leave(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None


def drawn(rng: Generator, total: int, options: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """A place among `total` tasks, and `seed`, `options` and perhaps `key` of the Task. Raises BadRequest.

    Two numbers are drawn whatever the options say, so that they change no later episode.
    """
    place, seed = int(rng.integers(total)), int(rng.integers(1 << 31))
    if unknown := options.keys() - {"key", "seed", "options"}:
        raise BadRequest(f"reset() has no option '{min(unknown)}'; there are: key, seed, options")
    asked = {name: value for name, value in options.items() if value is not None}
    return place, {"seed": seed, "options": {}, **asked}


def spaces() -> tuple[Dict, AnyText]:
    """What is observed, and what is played."""
    text = AnyText(MAX_TEXT_CHARS)
    return Dict(text=text, choices=Sequence(AnyText(MAX_TEXT_CHARS))), AnyText(MAX_TEXT_CHARS)


def seen(result: StepResult) -> tuple[dict[str, Any], dict[str, Any]]:
    """Observation and info of a result."""
    observation = {"text": result.observation.text, "choices": tuple(result.observation.choices)}
    return observation, {**result.info, "is_success": result.success is True}


gymnasium.register(
    id="Turnhalle/World-v0",
    entry_point="envserver.gymnasium:GymnasiumEnv",
    vector_entry_point="envserver.gymnasium_vector:GymnasiumVectorEnv",
)
