"""Worlds over HTTP."""

from envserver.core import Briefing, Env, EnvConfig, cut, going, lost, won
from envserver.errors import GymError
from envserver.schema import Action, Observation, Opened, StepRequest, StepResult, Task, ToolSpec

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Briefing",
    "Env",
    "EnvConfig",
    "GymError",
    "Observation",
    "Opened",
    "StepRequest",
    "StepResult",
    "Task",
    "ToolSpec",
    "__version__",
    "cut",
    "going",
    "lost",
    "won",
]
