"""The concrete tokenizer: a backend from ``tokenizer.json``, from an object, or from a slow
format's files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any, ClassVar

from tokenizers import Tokenizer

from dovetail.errors import TokenizerError
from dovetail.tokenizers import convert
from dovetail.tokenizers.backend import Backend, is_library_fault
from dovetail.tokenizers.base import PreTrainedTokenizerBase
from dovetail.tokenizers.components import set_prefix_space


class PreTrainedTokenizerFast(PreTrainedTokenizerBase):
    """A tokenizer over the `tokenizers` library.

    A family subclasses it, names its files in `vocab_files_names` and says in `build_backend` what
    its slow format means.

    >>> from tokenizers.models import WordLevel
    >>> words = Tokenizer(WordLevel({"[UNK]": 0, "hello": 1}, unk_token="[UNK]"))
    >>> PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")("hello")["input_ids"]
    [1]
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "tokenizer_file": "tokenizer.json",
        "vocab_file": "tokenizer.model",
    }

    def __init__(
        self,
        *,
        tokenizer_object: Tokenizer | None = None,
        tokenizer_file: str | None = None,
        from_slow: bool = False,
        **kwargs: Any,
    ) -> None:
        if tokenizer_object is not None:
            tokenizer = Tokenizer.from_str(tokenizer_object.to_str())
        elif tokenizer_file is not None and not (from_slow and kwargs.get("vocab_file")):
            tokenizer = read_tokenizer_file(str(tokenizer_file))
        else:
            tokenizer = self._from_slow_format(kwargs)
        kwargs = _defaults(tokenizer) | kwargs
        tokenizer.no_truncation()
        tokenizer.no_padding()
        super().__init__(Backend(tokenizer), **kwargs)
        self.vocab_file: str | None = kwargs.get("vocab_file")
        if kwargs.get("add_prefix_space") is not None:
            self._backend.change(
                lambda backend: set_prefix_space(backend, bool(kwargs["add_prefix_space"]))
            )

    def _from_slow_format(self, settings: dict[str, Any]) -> Tokenizer:
        try:
            tokenizer = self.build_backend(settings)
        except OSError as failure:
            raise TokenizerError(
                f"{failure.filename} cannot be read: {failure.strerror}."
            ) from failure
        if tokenizer is None:
            raise TokenizerError(
                f"{type(self).__name__} cannot be made of nothing: pass tokenizer_file, "
                "tokenizer_object or "
                f"{', '.join(name for name in self.vocab_files_names if name != 'tokenizer_file')}."
            )
        return tokenizer

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """The backend that the constructor's arguments (files and options) describe, None when they
        name no file."""
        return convert.from_files(settings)

    @property
    def vocab_file_exists(self) -> bool:
        """Whether the vocabulary file that this tokenizer was made of is (still) there."""
        return self.vocab_file is not None and os.path.isfile(self.vocab_file)

    def _copy_vocab_file(self, save_directory: str, prefix: str | None) -> tuple[str, ...]:
        if self.vocab_file is None or not self.vocab_file_exists:
            return ()
        name = self.vocab_files_names["vocab_file"]
        target = os.path.join(save_directory, f"{prefix}-{name}" if prefix else name)
        if os.path.realpath(target) != os.path.realpath(self.vocab_file):
            shutil.copyfile(self.vocab_file, target)
        return (target,)


def arguments(constructor: Mapping[str, Any]) -> dict[str, Any]:
    """The named arguments of a constructor, given its ``locals()`` before anything else is
    assigned."""
    return {
        name: value
        for name, value in constructor.items()
        if name not in ("self", "kwargs", "__class__")
    }


def read_tokenizer_file(path: str) -> Tokenizer:
    """The backend in a ``tokenizer.json``.

    Raises:
        TokenizerError: when the file is missing, damaged, or describes what the `tokenizers`
        library does not know.
    """
    try:
        return Tokenizer.from_file(path)
    except BaseException as failure:
        if not is_library_fault(failure):
            raise
        raise TokenizerError(
            f"{path} is no tokenizer that can be read: {failure}. Replace it by an intact file, or "
            "upgrade the 'tokenizers' package if a newer one wrote it."
        ) from failure


def _defaults(tokenizer: Tokenizer) -> dict[str, Any]:
    """What the settings stored in a ``tokenizer.json`` say about the tokenizer."""
    defaults: dict[str, Any] = {}
    if tokenizer.truncation is not None:
        defaults["truncation_side"] = tokenizer.truncation["direction"]
    if tokenizer.padding is not None:
        defaults["pad_token"] = tokenizer.padding["pad_token"]
        defaults["pad_token_type_id"] = tokenizer.padding["pad_type_id"]
        defaults["padding_side"] = tokenizer.padding["direction"]
    return defaults
