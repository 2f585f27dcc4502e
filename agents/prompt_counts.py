"""Whether a server reads the prompts that it is sent, by the tokens that it counts in them. Pure.

A server whose context is too short may drop the beginning of a prompt, or its oldest messages, and answer
as if nothing were missing (Ollama's `num_ctx`, LM Studio). Its count of the prompt gives it away: it is
smaller than that much text can be, or does not grow with the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.model import Message

# Prose is four to five characters a token and netlists, numbers and JSON two to four, so whoever counts
# fewer tokens than this has not read all of it. What a tokenizer may do with blanks is left room for.
_MOST_CHARACTERS_PER_TOKEN = 7
# Shorter texts prove nothing.
_ENOUGH_CHARACTERS = 700


class PromptCounts:
    """What a server has counted so far, request by request."""

    def __init__(self) -> None:
        self._sent: list[Message] = []
        self._counted = 0

    def doubt(self, messages: Sequence[Message], counted: int) -> str:
        """What is wrong with a count, in words; empty where nothing is.

        Args:
            messages: as they were sent. Tools do not count, which some servers leave out of the prompt,
                nor do replies, which templates shorten.
            counted: the server's count of the prompt, in tokens.
        """
        if _too_few(counted, whole := _characters(messages)):
            return f"the server counts {counted} tokens in a prompt of {whole} characters or more"
        before = len(self._sent)
        if (
            not before or list(messages[:before]) != self._sent
        ):  # Another conversation, or a shorter one.
            self._sent, self._counted = list(messages), counted
            return ""
        added, counted_before = _characters(messages[before:]), self._counted
        if added >= _ENOUGH_CHARACTERS:
            self._sent, self._counted = list(messages), counted
        if _too_few(counted - counted_before, added):
            return (
                f"the server counts {counted} tokens in a prompt, and counted {counted_before} before "
                f"{added} characters were added to it"
            )
        return ""


def _too_few(tokens: int, characters: int) -> bool:
    return characters >= _ENOUGH_CHARACTERS and tokens * _MOST_CHARACTERS_PER_TOKEN < characters


def _characters(messages: Sequence[Message]) -> int:
    return sum(len(m["content"]) for m in messages if m["role"] != "assistant")
