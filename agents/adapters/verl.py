"""verl: a world as an agent loop, and its tools as verl's own.

`WorldLoop` is verl's tool loop in a world: it opens the task that a row's `extra_info` names (`key`, or `split` and
`index`, or `seed`, and `options`), puts what is seen first after the row's prompt, offers the world's tools, ends with
the episode and says its reward, the sum of the steps'. It is named in
`actor_rollout_ref.rollout.agent.agent_loop_config_path`:

    - name: keydoor
      _target_: agents.adapters.verl.WorldLoop
      url: http://localhost:8000
      env: keydoor

and a row chooses it by `agent_name`. verl has no word for an episode that counts nowhere: one that broke has no
gradient, for its mask is 0 throughout, and a reward of 0 in its group; `extras` says what broke.

`WorldTool` is one tool for verl's own loop, named in `multi_turn.tool_config_path`. There the row's prompt has to say
what is seen first (`briefing`), the task stands in `tools_kwargs.NAME.create_kwargs`, and the rewards are in
`tool_rewards`, where a reward function finds them in its `extra_info`. All tools of a trajectory play one episode,
which ends with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.tool_agent_loop import AgentData, AgentState, ToolAgentLoop
from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

from agents.adapters.base import Answer, Place, Play, after, briefing
from envserver.errors import BadRequest
from envserver.schema import ToolSpec
from envserver.toolset import offered

__all__ = ["WorldLoop", "WorldTool", "briefing"]


class WorldTool(BaseTool):  # type: ignore[misc]
    """One tool of a world. Its `config`: `url`, `env`, the tool's name as `tool`, and perhaps `token` and `options`."""

    def __init__(self, config: dict[str, Any], tool_schema: OpenAIFunctionToolSchema | None = None) -> None:
        self._place = Place(config["url"], config["env"], config.get("token"), config.get("options") or {})
        self._tool = str(config.get("tool", ""))
        self._rows: dict[str, Mapping[str, Any]] = {}
        super().__init__(config, tool_schema or self._served())

    async def create(
        self, instance_id: str | None = None, create_kwargs: Mapping[str, Any] | None = None, **_: Any
    ) -> tuple[str, ToolResponse]:
        """Remember what the row says; verl makes an instance for each call."""
        instance = instance_id or uuid4().hex
        self._rows[instance] = create_kwargs or {}
        return instance, ToolResponse()

    async def execute(
        self, instance_id: str, parameters: dict[str, Any], *, agent_data: AgentData, **_: Any
    ) -> tuple[ToolResponse, float, dict[str, Any]]:
        """Play the call in the trajectory's episode, which the first call begins."""
        row, place = self._rows.get(instance_id, {}), self._place
        play = PLAYS.get(agent_data)
        if play is None:
            play = PLAYS[agent_data] = Play(place)
            weakref.finalize(agent_data, place.submit, lambda _: play.end()).atexit = False
            # Calls of one message come at once, and wait in turn for what was asked before them.
            return _told(await place.wait(lambda gym: play.first_call(gym, row, self.name, parameters)))
        return _told(await place.wait(lambda _: play.call(self.name, parameters)))

    async def release(self, instance_id: str, **_: Any) -> None:
        """Forget what the row said; the episode goes on."""
        self._rows.pop(instance_id, None)

    def _served(self) -> OpenAIFunctionToolSchema:
        tools = offered(self._place.card().tools)
        found = next((tool for tool in tools if tool.name == self._tool), None)
        if found is None:
            known = ", ".join(tool.name for tool in tools)
            raise BadRequest(f"'{self._place.env}' has no tool '{self._tool}'; there are: {known}")
        return _schema(found)


class Bound(BaseTool):  # type: ignore[misc]
    """A tool in an episode that somebody else begins and ends."""

    def __init__(self, play: Play, tool: ToolSpec) -> None:
        # verl's own prints the schema, which would be once a trajectory.
        self.config: dict[str, Any] = {}
        self.tool_schema, self.name = _schema(tool), tool.name
        self._play = play

    async def execute(
        self, instance_id: str, parameters: dict[str, Any], **_: Any
    ) -> tuple[ToolResponse, float, dict[str, Any]]:
        """Play the call."""
        return _told(await self._play.place.wait(lambda _: self._play.call(self.name, parameters)))


class WorldLoop(ToolAgentLoop):  # type: ignore[misc]
    """One episode: verl makes a loop for each trajectory."""

    def __init__(
        self,
        *args: Any,
        url: str,
        env: str,
        token: str | None = None,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._play = Play(Place(url, env, token, dict(options or {})))

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """Play the task of the row's `extra_info`."""
        place, play = self._play.place, self._play
        try:
            opened = await place.wait(lambda gym: play.begin(gym, row.get("extra_info") or {}))
            bound = [] if opened is None else [Bound(play, tool) for tool in offered(opened.tools)]
            self.tools = {tool.name: tool for tool in bound}
            self.tool_schemas = [tool.tool_schema.model_dump(exclude_unset=True, exclude_none=True) for tool in bound]
            seen = play.failure or "" if opened is None else briefing(opened)
            output = await super().run(sampling_params, **{**row, "raw_prompt": _prompt(row["raw_prompt"], seen)})
        finally:
            await place.wait(lambda _: play.end())
        return _scored(output, play)

    async def _handle_processing_tools_state(self, agent_data: AgentData) -> AgentState:
        state = await super()._handle_processing_tools_state(agent_data)
        return AgentState.TERMINATED if self._play.world is None else state


PLAYS: weakref.WeakKeyDictionary[AgentData, Play] = weakref.WeakKeyDictionary()
"""The episode of each trajectory that WorldTools play."""


def _schema(tool: ToolSpec) -> OpenAIFunctionToolSchema:
    properties: Any = tool.parameters.get("properties", {})
    # verl wants a type of every property, and knows these keys alone.
    known = {
        name: {"type": "string", **{key: kind[key] for key in ("type", "description", "enum") if key in kind}}
        for name, kind in properties.items()
    }
    parameters = {"type": "object", "properties": known, "required": tool.parameters.get("required", [])}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return OpenAIFunctionToolSchema.model_validate({"type": "function", "function": function})


def _told(answer: Answer) -> tuple[ToolResponse, float, dict[str, Any]]:
    return ToolResponse(text=answer.text), 0.0 if answer.result is None else answer.result.reward, {}


def _prompt(messages: Any, seen: str) -> list[dict[str, Any]]:
    """A row's messages with what is seen first after the last of them."""
    said: list[dict[str, Any]] = [dict(message) for message in messages]
    if said and said[-1]["role"] == "user" and isinstance(said[-1]["content"], str):
        said[-1]["content"] = after(said[-1]["content"], seen)
        return said
    return [*said, {"role": "user", "content": seen}]


def _scored(output: AgentLoopOutput, play: Play) -> AgentLoopOutput:
    """The episode's reward at the last token that was sampled: what the world showed after it is nobody's prompt."""
    last = max((place for place, mask in enumerate(output.response_mask) if mask), default=0)
    output.response_ids, output.response_mask = output.response_ids[: last + 1], output.response_mask[: last + 1]
    if output.response_logprobs is not None:
        output.response_logprobs = output.response_logprobs[: last + 1]
    if play.reward is None:
        output.response_mask = [0] * len(output.response_mask)
    output.reward_score = play.reward or 0.0
    output.extra_fields["extras"] = {"success": play.success, "steps": play.steps, "failure": play.failure}
    return output
