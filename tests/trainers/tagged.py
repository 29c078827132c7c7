"""Episodes told in tags, actions and observations, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task

TASK = Task(env="keydoor", key="doors-3/train/0000")
SAMPLE = Sample(ids=[2], logprobs=[-1.0], stop="stop", temperature=1.0, version=0)


def told(
    *turns: tuple[str, str, str],
    opening: str = "A hall.",
    choices: Sequence[Sequence[str]] = (),
    rewards: Sequence[float] = (),
    success: bool = False,
    kind: str = "",
) -> Episode:
    """Turns are (tag, action, what came); an empty action is an answer that could not be parsed.

    `choices` are the commands shown before each turn, `kind` is a task type.
    """
    info = {"task_type": kind} if kind else {}
    before = [list(found) for found in choices] or [[]] * len(turns)
    first = StepResult(observation=Observation(text=opening, choices=before[0]), info=info)
    played = []
    for index, (tag, action, came) in enumerate(turns):
        last = index == len(turns) - 1
        result = StepResult(
            observation=Observation(text=came, choices=[] if last else before[index + 1]),
            reward=rewards[index] if rewards else 0.0,
            terminated=last,
            success=success if last else None,
        )
        reply = Reply(Action(text=action), tag) if action else Reply(None, tag, "The answer cannot be read.")
        move = Move([1], SAMPLE, f"<{tag}>so</{tag}><action>{action}</action>")
        played.append(Turn(Prompt([]), move, reply, result if action else None))
    return Episode(TASK, played, StopReason.DONE, opened=Opened(session="s", instructions="Get out.", result=first))
