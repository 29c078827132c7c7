"""Everything until the working context is full; then the policy sums up, and goes on from the task and its summary.

SUPO (arXiv 2510.06727), its algorithm 2. With s what the policy sees, a its answer, o what came of it, W the working
context, S the summaries allowed, and s1 the opening:

    |s a o| < 0.95 W                  s = s a o
    else, fewer than S summaries      y ~ policy(s, instruction), s = s1 y
    else                              the episode stops (MAX_SUMMARIES)

The last a and o are dropped, so that a summary's prompt is never longer than 0.95 W and the instruction, however long o
is. A summary is a turn whose kind is "summary": its ids are sampled and trained like any other, and no world is asked.
The paper's: the rule, 0.95, W = 4096 and S = 7 (CodeGym), its instruction and the words before the summary.
Ours: |.| is the length of the prompt, to where the next answer begins; without a chat four characters are a token. The
instruction stands at the end of the last message, as some templates want roles to alternate. Of an answer with the tags
what is between them is kept, of one without all of it; an empty one leaves the opening alone. An opening that is not
below 0.95 W itself stops the episode (MAX_TOKENS).
"""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from agents.contexts.base import Context, ContextConfig
from agents.recap import Rule
from agents.types import ContextFull, History, Message, Prompt, SummariesSpent, Turn

__all__ = ["Summary"]

INSTRUCTION = (
    "You are a helpful agent interacting with a function calling environment to solve user's problem. The interaction "
    "history is now too long. Please summarize the interaction history.\n"
    "- Remember to keep the important information in the history to ensure that you can continue solving the problem.\n"
    "- Do not call any function in this turn.\n"
    "Now generate the summary, and put your summary inside tag <summary></summary>."
)
STAGE = "We are in the following stage of solving the problem:\n{summary}"
TAGGED = re.compile(r"<summary>(.*?)(?:</summary>|\Z)", re.DOTALL)
CHARACTERS_A_TOKEN = 4


class SummaryConfig(ContextConfig):
    """When to sum up, and in which words."""

    working_tokens: int = Field(default=4096, ge=16)
    """W: the working context. The model must hold it, the instruction and an answer."""
    threshold: float = Field(default=0.95, gt=0, le=1)
    """Share of the working context from which on the policy sums up."""
    summaries: int = Field(default=7, ge=0)
    """S: summaries of an episode at most."""
    instruction: str = Field(default=INSTRUCTION, min_length=1)
    """How the policy is asked to sum up."""
    stage: str = STAGE
    """What follows the opening after a summary, which takes the place of `{summary}`."""
    recap: Rule = "lines"
    """What demonstrations write as summaries, see `agents/recap.py`."""

    @field_validator("stage")
    @classmethod
    def _shows_it(cls, value: str) -> str:
        if "{summary}" not in value:
            raise ValueError("it has no place for the summary; write {summary} where it is to stand")
        return value


class Summary(Context):
    """The whole history since the last summary."""

    Config = SummaryConfig
    config: SummaryConfig

    async def prompt(self, history: History) -> Prompt:
        """The history goes on, is to be summed up, or begins again from a summary.

        Raises ContextFull where the opening does not fit, and SummariesSpent where no summary is left.
        """
        turns = history.turns
        if turns and turns[-1].prompt.kind == "summary":
            return Prompt(self._restarted(history, turns[-1]))
        grown = Prompt(self.continued(history))
        limit = self.config.threshold * self.config.working_tokens
        if self._tokens(grown, history) < limit:
            return grown
        if not turns:
            raise ContextFull(f"the opening does not fit {limit:g} tokens")
        if sum(turn.prompt.kind == "summary" for turn in turns) >= self.config.summaries:
            raise SummariesSpent(f"{limit:g} tokens are full after {self.config.summaries} summaries")
        asked = _and(turns[-1].prompt.messages, self.config.instruction)
        return Prompt(asked, kind="summary", drops_last=True)

    def _restarted(self, history: History, summary: Turn) -> list[Message]:
        """The opening, and what the summary says."""
        text = summary.move.text
        tagged = TAGGED.search(text)
        said = (tagged[1] if tagged else text).strip()
        opening = self.opening(history)
        return _and(opening, self.config.stage.replace("{summary}", said)) if said else opening

    def _tokens(self, prompt: Prompt, history: History) -> int:
        """P of a prompt."""
        if self.chat is None:
            return sum(len(message["content"]) for message in prompt.messages) // CHARACTERS_A_TOKEN
        return len(self.chat.prompt_ids(prompt, history.before(prompt)))


def _and(messages: list[Message], text: str) -> list[Message]:
    """The messages, the last of them with a paragraph more."""
    *rest, last = messages
    return [*rest, {"role": last["role"], "content": f"{last['content']}\n\n{text}"}]
