"""SLEA-RL: Step-Level Experience-Augmented Reinforcement Learning (arXiv 2603.18079), its credit.

    A(i,t)   = A_E(i) + step_weight A_S(i,t),       step_weight = 1
    A_E(i)   = (R_i - mean(R_1..R_G)) / F           over the episodes of a task
    A_S(i,t) = (R_it - mean_c(R~)) / F              over the turns whose observation lies in the same cluster c
    R_it     = sum_{k >= t} 0.95^(k - t) r_ik
    c(o)     = the nearest cluster where sim(o, its representative) >= 0.85, else a new one that o represents
    loss     = -1/G sum_i 1/T_i sum_t min(r A, clip(r, 1 - 0.2, 1 + 0.2) A) + 0.01 KL

`reading = "paper"` is that, with F = 1 (`mean_norm`, its table 3). `reading = "code"`: the turns of A_S are those that
saw the identical observation (`credit = "anchors"`), or one that difflib finds alike on its first 500 characters
(`credit = "similar"`, 0.95), and a mean return counts an episode once a turn, as in GiGPO's code. The other half of the
paper, what is shown and what is learned from play, stands in the context `recall` and the section `[memory]`.
The paper leaves open the encoder, and whether a cluster is of a task or of the batch. Ours: the memory's hashing
embedder; representatives are the step's own observations, in the order of play, so that credit keeps no state; the
turns of a task (`over = "batch"`: of all tasks); T_i counts sampled tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from agents.conduct import shown
from skills_db.embedders.hashing import Hashing
from trainers.algorithms.base import AlgorithmConfig, Group
from trainers.algorithms.gigpo import Gigpo, GigpoConfig, Norm

__all__ = ["Slea", "alike_texts", "clusters"]

COMPARED_CHARS = 500
"""What the code compares of two observations."""
OF_THE_CODE = {"credit": "anchors", "episode_over": "turns"}


class SleaConfig(GigpoConfig):
    """SLEA-RL's settings."""

    name: str = "slea"
    """The algorithm's registry name."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    norm: Norm = "mean_norm"
    """What a group's values are put over after its mean is taken off: their standard deviation, or nothing."""
    reading: Literal["paper", "code"] = "paper"
    """Which of the two published readings is computed: `code` sets `credit = "anchors"` and `episode_over = "turns"`,
    unless they are given."""
    credit: Literal["clusters", "anchors", "similar"] = "clusters"
    """Which turns are compared: those of an observation cluster, of the identical observation, or of a similar one."""
    delta: float = Field(0.85, gt=0, le=1)
    """Clusters: least cosine similarity to a cluster's representative."""
    similarity: float = Field(0.95, gt=0, le=1)
    """Similar: least difflib ratio to the first observation of its kind."""
    over: Literal["task", "batch"] = "task"
    """Whether turns are compared within their task or over all tasks of the step."""

    @model_validator(mode="before")
    @classmethod
    def _as_read(cls, found: Any) -> Any:
        return OF_THE_CODE | found if isinstance(found, dict) and found.get("reading") == "code" else found


class Slea(Gigpo):
    """Episodes are compared within their task, turns within their kind of observation."""

    Config: ClassVar[type[AlgorithmConfig]] = SleaConfig
    config: SleaConfig

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: the episode's advantage and the step's."""
        if self.config.over == "task":
            return super().advantages(groups)
        steps = iter(self.step_part(groups))
        return [self.mixed(group, [next(steps) for _ in group.episodes]) for group in groups]

    def anchors(self, groups: Sequence[Group]) -> list[list[Hashable]]:
        """Of the groups' episodes, one after the other, [T] what each turn is compared by."""
        config = self.config
        if config.credit == "anchors":
            return super().anchors(groups)
        rows = [[now.text for now in shown(episode)] for group in groups for episode in group.episodes]
        texts = list(dict.fromkeys(text for row in rows for text in row))
        found = clusters(texts, config.delta) if config.credit == "clusters" else alike_texts(texts, config.similarity)
        kind = dict(zip(texts, found, strict=True))
        return [[kind[text] for text in row] for row in rows]


def clusters(texts: Sequence[str], delta: float) -> list[int]:
    """The cluster of each text: the nearest representative's at or above `delta`, else its own."""
    rows_ND = Hashing().embed(texts)
    found: list[int] = []
    opened: list[int] = []
    for index, row_D in enumerate(rows_ND):
        similar_C = rows_ND[opened] @ row_D
        if opened and similar_C.max() >= delta:
            found.append(int(similar_C.argmax()))
        else:
            opened.append(index)
            found.append(len(opened) - 1)
    return found


def alike_texts(texts: Sequence[str], ratio: float) -> list[int]:
    """The kind of each text: that of the first text it is alike to, by difflib's ratio, else its own."""
    kinds: list[str] = []
    found: list[int] = []
    for text in texts:
        matcher = SequenceMatcher(None, "", text[:COMPARED_CHARS], autojunk=False)
        for kind, first in enumerate(kinds):
            matcher.set_seq1(first)
            # The two cheap ratios are upper bounds of the real one.
            bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
            if all(bound() >= ratio for bound in bounds):
                found.append(kind)
                break
        else:
            kinds.append(text[:COMPARED_CHARS])
            found.append(len(kinds) - 1)
    return found
