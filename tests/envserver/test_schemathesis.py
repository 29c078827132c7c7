"""The served OpenAPI, attacked."""

from __future__ import annotations

import pytest
import schemathesis
from attack import attack

from envserver.launch import Launched


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_no_request_breaks_the_served_schema(server: Launched, mode: schemathesis.GenerationMode) -> None:
    assert attack(server.url, mode) >= 14
