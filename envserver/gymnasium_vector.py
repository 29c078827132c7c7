"""Many worlds as one `gymnasium.vector.VectorEnv`: each reset and each step of all of them is one frame.

`gymnasium.make_vec("envserver.gymnasium:Turnhalle/World-v0", 64, vectorization_mode="vector_entry_point", url=...,
env="keydoor")` makes one too. Seeds, spaces and autoreset are those of a SyncVectorEnv of as many GymnasiumEnvs. A
session that fails does not end the others: its episode is truncated with reward nan, and `info["error"]` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from pydantic import JsonValue

from envserver.errors import BadRequest, GymError
from envserver.gymnasium import drawn, seen, spaces
from envserver.schema import Action, StepResult, Task
from envserver.sync import SyncGym, SyncWorld

__all__ = ["GymnasiumVectorEnv"]

Seen = tuple[dict[str, Any], dict[str, Any]]


class GymnasiumVectorEnv(VectorEnv):
    """`num_envs` sessions of one environment of a server."""

    def __init__(
        self,
        url: str,
        env: str,
        num_envs: int = 1,
        *,
        split: str = "train",
        token: str | None = None,
        options: Mapping[str, JsonValue] | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise BadRequest(f"num_envs is {num_envs}; it is at least 1")
        self.num_envs = num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = spaces()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._env, self._split, self._options = env, split, dict(options or {})
        self._worlds: list[SyncWorld | None] = [None] * num_envs
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._texts: list[dict[str, Any]] = [{"text": "", "choices": ()} for _ in range(num_envs)]
        self._over = np.ones(num_envs, dtype=np.bool_)
        self._keys: dict[int, str] = {}
        self._gym = SyncGym(url, token=token)
        try:
            self._total = self._gym.tasks(env, split, limit=1, options=self._options).total
        except BaseException:
            self._gym.close()
            raise

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin other episodes: all, or those of `options["reset_mask"]`; the other options are a GymnasiumEnv's.

        A seed is the first environment's, the next has the next. Raises what refuses one of the tasks.
        """
        seeds = [seed + place for place in range(self.num_envs)] if isinstance(seed, int) else seed
        if seeds is not None and len(seeds) != self.num_envs:
            raise BadRequest(f"{len(seeds)} seeds for {self.num_envs} environments")
        asked = dict(options or {})
        mask = asked.pop("reset_mask", None)
        if mask is not None and (np.shape(mask) != (self.num_envs,) or np.asarray(mask).dtype != np.bool_):
            raise BadRequest(f"reset_mask is an array of {self.num_envs} booleans")
        places = [place for place in range(self.num_envs) if mask is None or mask[place]]
        for place in places:
            if seeds is not None and seeds[place] is not None:
                self._rngs[place], _ = seeding.np_random(seeds[place])
        infos: list[dict[str, Any] | None] = [None] * self.num_envs
        for place, info in self._begin(places, asked).items():
            infos[place] = info
        return self._observed(), _batched(infos)

    def step(self, actions: Iterable[str]) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play one action in each. Raises ResetNeeded where an episode is over and nothing begins the next."""
        texts = [str(action) for action in actions]
        if len(texts) != self.num_envs:
            raise BadRequest(f"{len(texts)} actions for {self.num_envs} environments")
        again = [place for place in range(self.num_envs) if self._over[place]]
        if again and (
            self.autoreset_mode is not AutoresetMode.NEXT_STEP or any(self._worlds[at] is None for at in again)
        ):
            raise ResetNeeded(f"the episodes of {again} are over; call reset() first")
        infos: list[dict[str, Any] | None] = [None] * self.num_envs
        rewards = np.zeros(self.num_envs)
        ends = np.zeros((2, self.num_envs), dtype=np.bool_)
        played = [(place, world) for place, world in enumerate(self._worlds) if world and not self._over[place]]
        answers = self._gym.step_all([(world, Action(text=texts[place])) for place, world in played])
        for (place, _), answer in zip(played, answers, strict=True):
            if isinstance(answer, StepResult):
                self._texts[place], infos[place] = seen(answer)
                rewards[place] = answer.reward
                ends[:, place] = answer.terminated, answer.truncated
            else:
                infos[place] = {"error": f"{type(answer).__name__}: {answer.detail}", "is_success": False}
                rewards[place], ends[1, place] = np.nan, True
        finals: dict[int, Seen] = {}
        self._over = ends[0] | ends[1]
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            again = [place for place in range(self.num_envs) if self._over[place]]
            finals = {place: (self._texts[place], infos[place] or {}) for place in again}
        for place, info in self._begin(again, {}).items() if again else ():
            infos[place] = info
        batched = _batched(infos)
        if finals:
            batched["final_obs"], batched["_final_obs"] = _spread({at: one for at, (one, _) in finals.items()}, infos)
            batched["final_info"] = _batched([finals[at][1] if at in finals else None for at in range(self.num_envs)])
            batched["_final_info"] = batched["_final_obs"].copy()
        return self._observed(), rewards, ends[0], ends[1], batched

    def close_extras(self, **_: Any) -> None:
        """Close the sessions and the connection."""
        worlds = [world for world in self._worlds if world is not None]
        self._worlds = [None] * self.num_envs
        try:
            self._gym.close_all(worlds)
        finally:
            self._gym.close()

    def _begin(self, places: list[int], asked: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
        """The infos of new episodes at `places`. Raises what refuses one of them; none of the others is lost."""
        tasks = []
        for place in places:
            rng = self._rngs[place]
            if rng is None:
                rng = self._rngs[place] = seeding.np_random()[0]
            at, told = drawn(rng, self._total, asked)
            key = told.pop("key", None) or self._key(at)
            tasks.append(Task(env=self._env, key=key, seed=told["seed"], options=self._options | told["options"]))
        # What is over gives its room to what comes.
        self._leave([place for place in places if self._over[place]])
        opened = self._gym.open_all(tasks)
        refused = next((answer for answer in opened if isinstance(answer, GymError)), None)
        if refused is not None:
            self._gym.close_all([answer for answer in opened if isinstance(answer, SyncWorld)])
            raise refused
        self._leave(places)
        infos = {}
        for place, world in zip(places, opened, strict=True):
            assert isinstance(world, SyncWorld)
            self._worlds[place] = world
            self._over[place] = False if self.autoreset_mode is not AutoresetMode.SAME_STEP else world.over
            self._texts[place], infos[place] = seen(world.result)
        return infos

    def _leave(self, places: list[int]) -> None:
        left = [world for place in places if (world := self._worlds[place]) is not None]
        for place in places:
            self._worlds[place] = None
        if left:
            self._gym.close_all(left)

    def _key(self, at: int) -> str:
        if at not in self._keys:
            # Keys come in pages: one that is near is as likely to be asked for next.
            first = at - at % 1000
            page = self._gym.tasks(self._env, self._split, offset=first, limit=1000, options=self._options)
            self._keys.update(enumerate(page.keys, first))
        return self._keys[at]

    def _observed(self) -> dict[str, Any]:
        return {name: tuple(one[name] for one in self._texts) for name in ("choices", "text")}


def _batched(infos: list[dict[str, Any] | None]) -> dict[str, Any]:
    """An array and its mask for each key that an info has."""
    batched: dict[str, Any] = {}
    for name in dict.fromkeys(name for info in infos if info for name in info):
        found = {place: info[name] for place, info in enumerate(infos) if info and name in info}
        batched[name], batched[f"_{name}"] = _spread(found, infos)
    return batched


def _spread(found: Mapping[int, Any], infos: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Values at their places, and where there is one; numbers of one kind are an array of it."""
    kinds = {type(value) for value in found.values()}
    kind = kinds.pop() if len(kinds) == 1 and kinds <= {bool, int, float} else object
    values = np.full(len(infos), None, dtype=object) if kind is object else np.zeros(len(infos), dtype=kind)
    there = np.zeros(len(infos), dtype=np.bool_)
    for place, value in found.items():
        values[place], there[place] = value, True
    return values, there
