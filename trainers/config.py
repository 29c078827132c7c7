"""What a run can be told: pydantic classes, frozen, unknown keys refused, no import of torch.

A run is a TOML file and `key=value` on top; the defaults are the papers'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from trainers.engine_config import EngineConfig
from trainers.learner_config import LearnerConfig
from trainers.plugged import plugged
from trainers.serving.config import ServingConfig
from trainers.skills_config import SkillsConfig

__all__ = [
    "AlarmsConfig",
    "CheckpointConfig",
    "EngineConfig",
    "EnvSection",
    "EvalConfig",
    "LearnerConfig",
    "LoraConfig",
    "MemoryConfig",
    "ModelConfig",
    "PlayerConfig",
    "RunConfig",
    "SamplingConfig",
    "ScratchConfig",
    "SftConfig",
    "StoreConfig",
]


class _Section(BaseModel):
    """What every section of a run's config keeps to."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ScratchConfig(_Section):
    """Size of a Llama-style model that is built here, with random weights and its own tokenizer."""

    hidden: int = Field(256, ge=8)
    """Width of the residual stream."""
    layers: int = Field(4, ge=1)
    """Decoder layers."""
    heads: int = Field(8, ge=1)
    """Query heads; must divide `hidden`."""
    kv_heads: int = Field(2, ge=1)
    """Key and value heads; must divide `heads`. Few of them keep the cache small."""
    ffn: int = Field(768, ge=8)
    """Inner width of the gated feed-forward layer."""
    context: int = Field(2048, ge=16)
    """Longest sequence, in tokens."""
    vocab: int = Field(4096, ge=300)
    """Largest size of the byte-level BPE vocabulary; a small corpus gives fewer tokens."""
    tied: bool = True
    """Whether input and output embeddings are one matrix."""

    @model_validator(mode="after")
    def _divides(self) -> ScratchConfig:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise ValueError(f"hidden = {self.hidden} must be an even multiple of heads = {self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads = {self.kv_heads} must divide heads = {self.heads}")
        return self


class LoraConfig(_Section):
    """Low-rank adapters on every linear layer; the base weights stay frozen."""

    r: int = Field(16, ge=1)
    """Rank."""
    alpha: int = Field(32, ge=1)
    """The adapter's output is scaled by alpha / r."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Of the adapter's input while learning; above 0 the trainer's log-probabilities no longer equal the sampler's."""


class ModelConfig(_Section):
    """Where the policy comes from."""

    path: Path | None = None
    """A Hugging Face directory or a .gguf file on this machine; none: `scratch` is built."""
    scratch: ScratchConfig = ScratchConfig()
    """The model that is built where `path` is none."""
    lora: LoraConfig | None = None
    """Train adapters instead of all weights."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights. bfloat16 is for GPUs: most CPUs compute it ten times slower."""
    device: str = "cpu"
    """As torch names it: cpu, cuda, cuda:1."""


class EnvSection(_Section):
    """The worlds."""

    name: str
    """The environment's registry name."""
    url: str | None = None
    """Address of a server; none: one is started here as its own process and ends with the run."""
    token: str | None = Field(None, exclude=True)
    """Bearer token of the server, better given as ENVSERVER_TOKEN; it is written nowhere."""
    timeout_s: float = Field(120.0, gt=0)
    """How long an unanswered request is tried again before its episode is given up."""
    split: str = "train"
    """Tasks to learn from."""
    eval_split: str = "valid"
    """Held-out tasks."""
    tasks: int | None = Field(None, ge=1)
    """Learn from the first so many tasks of the split; none: from all of them."""
    options: dict[str, JsonValue] = {}
    """Settings of the environment's own Config, for every episode."""
    workers: int | None = Field(None, ge=1)
    """World processes of a server that is started here; none: the server's default."""


class PlayerConfig(_Section):
    """How the policy plays."""

    max_turns: int = Field(20, ge=1)
    """Turns of an episode at most."""
    max_tokens: int = Field(64, ge=1)
    """Tokens of a turn at most."""
    temperature: float = Field(1.0, gt=0)
    """Of the sampling for learning. A temperature of 0 has no gradient."""


class SamplingConfig(_Section):
    """How much is played in a step."""

    tasks_per_step: int = Field(8, ge=1)
    """N: tasks, and so groups, of a step."""
    group_size: int = Field(8, ge=1)
    """G: episodes of a task."""
    concurrency: int = Field(64, ge=1)
    """Episodes in play at once. Evaluation and the expert have as many places of their own: beside play that is
    ahead, up to twice as many are in play."""
    staleness: int = Field(0, ge=0)
    """k: play goes on while the learner learns, up to so many steps ahead of it, and no sample is learned from by
    weights that are more than k updates newer than its own. 0: play and learning take turns."""
    partial: Literal["continue", "drop"] = "continue"
    """Of episodes under way when weights change: go on under the new ones, every turn with the version that drew it;
    or begin anew, so that every episode is of one version."""


class EvalConfig(_Section):
    """Evaluation on held-out tasks."""

    every: int = Field(10, ge=0)
    """Steps between evaluations; the last step is always evaluated, and so is the policy RL begins with. 0: never."""
    tasks: int = Field(50, ge=1)
    """The first so many tasks of the split."""
    episodes: int = Field(1, ge=1)
    """Episodes of a task."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""


_Annotator = Annotated[SerializeAsAny[BaseModel], BeforeValidator(plugged("trainers.annotators", "Annotator", "rules"))]


class SftConfig(_Section):
    """Learning from the expert's demonstrations before RL."""

    demonstrations: int = Field(0, ge=0)
    """Tasks of the learning split whose demonstration is learned from; 0: none."""
    epochs: int = Field(1, ge=1)
    """Passes over the demonstrations."""
    lr: float | None = Field(None, gt=0)
    """Peak learning rate; none: `learner.lr`."""
    batch_episodes: int = Field(16, ge=1)
    """Demonstrations of an optimizer step."""
    slips: float = Field(0.0, ge=0, lt=1)
    """Share of the expert's turns, but the first, in which it plays what the world refuses: shown, and not imitated."""
    detours: float = Field(0.0, ge=0, lt=1)
    """Share of the expert's moves on a search that lead to a wrong place, so that searching is shown too."""
    careless: float = Field(0.0, ge=0, lt=1)
    """Share of the expert's summaries that say what came back last and nothing else, so that RL can choose."""
    annotator: _Annotator = Field("rules", validate_default=True)
    """Who writes the thoughts of demonstrations where the format is `rlvmr`; `name` picks the plugin."""
    budget: int | None = Field(None, ge=1)
    """Units to spend on SFT and RL together: a demonstration costs 10, an RL episode 1 (arXiv 2510.01132, table 9)."""
    share: float = Field(0.6, ge=0, le=1)
    """Of the budget, for SFT; the paper's best split of 1,000 units is 60 demonstrations and 400 RL episodes."""


class StoreConfig(_Section):
    """Memory."""

    url: str | None = None
    """sqlite:///file or postgresql://..., without a password; none: the database that `skills path` prints."""
    embedder: str = "hashing"
    """Who makes the vectors of situations and skills: hashing, minilm, or a sentence-transformers model's directory (a
    path with a /). Runs that share a library share it: vectors of two embedders are never compared."""
    delta: float = Field(0.85, ge=-1, le=1)
    """Least cosine similarity of a situation to the representative of its cluster (SLEA-RL); below it opens its own."""

    @field_validator("url", mode="after")
    @classmethod
    def _keeps_no_secret(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).password is not None:
            # Not the value itself: this sentence may be logged.
            raise ValueError("it holds a password, which would be kept in config.json; put it into PGPASSWORD")
        return url


_Distiller = Annotated[SerializeAsAny[BaseModel], BeforeValidator(plugged("trainers.distillers", "Distiller", "rules"))]


class MemoryConfig(_Section):
    """What is learned from play in words, for the context `recall` to show: SLEA-RL (arXiv 2603.18079).

    Runs that share a database share a library; what is compared needs a `store.url` of its own.
    """

    every: int = Field(0, ge=0)
    """Steps between two evolution steps, in which lessons are drawn and shown ones credited; 0: never, what is there
    stays as it is."""
    distiller: _Distiller = Field("rules", validate_default=True)
    """Who makes lessons of episodes; `name` picks the plugin."""
    threshold: float | None = None
    """Return above which an episode teaches strategies, and warnings at or below; none: the median of the step's, the
    paper's. Its code has 0.5."""
    trajectories: int = Field(5, ge=1)
    """K_traj: as many of the best and of the worst episodes teach."""
    rate_strategies: int = Field(10, ge=0)
    """K_strat: strategies admitted in an evolution step at most."""
    rate_warnings: int = Field(5, ge=0)
    """K_warn: warnings admitted in an evolution step at most."""
    capacity_strategies: int = Field(100, ge=0)
    """Strategies of a level at most; a better one takes the place of the lowest."""
    capacity_warnings: int = Field(50, ge=0)
    """Warnings of a level at most."""
    novelty: float | None = Field(0.85, gt=0, le=1)
    """Cosine of two pieces of advice from which they are one; none: only the same advice for the same situation is."""
    credit: bool = True
    """Whether an entry that was shown is ranked by the mean return of those episodes; else by its source's return
    for good, the paper's."""
    harmful: float | None = Field(None, gt=0, lt=1)
    """After an evolution step, entries with which success is lower are retired, with this confidence for all at once;
    none: by `skills prune`."""
    unused_episodes: int | None = Field(None, ge=1)
    """After an evolution step, entries not shown in so many last episodes are retired; none: by `skills prune`."""
    warmup_steps: int = Field(5, ge=0)
    """W: no notes are shown before so many steps are done. The paper counts epochs."""
    minimum: int = Field(10, ge=0)
    """C_min: no notes are shown while the library holds no more entries than this."""
    at_eval: bool = True
    """Whether notes and skills are shown in evaluations too."""
    demonstrations: float = Field(0.0, ge=0, le=1)
    """Share of the demonstrations that teach the library before the others are shown with its notes, so that a model
    learns to read them."""


class CheckpointConfig(_Section):
    """What a killed run goes on from."""

    every: int = Field(5, ge=1)
    """Steps between checkpoints; the last step always has one."""
    keep: int = Field(2, ge=1)
    """Checkpoints kept, the newest ones."""


class AlarmsConfig(_Section):
    """When to warn of what silently ruins runs. All thresholds are ours."""

    mismatch_nats: float = Field(0.05, gt=0)
    """Mean |trainer - sampler| log-probability above this."""
    entropy_nats: float = Field(0.02, ge=0)
    """Mean entropy below this."""
    zero_variance_share: float = Field(0.9, gt=0, le=1)
    """Share of groups without any spread of returns above this."""
    truncation_share: float = Field(0.2, gt=0, le=1)
    """Share of turns cut by `player.max_tokens` above this."""
    complaint_share: float = Field(0.5, gt=0, le=1)
    """Share of turns that could not be parsed above this."""
    invalid_share: float = Field(0.2, gt=0, le=1)
    """Share of episodes whose world or wire broke above this."""
    failure_share: float = Field(0.99, gt=0, le=1)
    """Share of valid episodes that do not solve their task above this."""
    patience: int = Field(3, ge=1)
    """Steps in a row on the bad side before an alarm begins, and on the good side before it ends."""


_Format = Annotated[SerializeAsAny[BaseModel], BeforeValidator(plugged("agents.formats", "Format", "plain"))]
_Context = Annotated[SerializeAsAny[BaseModel], BeforeValidator(plugged("agents.contexts", "Context", "full"))]
_Algorithm = Annotated[SerializeAsAny[BaseModel], BeforeValidator(plugged("trainers.algorithms", "Algorithm", "grpo"))]
_Shaper = Annotated[SerializeAsAny[BaseModel], BeforeValidator(plugged("trainers.shapers", "Shaper"))]


class RunConfig(_Section):
    """One run: what `trainer train` needs to know."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
    """Of the run and its directory."""
    dir: Path = Path("runs")
    """Where run directories stand."""
    seed: int = Field(1, ge=0)
    """Of tasks, weights, sampling and shuffling."""
    steps: int = Field(100, ge=0)
    """Steps of collecting and learning; set by the budget where `sft.budget` is given."""
    env: EnvSection
    player: PlayerConfig = PlayerConfig()
    format: _Format = Field("plain", validate_default=True)
    """How an answer is written; `name` picks the plugin."""
    context: _Context = Field("full", validate_default=True)
    """What the policy sees; `name` picks the plugin."""
    model: ModelConfig = ModelConfig()
    learner: LearnerConfig = LearnerConfig()
    engine: EngineConfig = EngineConfig()
    algorithm: _Algorithm = Field("grpo", validate_default=True)
    """How to learn; `name` picks the plugin."""
    shapers: list[_Shaper] = []
    """Reward ideas, piped in order; `name` picks the plugin."""
    sampling: SamplingConfig = SamplingConfig()
    eval: EvalConfig = EvalConfig()
    sft: SftConfig = SftConfig()
    store: StoreConfig = StoreConfig()
    memory: MemoryConfig = MemoryConfig()
    skills: SkillsConfig = SkillsConfig()
    serving: ServingConfig = ServingConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    alarms: AlarmsConfig = AlarmsConfig()

    @model_validator(mode="before")
    @classmethod
    def _spend(cls, found: Any) -> Any:
        """Turn a budget into demonstrations and steps."""
        if not isinstance(found, dict) or not isinstance(sft := found.get("sft"), dict) or sft.get("budget") is None:
            return found
        if "demonstrations" in sft or "steps" in found:
            raise ValueError("sft.budget sets sft.demonstrations and steps; give the budget or those two, not both")
        share = SftConfig.model_validate(sft)
        sampling = SamplingConfig.model_validate(found.get("sampling", {}))
        assert share.budget is not None
        demonstrations = round(share.budget * share.share / 10)
        episodes = share.budget - 10 * demonstrations
        steps = episodes // (sampling.tasks_per_step * sampling.group_size)
        rest = {name: value for name, value in sft.items() if name not in ("budget", "share")}
        return found | {"steps": steps, "sft": rest | {"demonstrations": demonstrations}}

    @model_validator(mode="after")
    def _skills_are_shown(self) -> RunConfig:
        if self.skills.every and not getattr(self.context, "skills", 0):
            raise ValueError(
                "skills.every writes skills that nobody is shown; give context.name=recall context.skills=6"
            )
        return self

    @model_validator(mode="after")
    def _ahead_of_what_stands_still(self) -> RunConfig:
        if not self.sampling.staleness:
            return self
        for said, why in (
            (self.engine.deterministic, "engine.deterministic promises the same run twice, but the clock decides"),
            (self.memory.every, "memory.every changes notes between steps, but there is no between"),
            (self.skills.every, "skills.every changes skills between steps, but there is no between"),
        ):
            if said:
                raise ValueError(f"{why} where play runs ahead of learning; set sampling.staleness=0")
        return self

    @property
    def directory(self) -> Path:
        """The run's directory."""
        return self.dir / self.name
