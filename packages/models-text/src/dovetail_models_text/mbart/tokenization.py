"""mBART's tokenizer: SentencePiece with fairseq's ids, and codes of languages after a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tokenizers import Tokenizer

from dovetail.tokenizers import AddedToken, BatchEncoding, PreTrainedTokenizerFast
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import sentencepiece
from dovetail.tokenizers.convert.sentencepiece import SentencePieceModel
from dovetail.tokenizers.fast import arguments

LANGUAGES = """
ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT
lv_LV my_MM ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN
"""
FURTHER_LANGUAGES = """
af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX
sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI
"""


class LanguageCodes(PreTrainedTokenizerFast):
    """A tokenizer that marks the language of what it reads.

    `src_lang` and `tgt_lang` may be set at any time; texts given as `text_target` are in the
    latter. A family says in `frame` which tokens stand around a text.
    """

    default_language: ClassVar[str | None] = None
    prefix_tokens: list[int]
    suffix_tokens: list[int]

    def __init__(self, *, src_lang: str | None, tgt_lang: str | None, **kwargs: Any) -> None:
        super().__init__(src_lang=src_lang, tgt_lang=tgt_lang, **kwargs)
        self._src_lang = src_lang or self.default_language
        self.tgt_lang = tgt_lang
        self.set_src_lang_special_tokens(self._src_lang)

    def frame(self, code: int) -> tuple[list[int], list[int]]:
        """The ids before and after a text in the language of `code`."""
        return [], [self.eos_token_id, code]

    def language_token(self, language: str | None) -> str:
        """The token of `language`; raises `ValueError` when there is none."""
        if language is None or language not in self.get_vocab():
            raise ValueError(
                f"{language!r} is no language of this tokenizer: set src_lang or tgt_lang to one "
                "of its codes."
            )
        return language

    @property
    def src_lang(self) -> str | None:
        """The language of texts."""
        return self._src_lang

    @src_lang.setter
    def src_lang(self, value: str) -> None:
        self.set_src_lang_special_tokens(value)
        self._src_lang = value

    def set_src_lang_special_tokens(self, src_lang: str | None) -> None:
        """Frame what follows as texts in `src_lang`."""
        self.cur_lang_code = self.convert_tokens_to_ids(self.language_token(src_lang))
        self.prefix_tokens, self.suffix_tokens = self.frame(self.cur_lang_code)
        before, after = (
            " ".join(f"{token}:0" for token in self.convert_ids_to_tokens(ids))
            for ids in (self.prefix_tokens, self.suffix_tokens)
        )
        single, pair = f"{before} $A:0 {after}".strip(), f"{before} $A:0 $B:0 {after}".strip()
        self._backend.change(lambda backend: set_template(backend, single, pair))

    def set_tgt_lang_special_tokens(self, lang: str | None) -> None:
        """Frame what follows as texts in `lang`."""
        self.set_src_lang_special_tokens(lang)

    def _switch_to_input_mode(self) -> None:
        self.set_src_lang_special_tokens(self.src_lang)

    def _switch_to_target_mode(self) -> None:
        self.set_tgt_lang_special_tokens(self.tgt_lang)

    def _build_translation_inputs(
        self, raw_inputs: Any, return_tensors: Any, src_lang: str, tgt_lang: str, **kwargs: Any
    ) -> BatchEncoding:
        """Inputs of ``generate`` that translate `raw_inputs`: the first token says into what."""
        self.src_lang = src_lang
        inputs = self(raw_inputs, add_special_tokens=True, return_tensors=return_tensors, **kwargs)
        inputs["forced_bos_token_id"] = self.convert_tokens_to_ids(self.language_token(tgt_lang))
        return inputs

    @property
    def can_save_slow_tokenizer(self) -> bool:  # type: ignore[override]
        """Whether the file that this one was made of is there to be copied."""
        return self.vocab_file_exists

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Copy the SentencePiece model, where this tokenizer was made of one."""
        return self._copy_vocab_file(save_directory, filename_prefix)


class MBartTokenizer(LanguageCodes):
    """SentencePiece tokenizer of mBART: ``A </s> en_XX``.

    Ids are fairseq's: four special tokens, the pieces, the languages, the mask.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "sentencepiece.bpe.model",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too
    default_language: ClassVar[str | None] = "en_XX"
    languages: ClassVar[list[str]] = LANGUAGES.split()

    def __init__(
        self,
        vocab_file: str | None = None,
        tokenizer_file: str | None = None,
        bos_token: str | AddedToken | None = "<s>",
        eos_token: str | AddedToken = "</s>",
        sep_token: str | AddedToken = "</s>",
        cls_token: str | AddedToken = "<s>",
        unk_token: str | AddedToken = "<unk>",
        pad_token: str | AddedToken = "<pad>",
        mask_token: str | AddedToken = "<mask>",
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        additional_special_tokens: Sequence[str | AddedToken] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(mask_token, str):
            mask_token = AddedToken(mask_token, lstrip=True, normalized=True, special=True)
        additional_special_tokens = [
            *self.languages,
            *(t for t in additional_special_tokens or () if str(t) not in self.languages),
        ]
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)
        self.lang_code_to_id = {code: self.convert_tokens_to_ids(code) for code in self.languages}

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """mBART's reading of a ``sentencepiece.bpe.model``."""
        vocab_file = settings.get("vocab_file")
        if vocab_file is None:
            return None
        model = SentencePieceModel.from_file(vocab_file)
        special = ["<s>", "<pad>", "</s>", "<unk>"]
        scores = [(token, 0.0) for token in special]
        scores += model.scores[3:]
        scores += [(token, 0.0) for token in (*self.languages, "<mask>")]
        return sentencepiece.build(model, scores=scores, unk_id=3)


class MBart50Tokenizer(MBartTokenizer):
    """mBART's tokenizer for twice the languages, whose codes stand before a text: ``en_XX A
    </s>`` (arXiv 2008.00401)."""

    languages: ClassVar[list[str]] = (LANGUAGES + FURTHER_LANGUAGES).split()

    def __init__(
        self,
        vocab_file: str | None = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        tokenizer_file: str | None = None,
        eos_token: str | AddedToken = "</s>",
        sep_token: str | AddedToken = "</s>",
        cls_token: str | AddedToken = "<s>",
        unk_token: str | AddedToken = "<unk>",
        pad_token: str | AddedToken = "<pad>",
        mask_token: str | AddedToken = "<mask>",
        bos_token: str | AddedToken | None = None,
        additional_special_tokens: Sequence[str | AddedToken] | None = None,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)

    def frame(self, code: int) -> tuple[list[int], list[int]]:
        """The ids before and after a text in the language of `code`."""
        return [code], [self.eos_token_id]
