"""T5's tokenizer: a SentencePiece unigram vocabulary and sentinels for masked spans (Raffel et al.,
2019)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from tokenizers import Tokenizer, decoders, pre_tokenizers

from dovetail.errors import TokenizerError
from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import sentencepiece
from dovetail.tokenizers.convert.sentencepiece import SPACE, SentencePieceModel
from dovetail.tokenizers.fast import arguments

SENTINEL = re.compile(r"<extra_id_\d+>")


class T5Tokenizer(PreTrainedTokenizerFast):
    """SentencePiece tokenizer of T5 and its relatives.

    `extra_ids` sentinels ``<extra_id_0>``, ``<extra_id_1>``, ... follow the vocabulary, the last
    first, so that ``<extra_id_0>`` has the highest id. With `legacy` (the default) every piece of
    text after a special token gets a space before it; without, only the first does.
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
        eos_token: str | AddedToken = "</s>",
        unk_token: str | AddedToken = "<unk>",
        pad_token: str | AddedToken = "<pad>",
        extra_ids: int = 100,
        additional_special_tokens: Sequence[str | AddedToken] | None = None,
        add_prefix_space: bool | None = None,
        legacy: bool | None = None,
        **kwargs: Any,
    ) -> None:
        additional_special_tokens = _with_sentinels(extra_ids, additional_special_tokens)
        settings = arguments(locals())
        if add_prefix_space is not None and vocab_file is not None:
            kwargs["from_slow"] = True
        super().__init__(**settings, **kwargs)
        self._extra_ids = extra_ids
        self.legacy = legacy is not False

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """T5's reading of a ``spiece.model``, sentinels after its pieces, ``</s>`` at the end."""
        vocab_file = settings.get("vocab_file")
        if vocab_file is None:
            return None
        model = SentencePieceModel.from_file(vocab_file)
        sentinels = [f"<extra_id_{index}>" for index in reversed(range(settings["extra_ids"]))]
        scores = model.scores + [(sentinel, 0.0) for sentinel in sentinels]
        tokenizer = sentencepiece.build(model, scores=scores)
        scheme = "always" if settings["legacy"] is not False else "first"
        if settings["add_prefix_space"] is False:
            scheme = "never"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, scheme)
        tokenizer.decoder = decoders.Metaspace(SPACE, scheme)
        last = str(settings["eos_token"])
        set_template(tokenizer, f"$A:0 {last}:0", f"$A:0 {last}:0 $B:0 {last}:0")
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

    def get_sentinel_tokens(self) -> list[str]:
        """The sentinels that stand for masked spans."""
        return [token for token in self.additional_special_tokens if SENTINEL.search(token)]

    def get_sentinel_token_ids(self) -> list[int]:
        """The ids of the sentinels."""
        return self.convert_tokens_to_ids(self.get_sentinel_tokens())


def _with_sentinels(
    count: int, additional: Sequence[str | AddedToken] | None
) -> list[str | AddedToken]:
    tokens = list(additional or [])
    present = sum("<extra_id_" in str(token) for token in tokens)
    if present == 0:
        return tokens + [f"<extra_id_{index}>" for index in range(count)]
    if count not in (0, present):
        raise TokenizerError(
            f"extra_ids={count} and additional_special_tokens, which holds {present} sentinels, "
            "contradict each other: list all sentinels or none."
        )
    return tokens
