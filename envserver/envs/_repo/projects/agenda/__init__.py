"""Appointments of days: when they are, whether they clash, how they repeat."""

from .clock import minutes, spelled
from .planner import Clash, Planner
from .repeat import occurrences, weekday

__all__ = ["Clash", "Planner", "minutes", "occurrences", "spelled", "weekday"]
