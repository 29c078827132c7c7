"""Results as bytes: the encoding is StepResult's own JSON, whatever stands in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json
from worlds import Trivial

from envserver import Action, Observation, StepResult
from envserver.errors import WorldFailed
from envserver.workers.base import played

LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    LEAVES | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
RESULTS = st.builds(
    StepResult,
    observation=st.builds(Observation, text=st.text(), choices=st.lists(st.text(), max_size=4)),
    reward=st.floats(allow_nan=False, allow_infinity=False),
    terminated=st.booleans(),
    truncated=st.booleans(),
    success=st.none() | st.booleans(),
    info=st.dictionaries(st.text(), VALUES, max_size=4),
)


class Says(Trivial):
    """Gives the result it is handed."""

    def __init__(self, result: StepResult) -> None:
        super().__init__(self.Config())
        self.result = result

    def step(self, action: Action) -> StepResult:
        return self.result


@given(RESULTS)
def test_an_encoded_result_is_the_result(result: StepResult) -> None:
    body, over, truncated = played(Says(result), Action())
    assert StepResult.model_validate_json(body) == result
    assert list(from_json(body)) == list(StepResult.model_fields)
    assert (over, truncated) == (result.over, result.truncated)


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_the_world_s_failure(reward: float) -> None:
    result = StepResult(observation=Observation(text=""), reward=reward)
    with pytest.raises(WorldFailed, match="not finite"):
        played(Says(result), Action())


@pytest.mark.parametrize("result", [None, "text", StepResult(observation=Observation(text="a\ud800"))])
def test_what_cannot_be_sent_is_the_world_s_failure(result: StepResult) -> None:
    with pytest.raises(WorldFailed, match=r"Says\.result raised"):
        played(Says(result), Action())
