"""Every environment on the shelf keeps every rule."""

import pytest

from envserver import Env, plugins
from envserver.catalogue import EXTRAS
from envserver.check import check
from envserver.sandboxes.base import DEFAULT, load_backend

LONG = {
    "kernel": pytest.mark.slow,
    "kernel_templates": pytest.mark.slow,
    "repo": pytest.mark.slow,
    "scienceworld": pytest.mark.slow,
}
"""Environments that take a minute to check."""
SANDBOXED = ("python", "repo")
"""Environments that cannot be played without a sandbox."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=LONG.get(name, ())) for name in plugins.names("envserver.envs")]
)
def test_an_environment_keeps_the_rules(name):
    try:
        env_class = plugins.load("envserver.envs", name, Env, extras=EXTRAS)
    except plugins.NoSuchPlugin as error:
        pytest.skip(str(error))
    if name in SANDBOXED and not (probe := load_backend(DEFAULT).probe()).available:
        pytest.skip(f"the sandbox '{DEFAULT}' cannot be had here: {probe.detail}")
    findings = check(env_class, tasks_per_split=1, steps=12)
    assert not findings, "\n".join(f"{finding.rule} [{finding.key}]: {finding.detail}" for finding in findings)
