"""Text to token ids and back, only where that is exact.

Text becomes ids in two places: the prompt, and observations. An action's ids are those that were
sampled; they are decoded to be carried out, and that text is never encoded again, since one text
has several encodings and the policy is to be trained on the one it chose. An action ends with the
end token, which is sampled and trained like every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

END, PAD = "<end>", "<pad>"


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


class WordCodec:
    """One token a word of the domain's grammar: for a tiny policy of its own.

    Raises ValueError (in `prompt` and `observation`) for a word that is not in the vocabulary.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.end = int(tokenizer.convert_tokens_to_ids(END))
        self.pad = int(tokenizer.convert_tokens_to_ids(PAD))
        self._ids = {word: int(k) for word, k in tokenizer.get_vocab().items()}
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


class ChatCodec:
    """A model with a chat template: the prompt is a user message, an observation the next one.

    What stands between an action and the next is found once, by rendering a conversation with marks
    in it, so that an action is never rendered again.
    """

    _MARK, _OBSERVED = "\u2402action\u2402", "\u2402observed\u2402"

    def __init__(self, tokenizer: Any, system: str = "") -> None:
        self.tokenizer = tokenizer
        self.end = int(tokenizer.eos_token_id)
        self.pad = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end)
        self._system = [{"role": "system", "content": system}] if system else []
        start = [*self._system, {"role": "user", "content": "x"}]
        turn = [
            *start,
            {"role": "assistant", "content": self._MARK},
            {"role": "user", "content": self._OBSERVED},
        ]
        after = self._render(turn).partition(self._MARK)[2]
        before, found, self._suffix = after.partition(self._OBSERVED)
        end = tokenizer.eos_token
        if not found or not before.startswith(end):
            raise ValueError(
                "the chat template does not end an assistant's message with the tokenizer's end "
                f"token {end!r}, so a sampled action cannot be continued exactly; "
                f"after it the template writes {before!r:.80}"
            )
        self._prefix = before.removeprefix(end)

    def prompt(self, text: str) -> list[int]:
        return self._encode(self._render([*self._system, {"role": "user", "content": text}]))

    def observation(self, text: str) -> list[int]:
        return self._encode(self._prefix + text + self._suffix)

    def action(self, ids: Sequence[int]) -> str:
        kept = [int(k) for k in ids if int(k) not in (self.end, self.pad)]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False))

    def _render(self, messages: Sequence[dict[str, str]]) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
        )

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def word_tokenizer(grammar: Sequence[str]) -> Any:
    """A `transformers` tokenizer with one token a word. Raises ValueError on a word with a space
    in it.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if bad := [w for w in grammar if len(w.split()) != 1]:
        raise ValueError(f"a word of the grammar holds a space or nothing: {bad[0]!r}")
    words = [PAD, END, *dict.fromkeys(grammar)]
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END)


def read_codec(folder: Path, kind: str, system: str = "") -> Codec:
    """The codec of a saved policy."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return WordCodec(tokenizer) if kind == "words" else ChatCodec(tokenizer, system)
