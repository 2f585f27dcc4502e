"""Text to token ids and back, only where that is exact.

Text becomes ids in two places: the prompt, and observations. An action's ids are those that were
sampled; they are decoded to be carried out, and that text is never encoded again, since one text
has several encodings and the policy is to be trained on the one it chose. An action ends with the
end token, which is sampled and trained like every other.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tlgrpo.config import ConfigError
from tlgrpo.domain import State

END, PAD = "<end>", "<pad>"
# In the end of a chat action that reached its length limit. White space, so that a domain to which it
# makes no difference need not know of it.
CUT_OFF = "\x1f"
Message = dict[str, str]

# A ChatML template that leaves earlier turns as they were, reasoning included. `opening` is what the
# assistant's message begins with; '<think>\n\n</think>\n\n' keeps a hybrid model from reasoning.
CHATML = """\
{%- set opening = '' -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' -}}
{%- if message.role == 'assistant' -%}{{ opening -}}{%- endif -%}
{%- if message.reasoning_content -%}
{{ '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' -}}
{%- endif -%}
{{ message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' + opening -}}{%- endif -%}
"""
# Marks in a conversation that a template is tried with; the tags are those of the text tool format.
_SAID, _SEEN = "\u2402said\u2402", "<tool_response>\u2402seen\u2402</tool_response>"
_THOUGHT, _CLOSED = "\u2402thought\u2402", "\n</think>\n\n"


class Codec(Protocol):
    """How a policy reads and writes."""

    @property
    def end(self) -> int:
        """The token that ends an action."""

    @property
    def pad(self) -> int: ...

    def prompt(self, text: str) -> list[int]:
        """The ids that an episode begins with."""

    def observation(self, text: str) -> list[int]:
        """The ids between the end of an action and the first token of the next one."""

    def action(self, ids: Sequence[int]) -> str:
        """The text of sampled ids, without the end token."""


@dataclass(frozen=True, slots=True)
class AnswerMask:
    """Which tokens an action has: each line of a form with a value after it, then the end.

    The policy is the model's distribution renormalised over what may come, in the sampler and in
    the learner alike. Lines and the end come by themselves, with a log-probability of 0.

    Attributes:
        values: tokens that fill a line.
        end: token that ends an action.
    """

    values: tuple[int, ...]
    end: int


class WordCodec:
    """One token a word of the domain's grammar: for a tiny policy of its own.

    Raises ValueError for a tokenizer that is none of words, and (in `prompt` and `observation`) for
    a word that is not in the vocabulary.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._ids = {word: int(k) for word, k in tokenizer.get_vocab().items()}
        if missing := [word for word in (END, PAD) if word not in self._ids]:
            raise ValueError(
                f"its tokenizer has no token {missing[0]}, so it is none of words; a model with a "
                "chat template has the codec `chat`"
            )
        self.end, self.pad = self._ids[END], self._ids[PAD]
        self._words = {k: word for word, k in self._ids.items()}

    def prompt(self, text: str) -> list[int]:
        return [self._id(word) for word in text.split()]

    def observation(self, text: str) -> list[int]:
        return self.prompt(text)

    def action(self, ids: Sequence[int]) -> str:
        return " ".join(self._words[int(k)] for k in ids if int(k) not in (self.end, self.pad))

    def _id(self, word: str) -> int:
        try:
            return self._ids[word]
        except KeyError:
            raise ValueError(f"the word {word!r} is not in the policy's vocabulary") from None


class LineCodec(WordCodec):
    """One token a line of words: what is said of one thing is one place of the policy's context.

    A line's id is its words in a number system with one digit a word; a line of one word has that
    word's id. What such an id means to a model is `tlgrpo.policy.LineEmbedding`. In an action a value
    follows the line it is for after a tab, and is a token of its own.

    Attributes:
        words: the most that a line may have, so that its id is a number of 63 bits.

    Raises ValueError in `prompt` and `observation` for a longer line.
    """

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self._base = len(self._ids) + 1
        self.words = words_of_a_line(len(self._ids))

    def prompt(self, text: str) -> list[int]:
        return [self.line(line) for line in text.replace("\t", "\n").split("\n")]

    def line(self, text: str) -> int:
        """The id of one line."""
        ids = [self._id(word) for word in text.split()]
        if not 1 <= len(ids) <= self.words:
            raise ValueError(f"a line has 1 to {self.words} words, not {len(ids)}: {text!r}")
        if len(ids) == 1:
            return ids[0]
        token = 0
        for word in reversed(ids):
            token = token * self._base + word + 1
        return len(self._ids) + token

    def action(self, ids: Sequence[int]) -> str:
        text = ""
        for token in map(int, ids):
            if token in (self.end, self.pad):
                continue
            words = self._read(token)
            text += ("" if not text else "\t" if len(words) == 1 else "\n") + " ".join(words)
        return text

    def _read(self, token: int) -> list[str]:
        if token < len(self._ids):
            return [self._words[token]]
        rest, words = token - len(self._ids), []
        while rest:
            rest, digit = divmod(rest, self._base)
            words.append(self._words[digit - 1])
        return words

    def mask(self, values: Sequence[str]) -> AnswerMask:
        """Of actions whose lines are filled with one of these words each."""
        return AnswerMask(tuple(self._id(word) for word in values), self.end)


def words_of_a_line(vocabulary: int) -> int:
    """How many words a line may have, of a vocabulary of that many."""
    return int(63 / math.log2(vocabulary + 1))


class ChatCodec:
    """A model with a chat template: an action is an assistant's message, an observation the next user's.

    The prompt is a conversation (`write_conversation`), or any text, which is one user message. What
    stands between an action and the next is found once, by rendering a conversation with marks in
    it, so that an action is never rendered again. Reasoning is part of the action like every other
    text of it.

    Attributes:
        keeps_reasoning: whether the template shows a model its earlier reasoning, as it stays in the
            history here. Where it does not, a policy that reasons meets another history on a chat
            server than in training; give the folder a template that keeps it, such as CHATML.

    Raises ValueError where the template does not let a sampled action be continued exactly.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        if not tokenizer.chat_template:
            raise ValueError("its tokenizer has no chat template; was it trained to chat?")
        before, found, self._suffix = self._after_action().partition(_SEEN)
        ends = [t for t in _special_tokens(tokenizer) if before.startswith(t)]
        if not found or not ends:
            raise ValueError(
                "the chat template does not end an assistant's message with an end token, so a "
                f"sampled action cannot be continued exactly; after it the template writes {before!r:.80}"
            )
        self._end = max(ends, key=len)
        self._prefix = before.removeprefix(self._end)
        self.end = int(tokenizer.convert_tokens_to_ids(self._end))
        # Padding is masked wherever it stands, so that any token will do.
        self.pad = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end)
        # Some templates open the reasoning for the model, whose actions then have to close it.
        differences = [
            self._difference(action) for action in (_SAID, f"{_THOUGHT}{_CLOSED}{_SAID}")
        ]
        if all(differences):
            raise ValueError(
                "the chat template renders earlier turns otherwise than it began them, so a sampled "
                f"action cannot be continued exactly: {differences[0]}. Give the folder a template "
                "that leaves them as they were, such as tlgrpo.tokens.CHATML"
            )
        reasoned = f"<think>\n{_THOUGHT}{_CLOSED}{_SAID}"
        self.keeps_reasoning = _THOUGHT in self._render(_talk(reasoned, _SEEN))

    def prompt(self, text: str) -> list[int]:
        return self._encode(self._render(read_conversation(text)))

    def observation(self, text: str) -> list[int]:
        # Encoded after the end token, which some tokenizers let change what follows it.
        return self._encode(self._end + self._prefix + text + self._suffix)[1:]

    def action(self, ids: Sequence[int]) -> str:
        """As a server gives it: without special tokens, and CUT_OFF in the end where that is so."""
        ended = bool(ids) and int(ids[-1]) == self.end
        text = self.tokenizer.decode(
            [int(k) for k in ids if int(k) != self.end],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return str(text) + ("" if ended else CUT_OFF)

    def _after_action(self) -> str:
        return self._render(_talk(_SAID, _SEEN)).partition(_SAID)[2]

    def _difference(self, action: str) -> str:
        """How two turns put together here differ from the whole conversation; empty if they do not."""
        talk = _talk()
        text, ids = self._render(talk), self.prompt(write_conversation(talk))
        after = [self.end, *self.observation(_SEEN)]
        turns = _talk(action, _SEEN, action, _SEEN)
        text += 2 * (action + self._end + self._prefix + _SEEN + self._suffix)
        whole = self._render(turns)
        if whole != text:
            pairs = zip(whole, text, strict=False)
            place = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
            return f"{text[place : place + 40]!r} becomes {whole[place : place + 40]!r}"
        rest = self._encode(whole)
        for expected in (ids, after, after):
            if rest[: len(expected)] != expected:
                return "its tokenizer splits a whole conversation elsewhere than its parts"
            rest = rest[len(expected) :]
            # The action, which the policy may write in other tokens.
            rest = rest[rest.index(self.end) :] if self.end in rest else rest
        return ""

    def _render(self, messages: Sequence[Message]) -> str:
        from jinja2 import TemplateError

        try:
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=True
                )
            )
        except TemplateError as error:
            roles = ", ".join(dict.fromkeys(m["role"] for m in messages))
            raise ValueError(
                f"the chat template cannot render messages of {roles}: {error}"
            ) from None

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _talk(*texts: str) -> list[Message]:
    """A conversation for trying a template: a prompt, then actions and observations in turn."""
    roles = itertools.cycle(("assistant", "user"))
    turns = [_message(role, text) for role, text in zip(roles, texts, strict=False)]
    return [_message("system", "s"), _message("user", "u"), *turns]


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _special_tokens(tokenizer: Any) -> set[str]:
    added = tokenizer.added_tokens_decoder.values()
    return {*tokenizer.all_special_tokens, *(t.content for t in added if t.special)}


def write_conversation(messages: Sequence[Message]) -> str:
    """The prompt that these messages are: a JSON list of them."""
    return json.dumps(list(messages), ensure_ascii=False)


def read_conversation(prompt: str) -> list[Message]:
    """The messages of a prompt; any text that is no conversation is one of the user's."""
    try:
        data = json.loads(prompt)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, list) and data and all(_is_message(m) for m in data):
        return data
    return [_message("user", prompt)]


def _is_message(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"role", "content"}
        and all(isinstance(v, str) for v in value.values())
    )


def continued(codec: Codec, action: Sequence[int], observation: str) -> list[int]:
    """The ids between the last one of a sampled action and the first one of the next.

    An action that was cut off lacks the end token, which no conversation lacks; it is put here, where
    nothing is trained.
    """
    ended = bool(action) and action[-1] == codec.end
    return [*([] if ended else [codec.end]), *codec.observation(observation)]


def word_tokenizer(grammar: Sequence[str], reads: Literal["words", "lines"] = "words") -> Any:
    """A `transformers` tokenizer with one token a word, which knows by which codec it `reads`.

    Raises ValueError on a word with a space in it.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if bad := [w for w in grammar if len(w.split()) != 1]:
        raise ValueError(f"a word of the grammar holds a space or nothing: {bad[0]!r}")
    words = [PAD, END, *dict.fromkeys(grammar)]
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, reads=reads
    )


def read_codec(folder: Path, kind: str | None = None) -> WordCodec | ChatCodec:
    """The codec of a saved policy: `words`, `lines`, `chat`, or None for what its tokenizer says.

    Raises OSError or ValueError, which say why there is none.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if kind is None:
        own = tokenizer.init_kwargs.get("reads", "words")
        kind = "chat" if tokenizer.chat_template else own
    kinds: dict[str, type[WordCodec] | type[ChatCodec]]
    kinds = {"words": WordCodec, "lines": LineCodec, "chat": ChatCodec}
    return kinds[kind](tokenizer)


def mask_of(domain: object, codec: Codec) -> AnswerMask | None:
    """The mask that a domain's actions are decoded under, or None where they are free text.

    Raises ConfigError for a domain whose actions are forms and a codec that does not read lines.
    """
    values = getattr(domain, "answer", None)
    if values is None:
        return None
    if not isinstance(codec, LineCodec):
        name = getattr(domain, "name", "")
        raise ConfigError(f"policy.codec: the domain {name!r} needs the codec `lines`")
    return codec.mask(values)


def forms_of(domain: Any, codec: Codec, states: Sequence[State]) -> list[list[int]] | None:
    """The lines that an action fills in each state, or None where actions are free text."""
    if not isinstance(codec, LineCodec) or not hasattr(domain, "form"):
        return None
    return [[codec.line(line) for line in domain.form(state)] for state in states]
