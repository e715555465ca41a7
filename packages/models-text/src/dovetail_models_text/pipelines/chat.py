"""A conversation as a pipeline's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from dovetail.errors import PipelineError

Message = dict[str, Any]


class Chat:
    """Messages ``{"role": ..., "content": ...}``, told apart from a list of inputs."""

    def __init__(self, messages: Sequence[Message]) -> None:
        for index, message in enumerate(messages):
            if not isinstance(message, dict) or not {"role", "content"} <= set(message):
                raise PipelineError(
                    f"Message {index} of a chat is {message!r}: every message needs the keys "
                    "'role' and 'content'."
                )
        self.messages = list(messages)

    @classmethod
    def wrap(cls, value: Any) -> Self | Any:
        """`value` as a chat when it is a list of messages, otherwise unchanged."""
        is_chat = isinstance(value, list | tuple) and value and isinstance(value[0], dict)
        return cls(value) if is_chat else value

    @property
    def ends_with_assistant(self) -> bool:
        """Whether the model's own message comes last, to be continued."""
        return self.messages[-1]["role"] == "assistant"

    def answered(self, text: str) -> list[Message]:
        """The conversation with `text` as the assistant's new message."""
        return [*self.messages, {"role": "assistant", "content": text}]

    def continued(self, text: str) -> list[Message]:
        """The conversation with `text` added to its last message, or to the last part of it."""
        *earlier, last = self.messages
        content = last["content"]
        if not isinstance(content, list):
            return [*earlier, {**last, "content": content + text}]
        *parts, end = content
        return [*earlier, {**last, "content": [*parts, {**end, "text": end["text"] + text}]}]
