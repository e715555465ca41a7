"""The tokenizer of Fathom: one token per letter, listed in ``letters.txt``."""

from pathlib import Path
from typing import ClassVar

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from dovetail.tokenizers import PreTrainedTokenizerFast

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]


class FathomTokenizer(PreTrainedTokenizerFast):
    """Letters to ids; the first four ids are special tokens."""

    vocab_files_names: ClassVar[dict[str, str]] = {
        "tokenizer_file": "tokenizer.json",
        "vocab_file": "letters.txt",
    }
    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]

    def __init__(self, vocab_file=None, **kwargs):
        names = ("pad_token", "bos_token", "eos_token", "unk_token")
        super().__init__(vocab_file=vocab_file, **dict(zip(names, SPECIAL, strict=True)) | kwargs)

    def build_backend(self, settings):
        """A backend from the file with all letters in one line."""
        if not settings.get("vocab_file"):
            return None
        letters = Path(settings["vocab_file"]).read_text(encoding="utf-8").rstrip("\n")
        vocabulary = {token: number for number, token in enumerate([*SPECIAL, *letters])}
        backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
        backend.decoder = decoders.Fuse()
        return backend
