"""What a run is made of, put together from its config, and how far it has come.

Rule: nothing of an earlier run is touched before what can be refused has been: the server, the tasks, the database, the
model, the algorithm. What is made of these, the engine and the learner, may refuse later.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from agents.chat import Chat
from agents.library import Library
from agents.types import Episode
from envserver.catalogue import env_name
from envserver.client import Gym
from envserver.schema import Task
from skills_db.store import Store
from trainers import channel
from trainers.alarms import Alarms
from trainers.algorithms.base import Algorithm, Metrics
from trainers.config import RunConfig
from trainers.crew import learner_for
from trainers.display import Display
from trainers.distillers.base import Distiller
from trainers.engines.base import Engine
from trainers.engines.choose import engine_for
from trainers.evolve import Evolution, asking
from trainers.evolvers.base import Evolver
from trainers.learner import Learner
from trainers.metrics import MetricsLog
from trainers.models import build_model, load_model
from trainers.player import Player
from trainers.plugged import BadConfig, build, pick
from trainers.query import QueryData
from trainers.remember import Memory
from trainers.run import Checkpoint, Run
from trainers.shapers.base import Shaper
from trainers.skills import Skills
from trainers.tasks import TaskPool, fetch_keys
from trainers.teacher import corpus
from trainers.tensorboard import TensorBoard
from trainers.worlds import worlds

if TYPE_CHECKING:
    from trainers.tally import Tally

__all__ = ["Parts", "assembled", "beginning", "built_model", "library_for", "shows_notes", "skills_of"]

CORPUS_TASKS = (64, 512)
"""Tasks at least and at most whose transcripts a tokenizer is trained on; more tell it nothing."""


@dataclass(slots=True)
class Parts:
    """One run, assembled."""

    config: RunConfig
    run: Run
    display: Display
    gym: Gym
    pool: TaskPool
    held_out: list[Task]
    algorithm: Algorithm
    shapers: list[Shaper]
    learner: Learner
    engine: Engine
    player: Player
    memory: Memory
    evolution: Evolution | None
    """The library of notes; None where none is shown or made."""
    skills: Skills | None
    """What failures teach; None where they teach nothing."""
    log: MetricsLog
    board: TensorBoard
    alarms: Alarms
    begun: bool = False
    """Whether step 0 is done."""
    step: int = 0
    """Steps done."""
    episodes: int = 0
    spent_s: float = 0.0
    row: Metrics = field(default_factory=dict)
    """Metrics of the step that is done and not yet written down."""
    saved: int = -1
    """Step of the newest checkpoint."""
    drawn: dict[int, list[Task]] = field(default_factory=dict)
    """Tasks that are drawn for steps that are not done, by the step."""
    _books: dict[str, Any] = field(default_factory=dict)
    """The loop's state when the last step was done."""
    _whole: bool = True
    """False while weights change, and for good where that failed."""
    _barren: int = 0
    _skipping: int = 0

    def rng(self, *purpose: object, after: int | None = None) -> random.Random:
        """A source of draws for the step `after` this one, or after another, and a purpose; a resumed run's is the
        same."""
        return random.Random("/".join(map(str, (self.config.seed, self.step if after is None else after, *purpose))))

    async def shaped(self, episode: Episode) -> list[float]:
        """(T,) the episode's rewards after all shapers."""
        rewards = episode.rewards
        for shaper in self.shapers:
            rewards = await shaper.shaped(episode, rewards)
        return rewards

    def count(self, tally: Tally, limit: int, stalled: type[Exception]) -> None:
        """Count the episodes of a step; raises `stalled` after `limit` steps in a row without a valid one."""
        self.episodes += len(tally.episodes)
        self._barren = 0 if any(episode.valid for episode in tally.episodes) else self._barren + 1
        if self._barren >= limit:
            error = next((episode.error for episode in tally.episodes if episode.error), "nothing was played")
            raise stalled(f"no episode was valid in {limit} steps; the last error is: {error}")

    def learned(self, metrics: Mapping[str, float], version: int, limit: int, stalled: type[Exception]) -> None:
        """Count the updates of a step that began at `version`; raises `stalled` after `limit` steps in a row of which
        every optimizer step was skipped."""
        skipped = metrics.get("learner/skipped", 0.0) > 0 and self.learner.version == version
        self._skipping = self._skipping + 1 if skipped else 0
        if self._skipping >= limit:
            raise stalled(
                f"the gradient was not finite in any optimizer step of {limit} steps in a row, so nothing is learned: "
                "lower learner.lr, or compute in float32; the weights are as they were before"
            )

    @contextmanager
    def updating(self) -> Iterator[None]:
        """While weights change there is nothing to save; where that fails, the last checkpoint stands."""
        self._whole = False
        yield
        self._whole = True

    def close_step(self, metrics: Mapping[str, float]) -> None:
        """A step is done: from here on it may be written down and saved."""
        self.begun = True
        self.spent_s += metrics.get("time/step_s", 0.0)
        self.row = {**metrics, "episode/total": self.episodes, "time/total_s": self.spent_s}
        self._books = {
            "step": self.step,
            "episodes": self.episodes,
            "spent_s": self.spent_s,
            "memory_run": self.memory.run,
            "pool": self.pool.state_dict(),
            "algorithm": self.algorithm.state_dict(),
            "skills": self.skills.data.state_dict() if self.skills is not None else None,
            "drawn": {step: [task.model_dump() for task in tasks] for step, tasks in self.drawn.items()},
        }

    def log_row(self, flags: Mapping[str, float]) -> None:
        """Write the step's row, once."""
        row, self.row = {**self.row, **flags}, {}
        self.log.write(self.step, row)
        self.board.write(self.step, row)
        self.display.step(self.step, self.config.steps, row)

    @property
    def unsaved(self) -> bool:
        """Whether a checkpoint now would hold more than the newest one."""
        return self.begun and self._whole and self.step > self.saved

    def checkpoint(self) -> None:
        """Write a checkpoint of the last step that is done."""
        books = self._books | {"alarms": self.alarms.state_dict()}
        self.run.write_checkpoint(self.step, self.learner.save, books, self.config.checkpoint.keep)
        self.saved = self.step

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint. Raises ValueError where it belongs to another model or other tasks."""
        books = checkpoint.state()
        self.learner.load(checkpoint.path)
        self.pool.load_state_dict(books["pool"])
        self.algorithm.load_state_dict(books.get("algorithm", {}))
        self.alarms.load_state_dict(books["alarms"])
        if self.skills is not None and (state := books.get("skills")) is not None:
            self.skills.data.load_state_dict(state)
        self.step, self.episodes, self.spent_s = books["step"], books["episodes"], books["spent_s"]
        owed: dict[str, list[dict[str, Any]]] = books.get("drawn", {})
        self.drawn = {int(step): [Task.model_validate(task) for task in tasks] for step, tasks in owed.items()}
        self.begun, self.saved, self._books = True, self.step, books


@asynccontextmanager
async def assembled(
    config: RunConfig, *, resume: bool, display: Display, url: str | None = None
) -> AsyncIterator[Parts]:
    """Everything a run needs, open; on the server at `url` where that is given.

    Raises BadConfig, GymError, StoreError, ValueError.
    """
    may_run_ahead(config)
    run = Run(config.directory)
    checkpoint = beginning(run, config, resume)
    books = checkpoint.state() if checkpoint else {}
    if checkpoint is not None and "pool" not in books:
        raise BadConfig(
            f"'{run.directory}' holds what `trainer serve-and-learn` has learned; to train it on worlds, give another "
            f"name=... and model.path={checkpoint.model}"
        )
    torch.manual_seed(config.seed)
    path = checkpoint.model if checkpoint else config.model.path
    found = load_model(config.model.model_copy(update={"path": path})) if path else None
    async with AsyncExitStack() as stack:
        memory = Memory(config.store, tell=display.alarm)
        stack.push_async_callback(memory.close)
        run.make()
        env = config.env if url is None else config.env.model_copy(update={"url": url})
        gym = await stack.enter_async_context(worlds(env, log=run.directory / "server.log"))
        name = env_name(env.name)
        keys = await fetch_keys(gym, name, env.split, limit=env.tasks, options=env.options)
        pool = TaskPool(name, keys, seed=config.seed, options=env.options)
        held_out = await fetch_keys(gym, name, env.eval_split, limit=config.eval.tasks, options=env.options)
        algorithm: Algorithm = build("trainers.algorithms", "Algorithm", config.algorithm, pool)
        if found is not None:
            algorithm.meet(found[1])
        if algorithm.takes_gradients and channel.size() > 1:
            raise BadConfig(f"{config.algorithm.__dict__['name']} takes gradients apart, which many processes cannot")
        if "distribution" in algorithm.keeps and channel.size() > 1:
            raise BadConfig(f"{config.algorithm.__dict__['name']} reads whole distributions, which stay in one process")
        resolved = config.model_dump(mode="json")
        memory.begin(config.name, resolved, run=books.get("memory_run"))
        if checkpoint is None:
            run.clear()
        run.create(config)
        run.memory_run.write_text(memory.run)
        model, tokenizer = found or await built_model(config, run, gym, pool, display)
        if found is None:
            algorithm.meet(tokenizer)
        chat = Chat(tokenizer)
        engine = engine_for(config, model, chat)
        stack.push_async_callback(engine.close)
        learner = learner_for(
            model,
            config.learner,
            device=config.model.device,
            reference="reference" in algorithm.keeps,
            critic=algorithm.needs_critic,
            tokenizer=tokenizer,
        )
        stack.callback(learner.close)
        library = library_for(config, memory.store, chat)
        data = QueryData(library, config.skills.reading) if library is not None else None
        player = Player(config, chat, engine, library)
        log = MetricsLog(run.metrics, last_step=books.get("step"))
        stack.callback(log.close)
        board = TensorBoard(run.tensorboard, after_step=books.get("step", -1))
        stack.callback(board.close)
        parts = Parts(
            config=config,
            run=run,
            display=display,
            gym=gym,
            pool=pool,
            held_out=[pool.task(key) for key in held_out],
            algorithm=algorithm,
            shapers=[build("trainers.shapers", "Shaper", found) for found in config.shapers],
            learner=learner,
            engine=engine,
            player=player,
            memory=memory,
            evolution=_evolution(config, memory.store, library, player, display),
            skills=skills_of(config, memory.store, data, player, display) if data is not None else None,
            log=log,
            board=board,
            alarms=Alarms(config.alarms),
        )
        if checkpoint is not None:
            parts.restore(checkpoint)
            if dropped := await asyncio.to_thread(memory.rewind, parts.step):
                display.say(f"{dropped} episodes of later steps are dropped from memory: they are played again")
            display.say(f"going on after step {parts.step} of {config.steps}")
        await engine.load(learner.weights(), learner.version)
        if parts.evolution is not None:
            await parts.evolution.open(parts.step)
        yield parts


def shows_notes(config: RunConfig) -> bool:
    """Whether the run's context asks a library."""
    return bool(pick("agents.contexts", "Context", config.context.__dict__["name"]).shows_notes)


def may_run_ahead(config: RunConfig) -> None:
    """Raises BadConfig where play would run ahead of what the next step depends on."""
    if not config.sampling.staleness:
        return
    name = config.algorithm.__dict__["name"]
    algorithm: type[Algorithm] = pick("trainers.algorithms", "Algorithm", name)
    if algorithm.in_turn():
        raise BadConfig(
            f"'{name}' chooses tasks by what the last step left, so play cannot run ahead of learning; set "
            "sampling.staleness=0, or take another algorithm"
        )
    if shows_notes(config):
        raise BadConfig(
            f"the context '{config.context.__dict__['name']}' shows what memory holds after the last step, so play "
            "cannot run ahead of learning; set sampling.staleness=0, or take another context"
        )


def library_for(config: RunConfig, store: Store, chat: Chat) -> Library | None:
    """The notes and skills of a run whose context shows them, or which makes some; else None."""
    if not shows_notes(config) and not config.memory.every:
        return None
    return Library(store, env_name(config.env.name), tokens=chat.count)


def _evolution(
    config: RunConfig, store: Store, library: Library | None, player: Player, display: Display
) -> Evolution | None:
    if library is None:
        return None
    distiller: Distiller = build("trainers.distillers", "Distiller", config.memory.distiller, asking(player))
    return Evolution(config.memory, store, library, distiller, display.alarm)


def skills_of(config: RunConfig, store: Store, data: QueryData, player: Player, display: Display) -> Skills | None:
    """The skills of a run whose failures teach; else None."""
    if not config.skills.every:
        return None
    evolver: Evolver = build("trainers.evolvers", "Evolver", config.skills.evolver, asking(player))
    return Skills(config.skills, store, data, evolver, display.alarm)


async def built_model(
    config: RunConfig, run: Run, gym: Gym, pool: TaskPool, display: Display
) -> tuple[torch.nn.Module, Any]:
    """A policy from random weights and its tokenizer, which is trained on what the worlds say."""
    least, most = CORPUS_TASKS
    tasks = pool.first(min(most, max(least, config.sft.demonstrations)))
    texts = await corpus(config, gym, tasks, display=display)
    path = build_model(run.directory / "model", texts, config.model.scratch, config.seed)
    return load_model(config.model.model_copy(update={"path": path}))


def beginning(run: Run, config: RunConfig, resume: bool) -> Checkpoint | None:
    """The checkpoint a run goes on from; None begins it. Raises BadConfig rather than overwrite one or mix two runs."""
    found = run.checkpoints()
    if not found:
        return None
    begun = run.config()
    for name, before, asked in (
        ("env.name", begun.env.name, config.env.name),
        ("env.split", begun.env.split, config.env.split),
        ("model.path", begun.model.path, config.model.path),
        *(
            (f"model.scratch.{name}", getattr(begun.model.scratch, name), getattr(config.model.scratch, name))
            for name in type(config.model.scratch).model_fields
        ),
        ("model.lora", begun.model.lora, config.model.lora),
    ):
        if resume and before != asked:
            raise BadConfig(f"'{run.directory}' was begun with another {name}: {before!r}; give another name=...")
    if not resume:
        raise BadConfig(
            f"'{run.directory}' already holds a run at step {found[-1].step}: go on with --resume, or give another "
            "name=..."
        )
    return found[-1]
