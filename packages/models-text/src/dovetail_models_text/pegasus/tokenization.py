"""Pegasus's tokenizer: SentencePiece pieces behind masks and unused tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tokenizers import Tokenizer, pre_tokenizers

from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import sentencepiece
from dovetail.tokenizers.convert.sentencepiece import SPACE, SentencePieceModel
from dovetail.tokenizers.fast import arguments


class PegasusTokenizer(PreTrainedTokenizerFast):
    """SentencePiece tokenizer of Pegasus: ``A </s>``.

    Ids below `offset` are special: ``<pad>``, ``</s>``, the masks of sentences
    (`mask_token_sent`) and words, and ``<unk_2>``, ``<unk_3>``, ... which no training has used.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "spiece.model",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too

    def __init__(
        self,
        vocab_file: str | None = None,
        tokenizer_file: str | None = None,
        pad_token: str | AddedToken = "<pad>",
        eos_token: str | AddedToken = "</s>",
        unk_token: str | AddedToken = "<unk>",
        mask_token: str | AddedToken = "<mask_2>",
        mask_token_sent: str | None = "<mask_1>",
        additional_special_tokens: Sequence[str | AddedToken] | None = None,
        offset: int = 103,
        **kwargs: Any,
    ) -> None:
        unused = [f"<unk_{index}>" for index in range(2, offset)]
        given = list(additional_special_tokens or ())
        first = [mask_token_sent] if mask_token_sent is not None else []
        given = [token for token in given if str(token) not in (*first, *unused)]
        additional_special_tokens = [*first, *given, *unused[len(given) :]]
        settings = arguments(locals())
        for name in ("unused", "given", "first"):
            settings.pop(name)
        super().__init__(**settings, **kwargs)
        self.offset, self.mask_token_sent = offset, mask_token_sent

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """Pegasus's reading of a ``spiece.model``, ``</s>`` at the end."""
        vocab_file = settings.get("vocab_file")
        if vocab_file is None:
            return None
        model, offset = SentencePieceModel.from_file(vocab_file), settings["offset"]
        names = ("pad_token", "eos_token", "mask_token_sent", "mask_token")
        scores = [(str(settings[name]), 0.0) for name in names if settings[name] is not None]
        scores += [(f"<unk_{index}>", -100.0) for index in range(2, offset)]
        scores += model.scores[2:]
        tokenizer = sentencepiece.build(model, scores=scores, unk_id=model.unk_id + offset)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(SPACE, "always")]
        )
        last = str(settings["eos_token"])
        set_template(tokenizer, f"$A:0 {last}:0", f"$A:0 $B:0 {last}:0")
        return tokenizer

    @property
    def can_save_slow_tokenizer(self) -> bool:  # type: ignore[override]
        """Whether the ``spiece.model`` that this one was made of is there to be copied."""
        return self.vocab_file_exists

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Copy ``spiece.model``, where this tokenizer was made of one."""
        return self._copy_vocab_file(save_directory, filename_prefix)
