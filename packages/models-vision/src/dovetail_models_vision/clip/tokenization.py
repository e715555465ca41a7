"""CLIP's tokenizer: byte pairs in lower case, with the end of a word marked (Radford et al.,
2021)."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast
from dovetail.tokenizers.convert import bpe
from dovetail.tokenizers.convert.files import read_vocab_json
from dovetail.tokenizers.fast import arguments

WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""A word of CLIP: a contraction's end, letters, one digit, or other marks."""
WORD_END = "</w>"


class CLIPTokenizer(PreTrainedTokenizerFast):
    """Byte-level BPE tokenizer of CLIP and its relatives: lower case, white space as one space, and
    a mark at the end of a word in place of a space before the next."""

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "vocab.json",
        "merges_file": "merges.txt",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too
    can_save_slow_tokenizer = True

    def __init__(
        self,
        vocab_file: str | None = None,
        merges_file: str | None = None,
        tokenizer_file: str | None = None,
        unk_token: str | AddedToken = "<|endoftext|>",
        bos_token: str | AddedToken = "<|startoftext|>",
        eos_token: str | AddedToken = "<|endoftext|>",
        pad_token: str | AddedToken = "<|endoftext|>",
        errors: str = "replace",
        **kwargs: Any,
    ) -> None:
        super().__init__(**arguments(locals()), **kwargs)

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """Byte-level BPE over ``vocab.json`` and ``merges.txt``."""
        vocab_file, merges_file = settings.get("vocab_file"), settings.get("merges_file")
        if vocab_file is None or merges_file is None:
            return None
        vocab, merges = read_vocab_json(vocab_file), bpe.read_merges(merges_file)
        bpe.check(vocab, merges, str(vocab_file))
        model = BPE(
            vocab,
            merges,
            continuing_subword_prefix="",
            end_of_word_suffix=WORD_END,
            fuse_unk=False,
            unk_token=str(settings["unk_token"]),
        )
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.Sequence(
            [
                normalizers.NFC(),
                normalizers.Replace(Regex(r"\s+"), " "),
                normalizers.Lowercase(),
            ]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(WORDS), "removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        first, last = str(settings["bos_token"]), str(settings["eos_token"])
        tokenizer.post_processor = processors.RobertaProcessing(
            (last, vocab[last]), (first, vocab[first]), trim_offsets=False, add_prefix_space=False
        )
        return tokenizer

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """The texts of several sequences of ids, with a space where a word ends."""
        texts = super().batch_decode(sequences, skip_special_tokens, False, **kwargs)
        texts = [text.replace(WORD_END, " ").strip() for text in texts]
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return (
            [self.clean_up_tokenization(t) for t in texts]
            if clean_up_tokenization_spaces
            else texts
        )

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write ``vocab.json`` and ``merges.txt``."""
        return tuple(self.backend_tokenizer.model.save(save_directory, filename_prefix))
