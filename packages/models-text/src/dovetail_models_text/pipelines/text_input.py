"""What every text task asks of its input."""

from __future__ import annotations

from typing import Any

from dovetail.errors import PipelineError


def require_text(value: Any, task: str, expected: str = "a string") -> None:
    """Refuse what a tokenizer would choke on, naming the task and what it takes."""
    if not isinstance(value, str):
        shown = repr(value)
        raise PipelineError(
            f"The {task!r} pipeline takes {expected} or a list of such inputs; got "
            f"{type(value).__name__} {shown[:80]}{'…' if len(shown) > 80 else ''}."
        )
