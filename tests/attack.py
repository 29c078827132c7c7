"""A served OpenAPI, attacked: no undeclared status, and every answer as its schema says."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

PARSER_LIMIT_BYTES = 60_000
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def attack(url: str, mode: schemathesis.GenerationMode, headers: Mapping[str, Any] | None = None) -> int:
    """Call every operation of the server; how many those are."""
    headers = headers or {}
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def each(case: schemathesis.Case) -> None:
            response = case.call(headers=headers)
            # A URL that the HTTP parser itself refuses never reaches a route.
            if response.status_code != 400 or len(response.request.url or "") < PARSER_LIMIT_BYTES:
                case.validate_response(response, checks=CHECKS)

        # Some operations have nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable):
            each()
    return len(operations)
