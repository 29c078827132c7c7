"""The OpenAPI of a served library, attacked by one who has the token."""

from __future__ import annotations

import pytest
import schemathesis
from attack import attack
from library import HEADERS, served
from test_serving_refusals import fill

from skills_db.store import Store


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_no_request_breaks_a_served_library(store: Store, mode: schemathesis.GenerationMode) -> None:
    fill(store)
    with served(store) as http:
        assert attack(str(http.base_url).rstrip("/"), mode, HEADERS) >= 17
