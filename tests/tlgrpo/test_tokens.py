"""Text to ids and back: what a policy is trained on is what its chat template would have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tlgrpo import chat_models
from tests.tlgrpo.chat_models import END, PAD, chat_tokenizer
from tlgrpo.tokens import (
    CHATML,
    CUT_OFF,
    ChatCodec,
    WordCodec,
    continued,
    read_codec,
    read_conversation,
    word_tokenizer,
    write_conversation,
)

SYSTEM, BEGIN = "Size the amplifier.", "Begin."
CALL = '<tool_call>{"name": "simulate", "arguments": {"designs": [{"w_pair": "2 um"}]}}</tool_call>'
SEEN = '<tool_response>{"results":[{"design":1,"pm":"61.2 °"}]}</tool_response>'
PROMPT = write_conversation(
    [{"role": "system", "content": SYSTEM}, {"role": "user", "content": BEGIN}]
)
TEMPLATES = {
    "ChatML": CHATML,
    "plain": chat_models.PLAIN,
    "strips reasoning": chat_models.STRIPS,
    "reasoning since the question": chat_models.SINCE_QUESTION,
    "opens reasoning": chat_models.OPENS_REASONING,
    "empty reasoning": chat_models.KEEPS_EMPTY,
}


@pytest.fixture(scope="module")
def codecs():
    return {name: ChatCodec(chat_tokenizer(t)) for name, t in TEMPLATES.items()}


def encoded(codec, text):
    return codec.tokenizer(text, add_special_tokens=False)["input_ids"]


def put_together(codec, turns):
    """The ids of a conversation whose actions are the tokenizer's own encoding."""
    ids = codec.prompt(PROMPT)
    for said, seen in turns:
        action = [*encoded(codec, said), codec.end]
        ids += [*action, *continued(codec, action, seen)]
    return ids


def rendered(codec, turns):
    """The ids of the whole conversation, as the template writes it."""
    talk = read_conversation(PROMPT)
    for said, seen in turns:
        talk += [{"role": "assistant", "content": said}, {"role": "user", "content": seen}]
    text = codec.tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    return encoded(codec, text)


THOUGHT = "<think>\nA wider pair.\n</think>\n\n"
OPENED = THOUGHT.removeprefix("<think>\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [(n, CALL) for n in TEMPLATES if n != "opens reasoning"]
    + [(n, f"Wider.\n{CALL}") for n in TEMPLATES if n != "opens reasoning"]
    + [("opens reasoning", OPENED + CALL)]
    + [(n, THOUGHT + CALL) for n in ("ChatML", "plain", "reasoning since the question")],
)
def test_turns_put_together_are_the_whole_conversation(codecs, name, said):
    codec = codecs[name]
    for turns in range(4):
        talk = [(said, SEEN)] * turns
        assert put_together(codec, talk) == rendered(codec, talk)


# Text of one side: nothing of the other's marks, and no white space that the model's first token
# would share with the template's last.
texts = st.text(max_size=30).filter(
    lambda t: t == t.strip() and "<" not in t and t.encode("utf-8", "ignore").decode() == t
)


@given(turns=st.lists(st.tuples(texts.filter(bool), texts), max_size=3))
@pytest.mark.parametrize("name", [n for n in TEMPLATES if n != "opens reasoning"])
def test_whatever_is_said_and_seen(codecs, name, turns):
    assert put_together(codecs[name], turns) == rendered(codecs[name], turns)


def test_reasoning_stays_in_the_history_though_the_template_would_leave_it_out(codecs):
    codec = codecs["strips reasoning"]
    ids = put_together(codec, [(THOUGHT + CALL, SEEN)])
    assert "A wider pair." in codec.tokenizer.decode(ids)
    assert "A wider pair." not in codec.tokenizer.decode(rendered(codec, [(THOUGHT + CALL, SEEN)]))


def test_whether_a_template_keeps_reasoning_is_known(codecs):
    keeps = {name for name, codec in codecs.items() if codec.keeps_reasoning}
    assert keeps == set(TEMPLATES) - {"strips reasoning"}


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (None, "no chat template"),
        (chat_models.NO_END, "does not end an assistant's message"),
        (chat_models.FORGETS_EMPTY, r"<think>.*becomes.*said.*CHATML"),
        (chat_models.NUMBERED, "otherwise than it began them"),
        (chat_models.NO_SYSTEM, "cannot render messages of system.*no system role here"),
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
         "does not end an assistant's message"),
        ("{{ messages | nonsense }}", "cannot render"),
    ],
    ids=["none", "no end", "forgets", "numbered", "no system", "user only", "broken"],
)  # fmt: skip
def test_a_template_that_cannot_be_continued_exactly_is_refused(template, says):
    with pytest.raises(ValueError, match=f"(?s){says}"):
        ChatCodec(chat_tokenizer(template))


def test_the_end_token_is_the_one_the_template_writes():
    """Base models have another end of text than the end of a message."""
    codec = ChatCodec(chat_tokenizer(end=PAD))
    assert codec.end == codec.tokenizer.convert_tokens_to_ids(END) != codec.pad
    assert put_together(codec, [(CALL, SEEN)]) == rendered(codec, [(CALL, SEEN)])


def test_an_end_token_that_swallows_the_white_space_after_it_is_continued_exactly():
    from tokenizers import AddedToken

    codec = ChatCodec(chat_tokenizer(end=AddedToken(END, rstrip=True, special=True)))
    whole = encoded(codec, f"{END}\n<|im_start|>")
    assert len(whole) == 2, "this tokenizer does not do what the test is about"
    assert put_together(codec, [(CALL, SEEN)]) == rendered(codec, [(CALL, SEEN)])


def test_without_a_padding_token_the_end_token_pads():
    codec = ChatCodec(chat_tokenizer(pad=None))
    assert codec.pad == codec.end


def test_any_text_is_a_users_message_and_a_conversation_is_itself(codecs):
    codec = codecs["plain"]
    assert codec.tokenizer.decode(codec.prompt("angle?")) == (
        "<|im_start|>user\nangle?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert codec.tokenizer.decode(codec.prompt(PROMPT)).startswith(f"<|im_start|>system\n{SYSTEM}")


messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system"]), "content": st.text()}
)


@given(st.lists(messages, min_size=1))
def test_a_written_conversation_reads_back(talk):
    assert read_conversation(write_conversation(talk)) == talk


@given(
    st.text() | st.sampled_from(["[]", "[1]", '[{"role": "user"}]', '{"role": "user"}', "[" * 9999])
)
def test_a_prompt_is_never_no_conversation(text):
    assert all(m.keys() == {"role", "content"} for m in read_conversation(text))


def test_an_action_is_the_text_of_its_ids_however_they_split_it(codecs):
    codec = codecs["plain"]
    whole = encoded(codec, CALL)
    letters = [k for letter in CALL for k in encoded(codec, letter)]
    assert whole != letters
    assert codec.action([*whole, codec.end]) == codec.action([*letters, codec.end]) == CALL


def test_special_tokens_are_no_part_of_an_actions_text(codecs):
    """As a server gives it, so that the agent would read the same."""
    codec = codecs["plain"]
    start = codec.tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert codec.action([start, *encoded(codec, "so"), codec.pad, codec.end]) == "so"


def test_an_action_that_was_cut_off_says_so_and_its_message_ends_all_the_same(codecs):
    codec = codecs["plain"]
    ids = encoded(codec, "As I was sa")
    assert codec.action(ids) == "As I was sa" + CUT_OFF and codec.action([]) == CUT_OFF
    assert CUT_OFF.isspace()
    assert [*ids, *continued(codec, ids, SEEN)] == [
        *ids, codec.end, *continued(codec, [*ids, codec.end], SEEN)
    ]  # fmt: skip


def test_words_are_continued_by_the_end_token_too():
    codec = WordCodec(word_tokenizer(["a", "b"]))
    (a,), (b,) = codec.prompt("a"), codec.prompt("b")
    assert continued(codec, [a, codec.end], "b") == [b]
    assert continued(codec, [a], "b") == [codec.end, b]


def test_a_saved_tokenizer_knows_its_codec(tmp_path):
    chat_tokenizer().save_pretrained(tmp_path / "chat")
    word_tokenizer(["a"]).save_pretrained(tmp_path / "words")
    assert isinstance(read_codec(tmp_path / "chat"), ChatCodec)
    assert isinstance(read_codec(tmp_path / "words"), WordCodec)
    with pytest.raises(ValueError, match="no token <end>"):
        read_codec(tmp_path / "chat", "words")
    with pytest.raises(ValueError, match="no chat template"):
        read_codec(tmp_path / "words", "chat")
