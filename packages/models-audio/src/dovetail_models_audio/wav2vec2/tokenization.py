"""The tokenizer of Wav2Vec 2.0's transcriptions: letters, whose repeats and blanks are dropped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from dovetail.atomic import atomic_write
from dovetail.errors import TokenizerError
from dovetail.json_files import read_json_object
from dovetail.outputs import ModelOutput
from dovetail.tokenizers.backend import Backend
from dovetail.tokenizers.fast import PreTrainedTokenizerFast, arguments

Offsets = list[dict[str, Any]]


@dataclass
class Wav2Vec2CTCTokenizerOutput(ModelOutput):
    """A text (or several), and from which to which frame each character and each word is heard."""

    text: Any = None
    char_offsets: Any = None
    word_offsets: Any = None


class Run(NamedTuple):
    """A token, and the frames from `start` to before `end` which all say it."""

    token: str
    start: int
    end: int


class Wav2Vec2CTCTokenizer(PreTrainedTokenizerFast):
    """One token for each character; spaces are `word_delimiter_token`, blanks are `pad_token`.

    A vocabulary of several languages maps each to its own; `target_lang` chooses.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "vocab.json",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too

    def __init__(
        self,
        vocab_file: str | None = None,
        bos_token: str | AddedToken = "<s>",
        eos_token: str | AddedToken = "</s>",
        unk_token: str | AddedToken = "<unk>",
        pad_token: str | AddedToken = "<pad>",
        word_delimiter_token: str = "|",
        replace_word_delimiter_char: str = " ",
        do_lower_case: bool = False,
        target_lang: str | None = None,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        self.nested: dict[str, Any] = {}
        super().__init__(**settings, **{**kwargs, "from_slow": True})
        self.nested = self.nested or self.get_vocab()
        self.word_delimiter_token = str(word_delimiter_token)
        self.replace_word_delimiter_char = replace_word_delimiter_char
        self.do_lower_case = do_lower_case
        self.target_lang = target_lang

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """Characters, by the ids of ``vocab.json``."""
        if settings.get("vocab_file") is None:
            return None
        self.nested = _read_vocabulary(settings["vocab_file"])
        vocabulary = self._chosen(settings["target_lang"])
        return _characters(vocabulary, settings)

    def _chosen(self, language: str | None) -> dict[str, int]:
        """The vocabulary of `language` where there are several."""
        if not any(isinstance(value, dict) for value in self.nested.values()):
            return self.nested
        if language not in self.nested:
            raise TokenizerError(
                f"target_lang={language!r} has no vocabulary: choose one of "
                f"{', '.join(sorted(self.nested))}."
            )
        return self.nested[language]

    def set_target_lang(self, target_lang: str) -> None:
        """Change to the vocabulary of `target_lang`.

        Raises:
            TokenizerError: there is one vocabulary only, or none of this language.
        """
        if not any(isinstance(value, dict) for value in self.nested.values()):
            raise TokenizerError(
                f"There is no vocabulary of {target_lang!r}: this tokenizer has one vocabulary, "
                "without languages."
            )
        settings = {**self.init_kwargs, **self.special_tokens_map, "target_lang": target_lang}
        backend = _characters(self._chosen(target_lang), settings)
        self._backend = Backend(backend)
        self._add_missing(_stripping(self.special_tokens_map.values()))
        self.target_lang = self.init_kwargs["target_lang"] = target_lang

    @property
    def word_delimiter_token_id(self) -> int:
        """The id of what stands for a space."""
        return self.convert_tokens_to_ids(self.word_delimiter_token)

    def convert_tokens_to_string(  # type: ignore[override] # offsets beside the text
        self,
        tokens: list[str],
        group_tokens: bool = True,
        spaces_between_special_tokens: bool = False,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
    ) -> dict[str, Any]:
        """The text that the tokens of frames say, with offsets in frames where asked.

        Repeats count once (`group_tokens`) and blanks not at all.
        """
        spoken = [run for run in _runs(tokens, group_tokens) if run.token != self.pad_token]
        characters = [
            run._replace(
                token=self.replace_word_delimiter_char
                if run.token == self.word_delimiter_token
                else run.token
            )
            for run in spoken
        ]
        text = (
            (" " if spaces_between_special_tokens else "")
            .join(run.token for run in characters)
            .strip()
        )
        if self.do_lower_case:
            text = text.lower()
            characters = [run._replace(token=run.token.lower()) for run in characters]
        words = _words(characters, self.replace_word_delimiter_char)
        return {
            "text": text,
            "char_offsets": _offsets("char", characters) if output_char_offsets else None,
            "word_offsets": _offsets("word", words) if output_word_offsets else None,
        }

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
        group_tokens: bool = True,
        spaces_between_special_tokens: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The text of one sound's likeliest tokens, frame by frame; with offsets where asked, as a
        `Wav2Vec2CTCTokenizerOutput`."""
        rows = plain_ids(token_ids)
        ids = [rows] if isinstance(rows, int) else rows
        try:
            tokens = self.convert_ids_to_tokens(ids)
        except (OverflowError, TypeError, ValueError) as failure:
            raise TokenizerError(
                f"These ids cannot be decoded: {failure}. Ids are whole numbers from 0 to "
                f"{len(self) - 1}; replace the -100 of ignored labels before decoding."
            ) from failure
        if None in tokens:
            raise TokenizerError(
                f"The id {ids[tokens.index(None)]} is beyond the {len(self)} tokens of the "
                "vocabulary: decode by this checkpoint's tokenizer."
            )
        if skip_special_tokens:
            special = {*self.all_special_tokens}
            tokens = [token for token in tokens if token not in special]
        said = self.convert_tokens_to_string(
            tokens,
            group_tokens,
            spaces_between_special_tokens,
            output_char_offsets,
            output_word_offsets,
        )
        clean = clean_up_tokenization_spaces
        if self.clean_up_tokenization_spaces if clean is None else clean:
            said["text"] = self.clean_up_tokenization(said["text"])
        if output_char_offsets or output_word_offsets:
            return Wav2Vec2CTCTokenizerOutput(**said)
        return said["text"]

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        output_char_offsets: bool = False,
        output_word_offsets: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The texts of several sounds, as `decode` gives each."""
        said = [
            self.decode(
                ids,
                skip_special_tokens,
                clean_up_tokenization_spaces,
                output_char_offsets,
                output_word_offsets,
                **kwargs,
            )
            for ids in sequences
        ]
        if not (output_char_offsets or output_word_offsets):
            return said
        fields = {
            name: [one[name] for one in said] if all(name in one for one in said) else None
            for name in ("text", "char_offsets", "word_offsets")
        }
        return Wav2Vec2CTCTokenizerOutput(**fields)

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write ``vocab.json``, with all languages where there are several."""
        name = self.vocab_files_names["vocab_file"]
        path = os.path.join(
            save_directory, f"{filename_prefix}-{name}" if filename_prefix else name
        )
        text = json.dumps(self.nested, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        atomic_write(Path(path), text)
        return (path,)


def plain_ids(token_ids: Any) -> Any:
    """Ids of tensors and arrays as lists."""
    return token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids


def _read_vocabulary(path: str) -> dict[str, Any]:
    return read_json_object(path, error=TokenizerError)


def _stripping(tokens: Iterable[Any]) -> list[AddedToken]:
    """Special tokens that swallow the spaces beside them."""
    return [
        AddedToken(str(token), lstrip=True, rstrip=True, normalized=False, special=True)
        for token in tokens
    ]


def _characters(vocabulary: dict[str, int], settings: dict[str, Any]) -> Tokenizer:
    """A backend whose tokens are characters, spaces being the word delimiter."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=str(settings["unk_token"])))
    steps: list[Any] = [normalizers.Replace(" ", str(settings["word_delimiter_token"]))]
    if settings["do_lower_case"]:  # the vocabulary is upper case
        letters = [token for token in vocabulary if len(token) == len(token.lower()) == 1]
        steps += [
            normalizers.Replace(token.lower(), token) for token in letters if token.lower() != token
        ]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    special = [settings[name] for name in ("bos_token", "eos_token", "unk_token", "pad_token")]
    tokenizer.add_tokens(_stripping(token for token in special if token is not None))
    return tokenizer


def _runs(tokens: list[str], group: bool) -> list[Run]:
    """Tokens of successive frames; equal ones in a row as one with `group`."""
    if not group:
        return [Run(token, index, index + 1) for index, token in enumerate(tokens)]
    found, start = [], 0
    for token, same in groupby(tokens):
        end = start + len(list(same))
        found.append(Run(token, start, end))
        start = end
    return found


def _words(characters: list[Run], delimiter: str) -> list[Run]:
    """Words, between runs of the delimiter."""
    parts = groupby(characters, key=lambda run: run.token == delimiter)
    words = [list(part) for is_space, part in parts if not is_space]
    return [Run("".join(run.token for run in word), word[0].start, word[-1].end) for word in words]


def _offsets(kind: str, runs: list[Run]) -> Offsets:
    return [{kind: run.token, "start_offset": run.start, "end_offset": run.end} for run in runs]
