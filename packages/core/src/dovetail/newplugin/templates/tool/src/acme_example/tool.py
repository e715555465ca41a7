"""A tool is a class with a name, a description, typed inputs and a call."""

from __future__ import annotations

from typing import Any, ClassVar


class AcmeExampleTool:
    """Counts words.

    The class attributes are what an agent's prompt says about the tool, so they are all that a
    language model knows of it: describe inputs and result in one clear sentence each.
    """

    name: ClassVar[str] = "acme_example"
    description: ClassVar[str] = "Counts the words of a text and returns their number."
    inputs: ClassVar[dict[str, dict[str, str]]] = {
        "text": {"type": "string", "description": "The text whose words are counted."}
    }
    output_type: ClassVar[str] = "integer"

    def forward(self, text: str) -> int:
        """The number of words in `text`, which agents wrote: so check it."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, not {type(text).__name__}.")
        return len(text.split())

    def __call__(self, *args: Any, **kwargs: Any) -> int:
        """What an agent calls."""
        return self.forward(*args, **kwargs)
