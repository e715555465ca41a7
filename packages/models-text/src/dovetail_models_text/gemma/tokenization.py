"""Gemma's tokenizer: a SentencePiece BPE vocabulary that keeps every space as it is."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.convert import sentencepiece
from dovetail.tokenizers.convert.sentencepiece import SPACE, SentencePieceModel
from dovetail.tokenizers.fast import arguments
from dovetail_models_text.llama.tokenization import LlamaTokenizer

TAB = "<0x09>"


class GemmaTokenizer(LlamaTokenizer):
    """SentencePiece tokenizer of Gemma, without a space before the first word.

    The vocabulary begins with `pad_token`, `eos_token` and `bos_token`.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "tokenizer.model",
        "tokenizer_file": "tokenizer.json",
    }

    def __init__(
        self,
        vocab_file: str | None = None,
        tokenizer_file: str | None = None,
        clean_up_tokenization_spaces: bool = False,
        unk_token: str | AddedToken = "<unk>",
        bos_token: str | AddedToken = "<bos>",
        eos_token: str | AddedToken = "<eos>",
        pad_token: str | AddedToken = "<pad>",
        add_bos_token: bool = True,
        add_eos_token: bool = False,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        super().__init__(**settings, **{"legacy": False, **kwargs})

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """Gemma's reading of a ``tokenizer.model``: spaces kept, a tab a piece of its own."""
        vocab_file = settings.get("vocab_file")
        if vocab_file is None:
            return None
        model = SentencePieceModel.from_file(vocab_file)
        first = [(str(settings[f"{name}_token"]), 0.0) for name in ("pad", "eos", "bos")]
        rest = [("\t" if text == TAB else text, score) for text, score in model.scores[3:]]
        segmenter = sentencepiece.build_model(model, scores=first + rest, byte_fallback=True)
        tokenizer = Tokenizer(segmenter)
        tokenizer.normalizer = normalizers.Replace(" ", SPACE)
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        sentencepiece.add_in_order(tokenizer, [token for _, token in model.special_pieces])
        return tokenizer
