"""Things that go from state to state, by rules."""

from .history import History
from .machine import Machine, Refused
from .rules import Rules

__all__ = ["History", "Machine", "Refused", "Rules"]
