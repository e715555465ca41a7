"""Texts of a given form: a JSON schema, a regular expression or a grammar, made into an automaton
over the tokens of one vocabulary by the package ``llguidance``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dovetail.availability import is_installed
from dovetail.errors import GenerationError, MissingPackageError
from dovetail.generation.configuration import GenerationConfig, end_tokens
from dovetail.generation.rules import STRUCTURES
from dovetail.generation.spelling import Spelling

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

SHOWN = 80
"""Characters of a schema, expression or grammar that an error repeats."""
_vocabularies: WeakKeyDictionary[Any, dict[Any, LLTokenizer]] = WeakKeyDictionary()


def asked_structure(config: GenerationConfig) -> str | None:
    """The setting that asks for texts of a given form, None when none does."""
    return next((name for name in STRUCTURES if getattr(config, name) is not None), None)


def make_matcher(config: GenerationConfig, tokenizer: Any, size: int | None) -> LLMatcher:
    """The automaton of the text that `config` asks for, at its beginning; `size` is how many tokens
    the model writes.

    Raises `GenerationError` without a tokenizer or an end token, and for a form that is malformed,
    that no text has, or that this vocabulary cannot spell; `MissingPackageError` without the
    package.
    """
    name = str(asked_structure(config))
    if tokenizer is None:
        raise GenerationError(
            f"{name} needs the model's tokenizer: pass generate(..., tokenizer=tokenizer)"
        )
    ends = end_tokens(config)
    if not ends:
        raise GenerationError(
            f"{name} needs a token that ends the text when it is complete: set eos_token_id"
        )
    if not is_installed("llguidance"):
        raise MissingPackageError(
            f"{name} needs the package llguidance, which is not installed. "
            'Install it with: pip install "dovetail[structured]"'
        )
    return _begin(name, getattr(config, name), _vocabulary(tokenizer, size, ends))


def _begin(name: str, value: Any, vocabulary: LLTokenizer) -> LLMatcher:
    from llguidance import LLMatcher

    try:
        form = _forms()[name](value)
        problem = LLMatcher.validate_grammar(form, vocabulary)
    except Exception as failure:  # the converters raise whatever their parsers do
        problem = str(failure) or type(failure).__name__
    if problem and not problem.startswith("WARNING"):
        raise GenerationError(
            f"{name}={_shown(value)}: {problem.strip()}. Correct it: {_ADVICE[name]}"
        )
    matcher = LLMatcher(vocabulary, form, log_level=0)
    matcher.compute_bitmask()  # where a form without any text is noticed
    if matcher.is_error():
        raise GenerationError(
            f"{name}={_shown(value)}: no text of this form can be written with the tokens of this "
            "vocabulary. Change it, or use a tokenizer that knows its characters"
        )
    return matcher


_ADVICE = {
    "json_schema": "it must be a JSON schema that some text satisfies",
    "regex": "it must be a regular expression without look-around and back references",
    "grammar": "it must be a grammar in Lark's notation with the rule 'start', or in GBNF with the "
    "rule 'root'",
}


def _forms() -> Mapping[str, Callable[[Any], str]]:
    from llguidance import LLMatcher, grammar_from

    return {
        "json_schema": lambda value: LLMatcher.grammar_from_json_schema(_schema(value)),
        "regex": LLMatcher.grammar_from_regex,
        "grammar": partial(grammar_from, "grammar"),
    }


def _schema(value: Any) -> str:
    """A schema given as a dictionary or as JSON text, as text."""
    return json.dumps(json.loads(value) if isinstance(value, str) else value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _vocabulary(tokenizer: Any, size: int | None, ends: tuple[int, ...]) -> LLTokenizer:
    """The vocabulary as the package reads it; made once for each tokenizer."""
    key = (size, ends, len(tokenizer) if hasattr(tokenizer, "__len__") else None)
    known = _vocabularies.get(tokenizer, {}) if hasattr(tokenizer, "__weakref__") else {}
    if key not in known:
        known[key] = _read_vocabulary(Spelling.of(tokenizer, size), ends)
        _vocabularies[tokenizer] = known
    return known[key]


def _read_vocabulary(spelling: Spelling, ends: tuple[int, ...]) -> LLTokenizer:
    from llguidance import LLTokenizer, TokenizerWrapper

    described = _Described(spelling, ends)
    return LLTokenizer(TokenizerWrapper(described), eos_token=list(ends))


class _Described:
    """A vocabulary under the names that the package expects. Called with a text, it spells that
    with the longest tokens that fit.
    """

    bos_token_id = None

    def __init__(self, spelling: Spelling, ends: tuple[int, ...]) -> None:
        self.eos_token_id = ends[0]
        self.tokens = list(spelling.tokens)
        self.special_token_ids = sorted({*spelling.special, *ends})
        special = set(self.special_token_ids)
        self._ids = {
            token: index for index, token in enumerate(self.tokens) if index not in special
        }
        self._longest = max(map(len, self._ids), default=0)

    def __call__(self, text: bytes | str) -> list[int]:
        rest = text.encode() if isinstance(text, str) else text
        found, start = [], 0
        while start < len(rest):
            ends = range(min(len(rest), start + self._longest), start, -1)
            end = next((end for end in ends if rest[start:end] in self._ids), None)
            if end is None:  # no token writes this byte, so no text can go on here
                break
            found.append(self._ids[rest[start:end]])
            start = end
        return found
