"""Configuration of CodeGen."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import Size
from dovetail.errors import ConfigError
from dovetail_models_text.gptj.configuration import GPTJConfig

GROUPS = 4
"""Into how many groups of heads CodeGen's fused projection is cut, one per core of the machines
that trained it."""


class CodeGenConfig(GPTJConfig):
    """Sizes and constants of a CodeGen model: those of GPT-J; the defaults are those of
    ``Salesforce/codegen-2B-mono``.

    `n_ctx` is kept for files that have it, and means nothing.
    """

    model_type: ClassVar[str] = "codegen"
    argument_moves: ClassVar[dict[str, str | None]] = {"n_ctx": "n_positions"}

    n_ctx: Size = 2048

    def check(self) -> None:
        """Refuse head counts that do not divide, or cannot be cut into groups."""
        super().check()
        if self.n_head % GROUPS:
            raise ConfigError(f"n_head={self.n_head} must be a multiple of {GROUPS} in CodeGen.")
