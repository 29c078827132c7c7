"""A context that sums up when it is full, over a served gym and in chats of four templates."""

import pytest
from pydantic import ValidationError

from agents.contexts.summary import INSTRUCTION, Summary
from agents.formats.choice import Choice
from agents.formats.plain import Plain
from agents.policies.base import said
from agents.policies.expert import Expert
from agents.policies.llm import Llm
from agents.policies.scripted import Scripted
from agents.recap import recap
from agents.rollout import play
from agents.transcript import transcript
from agents.types import ContextFull, History, Prompt, Reply, Sample, StopReason, SummariesSpent, Turn
from envserver.client import Gym
from envserver.schema import Action, Observation, Opened, StepResult, Task
from trainers.segments import segments

TASK = Task(env="keydoor", key="doors-3/train/0001", options={"max_steps": 40})
FORMAT = Choice()
SHORT = {"instruction": "Sum up.", "stage": "So far: {summary}"}


@pytest.fixture
async def gym(gym_url):
    async with Gym(gym_url) as gym:
        yield gym


class Spells:
    """A sampler that says the same in every act and in every summary, a sign a token, as no encoder would write it."""

    def __init__(self, chat) -> None:
        self.chat = chat

    async def sample(self, prompt_ids, *, max_tokens, temperature, seed=None) -> Sample:
        text = "go east" if "Sum up." in self.chat.decode(prompt_ids[-30:]) else "look around"
        ids = [one for sign in text for one in self.chat.answer_ids(sign)[:-1]] + [self.chat.stop_ids[0]]
        return Sample(ids, [-0.1] * len(ids), "stop", temperature, version=0)


def seen(text: str) -> StepResult:
    return StepResult(observation=Observation(text=text, choices=["go on"]))


def begun(*answers: str) -> History:
    """A history of acts, each with what came of it: `open 4 -> 2, next 7`."""
    history = History(TASK, Opened(session="s", instructions="Get out.", result=seen("room 0")))
    for line in answers:
        text, _, came = line.partition(" -> ")
        history.turns.append(Turn(Prompt([]), said(text), Reply(Action(text=text)), seen(came)))
    return history


async def walked(context: Summary, turns: int) -> History:
    """A history in which every prompt came from the context; summaries say `sum`."""
    history = begun()
    for index in range(turns):
        prompt = await context.prompt(history)
        if prompt.kind == "summary":
            history.turns.append(Turn(prompt, said("sum"), Reply(None), None))
        else:
            history.turns.append(Turn(prompt, said("1"), Reply(Action(text="go on")), seen(f"room {index + 1}")))
    return history


def characters(prompt: Prompt) -> int:
    """What stands in for tokens, four to one, where there is no chat."""
    return sum(len(message["content"]) for message in prompt.messages)


def context(chat=None, **options) -> Summary:
    return Summary(Summary.Config(**SHORT | options), format=FORMAT, chat=chat)


async def test_the_threshold_itself_is_too_long(chatml):
    history = await walked(context(chatml), 1)
    grown = await context(chatml).prompt(history)
    length = len(chatml.prompt_ids(grown, history.turns[-1]))
    assert (await context(chatml, threshold=1.0, working_tokens=length + 1).prompt(history)).kind == "act"
    assert (await context(chatml, threshold=1.0, working_tokens=length).prompt(history)).kind == "summary"
    # 0.95 of 40 is 38: the paper's share of the working context, not the whole of it.
    assert Summary.Config().threshold * 40 == 38


async def test_the_last_action_and_observation_are_dropped_and_the_rest_begins_again_from_the_summary():
    history = await walked(context(), 2)
    opening = history.turns[0].prompt.messages
    summing = context(threshold=1.0, working_tokens=characters(await context().prompt(history)) // 4)
    prompt = await summing.prompt(history)
    assert (prompt.kind, prompt.drops_last) == ("summary", True)
    *rest, last = history.turns[-1].prompt.messages
    assert prompt.messages == [*rest, {"role": "user", "content": f"{last['content']}\n\nSum up."}]
    history.turns.append(Turn(prompt, said("<summary> rooms 0, 1 </summary> bye"), Reply(None), None))
    after = await summing.prompt(history)
    assert (after.kind, after.drops_last) == ("act", False)
    first = {"role": "user", "content": f"{opening[1]['content']}\n\nSo far: rooms 0, 1"}
    assert after.messages == [opening[0], first]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<summary>a\nb</summary> done", "a\nb"),
        ("<summary> cut off", "cut off"),
        ("no tags {summary} \\1", "no tags {summary} \\1"),
        ("</summary> <", "</summary> <"),
        ("<summary> </summary>", ""),
        (" \n", ""),
        ("", ""),
    ],
)
async def test_any_answer_is_a_summary_and_an_empty_one_leaves_the_opening(text, kept):
    history = await walked(context(), 1)
    opening = history.turns[0].prompt.messages
    history.turns.append(Turn(Prompt([], "summary", drops_last=True), said(text), Reply(None), None))
    found = (await context().prompt(history)).messages
    assert found[0] == opening[0]
    assert found[1]["content"] == opening[1]["content"] + (f"\n\nSo far: {kept}" if kept else "")


async def test_after_the_last_summary_a_full_context_says_so():
    opening = characters(await context().prompt(begun()))
    tight = context(threshold=1.0, working_tokens=opening // 4 + 1, summaries=2)
    history = await walked(tight, 5)
    assert [turn.prompt.kind for turn in history.turns] == ["act", "summary", "act", "summary", "act"]
    with pytest.raises(SummariesSpent, match="after 2 summaries"):
        await tight.prompt(history)


async def test_an_opening_that_does_not_fit_says_so():
    with pytest.raises(ContextFull, match=r"the opening does not fit 15\.2 tokens"):
        await context(working_tokens=16).prompt(begun())


def test_words_without_a_place_for_the_summary_are_refused():
    with pytest.raises(ValidationError, match=r"write \{summary\} where it is to stand"):
        Summary.Config(stage="so far")


async def played(gym, chat, *, max_turns=7, **options):
    policy = Llm(Llm.Config(), format=FORMAT, chat=chat, sampler=Spells(chat))
    length = await measured(gym, chat)
    return await play(
        TASK, gym, policy, FORMAT, context(chat, threshold=1.0, working_tokens=length, **options), max_turns=max_turns
    )


async def measured(gym, chat) -> int:
    """Tokens of the third prompt in a context that holds everything."""
    policy = Llm(Llm.Config(), format=FORMAT, chat=chat, sampler=Spells(chat))
    episode = await play(TASK, gym, policy, FORMAT, context(chat), max_turns=3)
    return len(episode.turns[2].move.prompt_ids)


async def test_sampled_ids_are_kept_across_a_summary_and_its_restart(gym, chat):
    episode = await played(gym, chat)
    kinds = [turn.prompt.kind for turn in episode.turns]
    assert kinds[:4] == ["act", "act", "summary", "act"]
    first, dropped, summary, restarted = episode.turns[:4]
    exact = [*first.move.prompt_ids, *first.move.sample.ids]
    assert chat.answer_ids(first.move.text) != first.move.sample.ids, "the encoder would have written the same"
    assert summary.move.prompt_ids[: len(exact)] == exact
    assert dropped.move.prompt_ids[: len(exact)] == exact
    assert [message["role"] for message in summary.prompt.messages].count("assistant") == 1
    found = segments(episode, [1.0] * len(kinds))
    assert set(found[0].turns) == {-1, 0, 2}, "the dropped turn is in no segment"
    assert found[0].ids == [*summary.move.prompt_ids, *summary.move.sample.ids]
    assert found[1].ids[: len(restarted.move.prompt_ids)] == restarted.move.prompt_ids
    assert "So far: go east" in chat.decode(restarted.move.prompt_ids)


async def test_summaries_cost_neither_a_turn_nor_a_step_and_are_at_most_as_many_as_allowed(gym, chatml):
    episode = await played(gym, chatml, max_turns=9)
    kinds = [turn.prompt.kind for turn in episode.turns]
    assert episode.stop is StopReason.MAX_TURNS
    assert kinds.count("act") == 9
    assert kinds.count("summary") >= 3
    for turn in episode.turns:
        if turn.prompt.kind == "summary":
            assert (turn.result, turn.reply) == (None, Reply(None))
    assert "(a summary)" in transcript(episode)
    few = await played(gym, chatml, max_turns=9, summaries=2)
    assert few.stop is StopReason.MAX_SUMMARIES
    assert [turn.prompt.kind for turn in few.turns].count("summary") == 2
    assert few.reward == 0.0


async def test_an_opening_that_does_not_fit_ends_the_episode_as_data(gym):
    script = Scripted(Scripted.Config(texts=("1",)), format=FORMAT)
    episode = await play(TASK, gym, script, FORMAT, context(working_tokens=16), max_turns=3)
    assert (episode.stop, episode.turns, episode.valid) == (StopReason.MAX_TOKENS, [], True)


async def summed_up(gym, format) -> list[Turn]:
    """The expert's solved episode of four acts, in a context that its fourth prompt fills."""
    policy = Expert(Expert.Config(recap="greatest"), format=format)
    for number in range(30):
        task = TASK.model_copy(update={"key": f"doors-3/train/{number:04d}"})
        plain = await play(task, gym, policy, format, Summary(format=format), max_turns=12)
        if len(plain.turns) == 4:
            break
    full = characters(plain.turns[3].prompt) // 4
    tight = Summary(Summary.Config(threshold=1.0, working_tokens=full, **SHORT), format=format)
    episode = await play(task, gym, policy, format, tight, max_turns=12)
    assert episode.success
    assert [turn.prompt.kind for turn in episode.turns[:5]] == ["act", "act", "act", "summary", "act"]
    assert episode.turns[3].move.text == " ".join(episode.turns[1].result.observation.text.split())
    return episode.turns


async def test_an_expert_sums_up_and_does_once_more_what_was_dropped(gym):
    turns = await summed_up(gym, Plain())
    assert turns[4].move.text == turns[2].move.text
    assert len(turns) == 6


async def test_a_careless_expert_forgets_in_its_share_of_the_summaries(gym):
    asked = Prompt([{"role": "user", "content": "Sum up."}], "summary", drops_last=True)
    history = begun("write 1 cash 6 -> 2 bank 5", "write 2 bank 5 -> 3 cash 7", "write 3 cash 3 -> 4 cash 1")
    policy = Expert(Expert.Config(recap="latest", careless=0.25), format=Plain())
    async with await gym.open(TASK) as world:
        seen = [(await policy.bind(world, seed).act(asked, None, history)).text for seed in range(200)]
    assert set(seen) == {"bank 5\ncash 6\n3 cash 7", "3 cash 7"}
    assert 30 < seen.count("3 cash 7") < 70


async def test_what_can_no_longer_be_said_is_not_done_once_more(gym):
    # `choice` says numbers of what is shown, and keydoor shows no key that is taken.
    turns = await summed_up(gym, FORMAT)
    actions = [turn.reply.action.text for turn in turns if turn.prompt.kind == "act"]
    assert len(actions) == len(set(actions)) == 4


def test_lines_are_what_was_in_sight_and_none_is_told_twice():
    history = begun("open 4 -> 2, next 7", "open 7 -> 5, next 9")
    asked = Prompt([{"role": "user", "content": "Sum up."}], "summary", drops_last=True)
    assert recap("lines", asked, history) == "open 4 -> 2, next 7"
    summary = Turn(asked, said("open 4 -> 2, next 7"), Reply(None), None)
    history.turns += [summary, *begun("open 7 -> 5, next 9", "open 4 -> 2, next 7", "open 1 -> 8, end").turns]
    assert recap("lines", asked, history) == "open 4 -> 2, next 7\nopen 7 -> 5, next 9"


def test_the_greatest_number_is_carried_on():
    history = begun("open 4 -> 6, next 7", "open 7 -> 5, next 9", "open 9 -> 8, next 1")
    asked = Prompt([{"role": "user", "content": INSTRUCTION}], "summary", drops_last=True)
    first = recap("greatest", asked, history)
    assert first == "<summary>6, next 9</summary>"
    history.turns += [Turn(asked, said(first), Reply(None), None), *begun("open 9 -> 8, next 1").turns]
    assert recap("greatest", asked, history) == "<summary>6, next 9</summary>", "what was dropped was not seen"
    history.turns += begun("open 1 -> 2, next 3").turns
    assert recap("greatest", asked, history) == "<summary>8, next 1</summary>"


def test_the_leader_is_carried_on_with_the_last_answer():
    history = begun("look 1 -> 6 bolt", "look 2 -> 9 nut", "look 3 -> 9 cog", "look 4 -> 12 pin")
    asked = Prompt([{"role": "user", "content": "Sum up."}], "summary", drops_last=True)
    first = recap("leader", asked, history)
    assert first == "look 2 -> 9\nlook 3", "the first of equals; what was dropped was not seen"
    history.turns += [Turn(asked, said(first), Reply(None), None), *begun("look 4 -> 12 pin").turns]
    assert recap("leader", asked, history) == first, "what was not seen again is not told"
    history.turns += begun("look 5 -> There is no bin 5.").turns
    assert recap("leader", asked, history) == "look 4 -> 12\nlook 4"
    assert recap("leader", asked, begun("wait -> nothing", "wait -> nothing")) == "wait"


def test_the_latest_balance_of_each_name_is_carried_on_with_what_came_last():
    history = begun("write 1 cash 6 -> 2 bank 5", "write 2 bank 5 -> 3 cash 7", "write 3 cash 3 -> 4 cash 1")
    asked = Prompt([{"role": "user", "content": "Sum up."}], "summary", drops_last=True)
    first = recap("latest", asked, history)
    assert first == "bank 5\ncash 6\n3 cash 7", "what was dropped was not seen"
    history.turns += [Turn(asked, said(first), Reply(None), None), *begun("write 3 cash 3 -> 4 cash 1").turns]
    assert recap("latest", asked, history) == first
    history.turns += begun("write 4 cash 4 -> 5 till 2").turns
    assert recap("latest", asked, history) == "bank 5\ncash 3\n4 cash 1", (
        "an older balance is kept, the page is not one"
    )
    assert recap("latest", asked, begun("look -> fog", "look -> fog")) == "fog"
