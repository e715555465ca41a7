"""Changing single parts of a `tokenizers` backend."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors

from dovetail.errors import TokenizerError


def set_prefix_space(tokenizer: Tokenizer, wanted: bool) -> None:
    """Make a byte-level pre-tokenizer put a space before the first word, or not."""
    if tokenizer.pre_tokenizer is not None:
        tokenizer.pre_tokenizer = _changed(
            pre_tokenizers, tokenizer.pre_tokenizer, {"add_prefix_space": wanted}
        )


def set_normalizer_options(tokenizer: Tokenizer, **options: Any) -> None:
    """Change those `options` that the normalizer has (`lowercase`, `strip_accents`, ...)."""
    if tokenizer.normalizer is not None:
        tokenizer.normalizer = _changed(normalizers, tokenizer.normalizer, options)


def _changed(module: Any, part: Any, options: dict[str, Any]) -> Any:
    """`part` as it is, or a new one when it has an option with another value."""
    state = json.loads(part.__getstate__())
    changes = {name: value for name, value in options.items() if state.get(name, value) != value}
    if not changes:
        return part
    kind = getattr(module, state.pop("type"))
    return kind(**state | changes)


def set_template(tokenizer: Tokenizer, single: str, pair: str) -> None:
    """Put special tokens around sequences: ``"[CLS]:0 $A:0 [SEP]:0"``, each part with its type.

    Raises:
        TokenizerError: when the vocabulary lacks one of the special tokens.
    """
    parts = [part for part in [*single.split(), *pair.split()] if not part.startswith("$")]
    tokens = {}
    for token in dict.fromkeys(part.rpartition(":")[0] for part in parts):
        index = tokenizer.token_to_id(token)
        if index is None:
            raise TokenizerError(
                f"The vocabulary lacks {token!r}, which is to be put around every sequence. Name "
                "the token that it has, or use the vocabulary that belongs to the model."
            )
        tokens[token] = index
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single.split(), pair=pair.split(), special_tokens=list(tokens.items())
    )
