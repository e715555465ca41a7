"""Tokenizers that put a first and a last token around sequences, as two switches say."""

from __future__ import annotations

from dovetail.errors import TokenizerError
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.fast import PreTrainedTokenizerFast


class BoundaryTokens(PreTrainedTokenizerFast):
    """Base of tokenizers with `add_bos_token` and `add_eos_token`, which may be set at any time.

    A constructor ends with `set_boundaries`.
    """

    _add_bos_token = _add_eos_token = False

    def set_boundaries(self, first: bool, last: bool) -> None:
        """Say whether sequences start with `bos_token` and end with `eos_token`."""
        self._add_bos_token, self._add_eos_token = first, last
        self.update_post_processor()

    def update_post_processor(self) -> None:
        """Make the backend put `bos_token` and `eos_token` around sequences, as they are now.

        Raises:
            TokenizerError: when one of them is wanted and not set.
        """
        for role in ("bos", "eos"):
            if getattr(self, f"_add_{role}_token") and getattr(self, f"{role}_token") is None:
                raise TokenizerError(
                    f"add_{role}_token=True, but {role}_token is None: set the token, or pass "
                    f"add_{role}_token=False."
                )
        first = f"{self.bos_token}:{{}} " if self.add_bos_token else ""
        last = f" {self.eos_token}:{{}}" if self.add_eos_token else ""
        single = f"{first}$A:0{last}".replace("{}", "0")
        second = f"{first}$B:1{last}".replace("{}", "1")
        self._backend.change(lambda backend: set_template(backend, single, f"{single} {second}"))

    @property
    def add_bos_token(self) -> bool:
        """Whether sequences start with `bos_token`."""
        return self._add_bos_token

    @add_bos_token.setter
    def add_bos_token(self, value: bool) -> None:
        self._add_bos_token = value
        self.update_post_processor()

    @property
    def add_eos_token(self) -> bool:
        """Whether sequences end with `eos_token`."""
        return self._add_eos_token

    @add_eos_token.setter
    def add_eos_token(self, value: bool) -> None:
        self._add_eos_token = value
        self.update_post_processor()
