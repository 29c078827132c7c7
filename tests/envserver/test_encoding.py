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

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
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


@pytest.mark.parametrize("value", [1 << 80, {"a": [1 << 80]}, {"": None}, 1e300, "\x00\u2028"])
def test_what_stands_in_info_comes_back_the_same(value: object) -> None:
    result = StepResult(observation=Observation(text="", choices=[""]), info={"value": value})
    assert StepResult.model_validate_json(played(Says(result), Action()).body) == result


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_the_world_s_failure(reward: float) -> None:
    result = StepResult(observation=Observation(text=""), reward=reward)
    with pytest.raises(WorldFailed, match="not finite"):
        played(Says(result), Action())


@pytest.mark.parametrize("result", [None, "text", StepResult(observation=Observation(text="a\ud800"))])
def test_what_cannot_be_sent_is_the_world_s_failure(result: StepResult) -> None:
    with pytest.raises(WorldFailed, match=r"Says\.result raised"):
        played(Says(result), Action())
