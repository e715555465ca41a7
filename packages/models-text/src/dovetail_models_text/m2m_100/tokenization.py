"""M2M-100's tokenizer: SentencePiece with the ids of a ``vocab.json``, languages before texts."""

from __future__ import annotations

import os
import shutil
from typing import Any, ClassVar

from tokenizers import Tokenizer

from dovetail.errors import TokenizerError
from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.convert import sentencepiece
from dovetail.tokenizers.convert.files import read_vocab_json
from dovetail.tokenizers.convert.sentencepiece import SentencePieceModel
from dovetail.tokenizers.fast import arguments
from dovetail_models_text.mbart.tokenization import LanguageCodes

M2M100 = """
af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he
hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no
ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo
zh zu
"""
LANGUAGES: dict[str, list[str]] = {
    "m2m100": M2M100.split(),
    "wmt21": ["en", "ha", "is", "ja", "cs", "ru", "zh", "de"],
}


class M2M100Tokenizer(LanguageCodes):
    """SentencePiece tokenizer of M2M-100: ``__en__ A </s>``.

    `language_codes` is ``m2m100`` or ``wmt21``; the tokens of languages follow the vocabulary.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "vocab.json",
        "spm_file": "sentencepiece.bpe.model",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too
    default_language: ClassVar[str | None] = "en"

    def __init__(
        self,
        vocab_file: str | None = None,
        spm_file: str | None = None,
        tokenizer_file: str | None = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        bos_token: str | AddedToken = "<s>",
        eos_token: str | AddedToken = "</s>",
        sep_token: str | AddedToken = "</s>",
        pad_token: str | AddedToken = "<pad>",
        unk_token: str | AddedToken = "<unk>",
        language_codes: str = "m2m100",
        num_madeup_words: int = 8,
        **kwargs: Any,
    ) -> None:
        if language_codes not in LANGUAGES:
            raise TokenizerError(
                f"language_codes={language_codes!r} must be one of {', '.join(LANGUAGES)}."
            )
        settings = arguments(locals())
        tokens = [f"__{code}__" for code in LANGUAGES[language_codes]]
        given = kwargs.pop("additional_special_tokens", None) or ()
        kwargs["additional_special_tokens"] = [
            *tokens,
            *(token for token in given if str(token) not in tokens),
        ]
        self.lang_code_to_token = dict(zip(LANGUAGES[language_codes], tokens, strict=True))
        super().__init__(**settings, **kwargs)
        self.spm_file = spm_file
        self.num_madeup_words = num_madeup_words
        self.lang_token_to_id = {token: self.convert_tokens_to_ids(token) for token in tokens}
        self.id_to_lang_token = {index: token for token, index in self.lang_token_to_id.items()}
        self.lang_code_to_id = {code: self.get_lang_id(code) for code in self.lang_code_to_token}

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """The pieces of ``sentencepiece.bpe.model`` in the order of ``vocab.json``."""
        vocab_file, spm_file = settings.get("vocab_file"), settings.get("spm_file")
        if vocab_file is None or spm_file is None:
            return None
        model, vocab = SentencePieceModel.from_file(spm_file), read_vocab_json(vocab_file)
        known = dict(model.scores)
        lowest = min(known.values(), default=0.0)  # for what the model never makes
        scores = [
            (token, known.get(token, lowest)) for token in sorted(vocab, key=vocab.__getitem__)
        ]
        tokenizer = sentencepiece.build(
            model, scores=scores, unk_id=vocab[str(settings["unk_token"])], cut=False
        )
        tokenizer.add_special_tokens(list(self.lang_code_to_token.values()))
        return tokenizer

    def frame(self, code: int) -> tuple[list[int], list[int]]:
        """The language before, ``</s>`` after a text."""
        return [code], [self.eos_token_id]

    def language_token(self, language: str | None) -> str:
        """The token of `language`; raises `ValueError` when there is none."""
        return super().language_token(self.lang_code_to_token.get(language or "", language))

    def get_lang_token(self, lang: str) -> str:
        """The token of the language `lang`."""
        return self.language_token(lang)

    def get_lang_id(self, lang: str) -> int:
        """The id of the token of the language `lang`."""
        return self.lang_token_to_id[self.get_lang_token(lang)]

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Copy the two files, where this tokenizer was made of them."""
        written = super().save_vocabulary(save_directory, filename_prefix)
        if not written or self.spm_file is None or not os.path.isfile(self.spm_file):
            return written
        name = self.vocab_files_names["spm_file"]
        target = os.path.join(
            save_directory, f"{filename_prefix}-{name}" if filename_prefix else name
        )
        if os.path.realpath(target) != os.path.realpath(self.spm_file):
            shutil.copyfile(self.spm_file, target)
        return (*written, target)
