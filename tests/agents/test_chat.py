"""The rule of the chat: sampled ids are never made again from text."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from agents.chat import Chat
from agents.types import Message, Move, Prompt, Reply, Sample, Turn

WORDS = st.text(alphabet="abcdefgh .,:<|>/\n\tßé日本🙂", max_size=30)
# Templates may trim a message; what they do to outer spaces is not the rule under test.
SPEECH = WORDS.map(str.strip)


def told(role: str, content: str) -> Message:
    return {"role": role, "content": content}  # type: ignore[typeddict-item]


def turn(prompt: Prompt, prompt_ids: list[int], ids: list[int], text: str, stop: str = "stop") -> Turn:
    sample = Sample(ids, [-1.0] * len(ids), stop, 1.0, 0)  # type: ignore[arg-type]
    return Turn(prompt, Move(prompt_ids, sample, text), Reply(None), None)


def following(prompt: Prompt, answer: str, *since: str) -> Prompt:
    return Prompt([*prompt.messages, told("assistant", answer), *(told("user", text) for text in since)])


@settings(max_examples=60, deadline=None)
@given(system=SPEECH, speeches=st.lists(st.tuples(SPEECH, SPEECH), min_size=1, max_size=5))
def test_continued_ids_decode_to_the_rendered_conversation(chat, system, speeches):
    prompt = Prompt([told("system", system), told("user", "begin")])
    last = None
    for answer, observation in speeches:
        prompt_ids = chat.prompt_ids(prompt, last)
        assert chat.decode(prompt_ids) == chat.render(prompt.messages)
        if last is not None:
            before = last.move.prompt_ids + last.move.sample.ids
            assert prompt_ids[: len(before)] == before
        last = turn(prompt, prompt_ids, chat.answer_ids(answer), answer)
        prompt = following(prompt, answer, observation)
    assert chat.decode(chat.prompt_ids(prompt, last)) == chat.render(prompt.messages)


@settings(max_examples=60, deadline=None)
@given(answer=SPEECH)
def test_an_answer_survives_its_ids(chat, answer):
    ids = chat.answer_ids(answer)
    assert ids[-1] == chat.stop_ids[0]
    assert chat.answer_text(ids) == answer


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_sampled_ids_stay_as_they_were_drawn(chat, data):
    """Not only canonical ones: a model may spell a word in pieces that no tokenizer would choose."""
    size = len(chat.tokenizer.get_vocab())
    ids = data.draw(st.lists(st.integers(0, size - 1), max_size=12))
    prompt = Prompt([told("user", "begin")])
    prompt_ids = chat.prompt_ids(prompt, None)
    last = turn(prompt, prompt_ids, ids, chat.answer_text(ids), "length")
    longer = chat.prompt_ids(following(prompt, last.move.text, "next"), last)
    assert longer[: len(prompt_ids) + len(ids)] == prompt_ids + ids
    assert chat.decode(longer).endswith(
        chat.render([told("user", "next")]).removeprefix("<s>").removeprefix("<|begin_of_text|>")
    )


def test_an_answer_cut_by_length_is_closed_by_the_template(chat):
    prompt = Prompt([told("user", "begin")])
    prompt_ids = chat.prompt_ids(prompt, None)
    whole = chat.answer_ids("go east")
    cut = chat.prompt_ids(
        following(prompt, "go east", "a hall"), turn(prompt, prompt_ids, whole[:-1], "go east", "length")
    )
    closed = chat.prompt_ids(following(prompt, "go east", "a hall"), turn(prompt, prompt_ids, whole, "go east"))
    assert cut == closed


@pytest.mark.parametrize("change", ["system", "answer", "nothing since"])
def test_a_prompt_that_does_not_continue_is_rendered_afresh(chatml, change):
    prompt = Prompt([told("system", "s"), told("user", "begin")])
    odd = chatml.answer_ids("go")[:-1] + chatml.answer_ids(" east")  # not how the tokenizer spells "go east"
    last = turn(prompt, chatml.prompt_ids(prompt, None), odd, "go east")
    messages = following(prompt, "go east", "a hall").messages
    if change == "system":
        messages[0] = told("system", "another")
    elif change == "answer":
        messages[2] = told("assistant", "go west")
    else:
        messages.pop()
    assert chatml.prompt_ids(Prompt(messages), last) == chatml.prompt_ids(Prompt(messages), None)


def test_a_turn_without_ids_is_rendered_afresh(chatml):
    prompt = Prompt([told("user", "begin")])
    longer = following(prompt, "go", "a hall")
    assert chatml.prompt_ids(longer, turn(prompt, [], [], "go")) == chatml.prompt_ids(longer, None)


def test_a_message_cannot_close_a_turn(chat):
    end = chat.decode([chat.stop_ids[0]])
    prompt = Prompt([told("user", f"{end}{end}")])
    plain = Prompt([told("user", "x")])
    assert chat.prompt_ids(prompt, None).count(chat.stop_ids[0]) == chat.prompt_ids(plain, None).count(chat.stop_ids[0])
    assert chat.answer_ids(f"a{end}b").count(chat.stop_ids[0]) == 1


def test_stop_ids_are_the_templates_end_of_turn_and_the_end_of_text(tokenizers):
    names = {
        name: Chat(tokenizer).tokenizer.convert_ids_to_tokens(Chat(tokenizer).stop_ids)
        for name, tokenizer in tokenizers.items()
    }
    assert names == {
        "chatml": ["<|im_end|>"],
        "llama3": ["<|eot_id|>", "<|end_of_text|>"],
        "zephyr": ["</s>"],
        "no_system": ["</s>"],
    }


def test_a_template_without_a_system_role_gets_it_in_the_first_user_message(tokenizers):
    chat = Chat(tokenizers["no_system"])
    assert chat.render([told("system", "rules"), told("user", "begin")]) == "<s>[INST] rules\n\nbegin [/INST]"
    assert chat.render([told("system", "rules")]) == "<s>[INST] rules [/INST]"


def test_a_tokenizer_without_a_chat_template_is_refused(tokenizers):
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizers["chatml"].backend_tokenizer)
    with pytest.raises(ValueError, match="no chat template"):
        Chat(bare)


def test_a_template_in_which_nothing_ends_a_turn_is_refused(tokenizers):
    endless = PreTrainedTokenizerFast(tokenizer_object=tokenizers["chatml"].backend_tokenizer)
    endless.chat_template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    with pytest.raises(ValueError, match="no token ends a turn"):
        Chat(endless)


def test_a_default_system_message_of_the_template_is_not_repeated(tokenizers):
    tokenizer = copy.deepcopy(tokenizers["chatml"])
    default = "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
    tokenizer.chat_template = default + tokenizer.chat_template
    chat = Chat(tokenizer)
    prompt = Prompt([told("user", "begin")])
    last = turn(prompt, chat.prompt_ids(prompt, None), chat.answer_ids("go"), "go")
    longer = following(prompt, "go", "a hall")
    assert chat.decode(chat.prompt_ids(longer, last)) == chat.render(longer.messages)
    assert chat.render(longer.messages).count("Be kind.") == 1


def test_thoughts_that_a_template_would_drop_stay_as_they_were_sampled(tokenizers):
    """As Qwen3's template does: an earlier answer loses what stands before `</think>`."""
    tokenizer = copy.deepcopy(tokenizers["chatml"])
    tokenizer.chat_template = tokenizer.chat_template.replace("m['content']", "m['content'].split('</think>')[-1]")
    chat = Chat(tokenizer)
    prompt = Prompt([told("user", "begin")])
    answer = "<think>east?</think>go east"
    last = turn(prompt, chat.prompt_ids(prompt, None), chat.answer_ids(answer), answer)
    longer = following(prompt, answer, "a hall")
    assert "east?" not in chat.render(longer.messages)
    assert answer in chat.decode(chat.prompt_ids(longer, last))
