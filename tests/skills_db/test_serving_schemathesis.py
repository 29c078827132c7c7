"""The OpenAPI of a served library, attacked by one who has the token and by one who has none."""

from __future__ import annotations

import pytest
import schemathesis
from attack import attack
from served import served
from test_serving_refusals import fill

from skills_db.store import Store


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize("token", ["sesame", None])
def test_no_request_breaks_a_served_library(store: Store, mode: schemathesis.GenerationMode, token: str | None) -> None:
    fill(store)
    with served(store, token) as http:
        assert attack(str(http.base_url).rstrip("/"), mode, {"authorization": f"Bearer {token}"}) >= 16
