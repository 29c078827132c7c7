"""What test_crew.py asks of two processes: `python crew_break.py MODEL`. The first alone fails in a call of both."""

from __future__ import annotations

import sys
from pathlib import Path

from crew_play import learner
from test_learner import batch

from trainers import channel, crew
from trainers.learner import Learner

if channel.rank():
    crew.serve()
else:
    one = learner(Path(sys.argv[1]), {})

    def fails(*_: object) -> None:
        raise MemoryError("no memory is left here")

    Learner.forward = fails  # type: ignore[assignment]
    try:
        one.forward(batch(4))
    finally:
        one.close()
