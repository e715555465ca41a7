"""Marian's tokenizer: a SentencePiece model per side, and ids of a ``vocab.json``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Container, Iterable
from typing import Any, ClassVar

from tokenizers import Tokenizer

from dovetail.errors import TokenizerError
from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast
from dovetail.tokenizers.backend import Backend
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import sentencepiece
from dovetail.tokenizers.convert.files import read_vocab_json
from dovetail.tokenizers.convert.sentencepiece import SentencePieceModel
from dovetail.tokenizers.fast import arguments

UNKNOWN_PENALTY = 100.0  # so that characters of the other side stand in for unknown ones only
OTHER_SIDE_PENALTY = 10000.0  # so that its other pieces stay out of texts


class MarianTokenizer(PreTrainedTokenizerFast):
    """SentencePiece tokenizer of Marian: ``A </s>``.

    Texts are split by `source_spm`, those given as `text_target` by `target_spm`. Both sides have
    the ids of `vocab` or, with `separate_vocabs`, targets those of `target_vocab_file`, by which
    ids are then decoded. A text may start with the code of the language to translate into,
    ``>>fr<<``, where the vocabulary has it.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "source_spm": "source.spm",
        "target_spm": "target.spm",
        "vocab": "vocab.json",
        "target_vocab_file": "target_vocab.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too
    can_save_slow_tokenizer = True

    def __init__(
        self,
        source_spm: str | None = None,
        target_spm: str | None = None,
        vocab: str | None = None,
        target_vocab_file: str | None = None,
        source_lang: str | None = None,
        target_lang: str | None = None,
        unk_token: str | AddedToken = "<unk>",
        eos_token: str | AddedToken = "</s>",
        pad_token: str | AddedToken = "<pad>",
        model_max_length: int = 512,
        sp_model_kwargs: dict[str, Any] | None = None,
        separate_vocabs: bool = False,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        files = {name: settings.pop(name) for name in self.vocab_files_names}
        wanted = [name for name in files if separate_vocabs or name != "target_vocab_file"]
        if missing := [name for name in wanted if files[name] is None]:
            raise TokenizerError(f"MarianTokenizer lacks {', '.join(missing)}: pass their paths.")
        self._files: dict[str, str] = {name: files[name] for name in wanted}
        self.separate_vocabs, self.source_lang, self.target_lang = (
            separate_vocabs,
            source_lang,
            target_lang,
        )
        super().__init__(**settings, **kwargs)
        self.supported_language_codes = [] if separate_vocabs else self._codes(self._files["vocab"])
        target = self._side("target_spm", wanted[-1], str(unk_token))
        target.add_special_tokens(self.all_special_tokens_extended)
        self._source, self._target = self._backend, Backend(target)
        end = f"{eos_token}:0"
        self._source.change(lambda source: set_template(source, f"$A:0 {end}", f"$A:0 $B:0 {end}"))
        target.post_processor = self._source.tokenizer.post_processor

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer:
        """The source side."""
        return self._side("source_spm", "vocab", str(settings["unk_token"]))

    def _side(self, spm: str, vocab: str, unknown: str) -> Tokenizer:
        model = SentencePieceModel.from_file(self._files[spm])
        ids = read_vocab_json(self._files[vocab])
        if unknown not in ids:
            raise TokenizerError(
                f"{self._files[vocab]} lacks {unknown!r}: pass as unk_token the one that it has."
            )
        if sorted(ids.values()) != list(range(len(ids))):
            raise TokenizerError(
                f"{self._files[vocab]} skips or repeats ids: download or copy it again."
            )
        model.pieces = [piece for piece in model.pieces if piece.text in ids]
        known = dict(model.scores)
        lowest = min(known.values(), default=0.0)
        scores = [
            (token, known.get(token, lowest - penalty(token, known)))
            for token in sorted(ids, key=ids.__getitem__)
        ]
        tokenizer = sentencepiece.build(model, scores=scores, unk_id=ids[unknown], cut=False)
        codes = [AddedToken(code, normalized=False) for code in self._codes(self._files[vocab])]
        tokenizer.add_tokens(codes)
        return tokenizer

    @staticmethod
    def _codes(vocab: str) -> list[str]:
        tokens = read_vocab_json(vocab)
        return [token for token in tokens if token.startswith(">>") and token.endswith("<<")]

    def _switch_to_input_mode(self) -> None:
        self._backend = self._source

    def _switch_to_target_mode(self) -> None:
        self._backend = self._target

    def _add_tokens(
        self, new_tokens: Iterable[str | AddedToken], special_tokens: bool = False
    ) -> int:
        tokens = list(new_tokens)
        if hasattr(self, "_target"):
            self._target.change(
                lambda target: (target.add_special_tokens if special_tokens else target.add_tokens)(
                    tokens
                )
            )
        return super()._add_tokens(tokens, special_tokens)

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """The texts of several sequences of ids, which are the target's."""
        current = self._backend
        self._switch_to_target_mode()
        try:
            texts = super().batch_decode(
                sequences, skip_special_tokens, clean_up_tokenization_spaces, **kwargs
            )
        finally:
            self._backend = current
        return [text.strip() for text in texts]

    def get_src_vocab(self) -> dict[str, int]:
        """Token to id of the source side."""
        return self._source.tokenizer.get_vocab()

    def get_tgt_vocab(self) -> dict[str, int]:
        """Token to id of the target side."""
        return self._target.tokenizer.get_vocab()

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Copy the files that this tokenizer was made of."""
        written = []
        for name, path in self._files.items():
            file = self.vocab_files_names[name]
            target = os.path.join(
                save_directory, f"{filename_prefix}-{file}" if filename_prefix else file
            )
            if os.path.realpath(target) != os.path.realpath(path):
                shutil.copyfile(path, target)
            written.append(target)
        return tuple(written)


def penalty(token: str, known: Container[str]) -> float:
    """How far below the pieces of a side, `known`, one of the other side stands."""
    return OTHER_SIDE_PENALTY if any(char in known for char in token) else UNKNOWN_PENALTY
