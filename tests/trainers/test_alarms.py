"""Alarms begin once, after enough bad steps, and end after enough good ones."""

from __future__ import annotations

import json
import math

import pytest

from trainers.alarms import ALARMS, Alarms
from trainers.config import AlarmsConfig
from trainers.metrics import TABLE

BAD = {
    "policy/mismatch_mean_nats": 0.3,
    "policy/entropy_nats": 0.001,
    "group/zero_variance_share": 1.0,
    "sample/truncated_share": 0.5,
    "format/complaint_share": 0.8,
    "episode/invalid_share": 0.5,
    "episode/failure_share": 1.0,
    "learner/skipped": 1.0,
}


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_each_alarm_begins_once_and_names_its_number(alarm) -> None:
    alarms = Alarms(AlarmsConfig(patience=2))
    said = [alarms.watch({alarm.metric: BAD[alarm.metric]})[0] for _ in range(6)]
    begun = [text for step in said for text in step]
    assert len(begun) == 1
    assert begun[0].startswith(alarm.name)
    assert any(character.isdigit() for character in begun[0])
    assert "{" not in begun[0]


def test_a_patient_alarm_waits_and_a_grave_one_does_not() -> None:
    alarms = Alarms(AlarmsConfig(patience=3))
    assert [bool(alarms.watch({"policy/entropy_nats": 0.0})[0]) for _ in range(3)] == [False, False, True]
    assert Alarms(AlarmsConfig()).watch({"policy/mismatch_mean_nats": 1.0})[0]


def test_one_good_step_neither_ends_an_alarm_nor_raises_it_again() -> None:
    alarms = Alarms(AlarmsConfig(patience=2))
    shares = [1.0, 1.0, 0.1, 1.0, 0.1, 1.0, 0.1, 0.1, 1.0, 1.0]
    found = [alarms.watch({"group/zero_variance_share": share}) for share in shares]
    assert [bool(begun) for begun, _ in found] == [False, True, *[False] * 7, True]
    assert [flags["alarm/zero_variance"] for _, flags in found] == [0, 1, 1, 1, 1, 1, 1, 0, 0, 1]


def test_a_number_that_is_not_finite_is_bad() -> None:
    assert Alarms(AlarmsConfig(patience=1)).watch({"policy/mismatch_mean_nats": math.nan})[0]
    assert Alarms(AlarmsConfig(patience=1)).watch({"policy/entropy_nats": math.nan})[0]


def test_a_missing_number_says_nothing() -> None:
    assert Alarms(AlarmsConfig(patience=1)).watch({}) == ([], {})


def test_a_healthy_step_raises_nothing() -> None:
    healthy = {
        "policy/mismatch_mean_nats": 1e-6,
        "policy/entropy_nats": 1.0,
        "group/zero_variance_share": 0.5,
        "sample/truncated_share": 0.0,
        "format/complaint_share": 0.1,
        "episode/invalid_share": 0.0,
        "episode/failure_share": 0.5,
        "learner/skipped": 0.0,
    }
    begun, flags = Alarms(AlarmsConfig(patience=1)).watch(healthy)
    assert begun == []
    assert set(flags.values()) == {0.0}


def test_a_restored_alarm_is_not_raised_again() -> None:
    alarms = Alarms(AlarmsConfig(patience=1))
    assert alarms.watch(BAD)[0]
    other = Alarms(AlarmsConfig(patience=1))
    other.load_state_dict(json.loads(json.dumps(alarms.state_dict())))
    assert other.watch(BAD)[0] == []


def test_every_alarm_watches_a_declared_metric() -> None:
    for alarm in ALARMS:
        assert alarm.metric in TABLE
        assert f"alarm/{alarm.name}" in TABLE
        assert not alarm.threshold or alarm.threshold in AlarmsConfig.model_fields
