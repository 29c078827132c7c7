"""Which pool of workers a server has: processes of its own, or actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable

from envserver.config import ServerConfig
from envserver.workers.nursery import Nursery
from envserver.workers.process import Processes

__all__ = ["NoPool", "pool_of"]


class NoPool(RuntimeError):
    """Raised where the workers that were asked for cannot be had; one sentence."""


def pool_of(config: ServerConfig) -> Callable[[Nursery, ServerConfig], Processes]:
    """The pool's class; of a cluster, once it is joined. Raises NoPool."""
    if not isinstance(config.workers, str):
        return Processes
    try:
        from envserver.workers.ray import Cluster, NoCluster
    except ModuleNotFoundError as error:
        raise NoPool(f"workers on Ray need '{error.name}': pip install 'turnhalle[ray]'") from None
    try:
        Cluster.join()
    except NoCluster as error:
        raise NoPool(str(error)) from None
    return Cluster
