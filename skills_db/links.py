"""Links of clusters to experiences elsewhere in the library that a search has found for them.

After SLEA-RL (arXiv 2603.18079): of a kind that the situation's cluster has none of, the whole library is searched for
what is at least delta similar, and the hits are linked to the cluster, which has them from then on. A situation that is
like no cluster opens one, as there; that it does so only together with its first link is ours, since a policy comes to
many places and a cluster without experiences answers nothing. `LINKED` is ours, too.

A link is a by-product of reading: written after the answer, in a transaction of its own that waits for nobody. Where
the database is busy or may not be written, the link is left to the next search.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from skills_db.cluster import Clusters
from skills_db.database import Database
from skills_db.episodes import insert_ignoring
from skills_db.errors import StoreError, StoreReadOnly
from skills_db.tables import LINKS
from skills_db.vectors import Vector

__all__ = ["LINKED", "Links"]

LINKED = 10
"""So many experiences of a kind, the nearest, are linked at once."""


class Links:
    """The links of one database; to be shared by threads."""

    def __init__(self, database: Database, clusters: Clusters) -> None:
        self._database = database
        self._clusters = clusters
        self._may_write = True

    def keep(
        self, env: str, situation: str, vector_D: Vector, cluster: int | None, found: Sequence[tuple[int, float]]
    ) -> None:
        """Link (experience, similarity) to the situation's cluster, None: to a new one, if that can be done at once."""
        if not found or not self._may_write:
            return
        try:
            with self._database.writing(waits=False) as connection:
                if cluster is None:
                    cluster = self._clusters.assign(connection, env, situation, vector_D)
                rows = [
                    {"cluster": cluster, "experience": id, "similarity": similarity, "created": datetime.now(UTC)}
                    for id, similarity in sorted(found)
                ]
                connection.execute(insert_ignoring(connection, LINKS, ["cluster", "experience"]), rows)
        except StoreReadOnly:
            self._may_write = False
        except StoreError:
            return  # a search does not fail for it
