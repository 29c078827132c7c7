"""What tests of every package share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from envserver.launch import launch

# How long an example takes says nothing on a machine that others use, too.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

# A shell starts its background jobs deaf to Ctrl-C, and children inherit that; tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Games that tests make stay out of the user's cache directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNHALLE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def gym_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a served keydoor with its expert, on two workers."""
    log: Path = tmp_path_factory.mktemp("envserver") / "server.log"
    with launch(["keydoor"], workers=2, expert=True, log=log) as server:
        yield server.url
