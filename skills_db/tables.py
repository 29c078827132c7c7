"""The tables of memory as statements name them, without objects for their rows."""

from __future__ import annotations

from typing import cast

import sqlalchemy as sa

from skills_db.models import (
    Cluster,
    Episode,
    Experience,
    Link,
    Run,
    Skill,
    SkillVersion,
    TaskStats,
    Turn,
    Use,
)
from skills_db.types import DEMONSTRATION

__all__ = [
    "CLUSTERS",
    "EPISODES",
    "EXPERIENCES",
    "LINKS",
    "PLAYED",
    "RUNS",
    "SKILLS",
    "STATS",
    "TURNS",
    "USES",
    "VERSIONS",
]

CLUSTERS = cast(sa.Table, Cluster.__table__)
EPISODES = cast(sa.Table, Episode.__table__)
EXPERIENCES = cast(sa.Table, Experience.__table__)
LINKS = cast(sa.Table, Link.__table__)
RUNS = cast(sa.Table, Run.__table__)
SKILLS = cast(sa.Table, Skill.__table__)
STATS = cast(sa.Table, TaskStats.__table__)
TURNS = cast(sa.Table, Turn.__table__)
USES = cast(sa.Table, Use.__table__)
VERSIONS = cast(sa.Table, SkillVersion.__table__)

PLAYED: sa.ColumnElement[bool] = EPISODES.c.split != DEMONSTRATION
"""Of an episode: that a policy played it."""
