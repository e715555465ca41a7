"""A tokenizer of single bytes and a few longer tokens, for texts of a given form."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from dovetail.tokenizers import PreTrainedTokenizerFast
from dovetail.tokenizers.convert.tiktoken import byte_alphabet

SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
MERGES = (
    ("t", "r"), ("u", "e"), ("tr", "ue"), ("{", '"'), ('"', ":"), ('"', "}"), ("n", "a"),
    ("m", "e"), ("na", "me"), ("Ġ", "t"), ("h", "e"), ("Ġt", "he"), (":", "/"), (":/", "/"),
)  # fmt: skip


def byte_level(merges: tuple[tuple[str, str], ...] = MERGES) -> PreTrainedTokenizerFast:
    """Three special tokens, 256 bytes, and a token for each of `merges`."""
    tokens = [*SPECIAL.values(), *byte_alphabet().values(), *map("".join, merges)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = Tokenizer(models.BPE(vocabulary, list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL)
