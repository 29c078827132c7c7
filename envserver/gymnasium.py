"""A world as a `gymnasium.Env`: text in, text and choices out.

`reset(seed=...)` draws the task, so a seed names an episode; `reset(options={"key": ...})` names the task itself.
`gymnasium.make("envserver.gymnasium:Turnhalle/World-v0", url=..., env="keydoor")` makes one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.spaces import Dict, Sequence, Text
from pydantic import JsonValue

from envserver.errors import BadRequest
from envserver.schema import MAX_TEXT_CHARS, Action, StepResult, Task
from envserver.sync import SyncGym, SyncWorld

__all__ = ["AnyText", "GymnasiumEnv"]

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
        self.observation_space = Dict(text=AnyText(MAX_TEXT_CHARS), choices=Sequence(AnyText(MAX_TEXT_CHARS)))
        self.action_space = AnyText(MAX_TEXT_CHARS)
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
        asked = dict(options or {})
        drawn, drawn_seed = int(self.np_random.integers(self._total)), int(self.np_random.integers(1 << 31))
        key = asked.pop("key", None)
        if key is None:
            key = self._gym.tasks(self._env, self._split, offset=drawn, limit=1, options=self._options).keys[0]
        task_seed = asked.pop("seed", drawn_seed)
        changed = self._options | asked.pop("options", {})
        if asked:
            raise BadRequest(f"reset() has no option '{next(iter(asked))}'; there are: key, seed, options")
        self._leave()
        self._world = self._gym.open(Task(env=self._env, key=key, seed=task_seed, options=changed))
        return self._seen(self._world.result)

    def step(self, action: str) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Play one action. Raises gymnasium's ResetNeeded before the first reset()."""
        if self._world is None:
            raise gymnasium.error.ResetNeeded("there is no episode yet; call reset() first")
        result = self._world.step(Action(text=str(action)))
        observation, info = self._seen(result)
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

    @staticmethod
    def _seen(result: StepResult) -> tuple[dict[str, Any], dict[str, Any]]:
        observation = {"text": result.observation.text, "choices": tuple(result.observation.choices)}
        return observation, {**result.info, "is_success": result.success is True}


gymnasium.register(id="Turnhalle/World-v0", entry_point="envserver.gymnasium:GymnasiumEnv")
