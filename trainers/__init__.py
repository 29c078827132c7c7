"""Learning: what makes players better."""

from pathlib import Path as _Path

import agents as _agents

# `agents` is also the import name of openai-agents: installed side by side their files mix, and pip says nothing.
if _agents.__file__ is None or _Path(_agents.__file__).parents[1] != _Path(__file__).parents[1]:
    raise ImportError(
        f"the import name 'agents' belongs to another distribution here ({_agents.__file__}); "
        "install this project in an environment of its own"
    )
