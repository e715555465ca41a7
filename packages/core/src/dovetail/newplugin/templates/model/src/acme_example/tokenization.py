"""The tokenizer of AcmeExample: whatever its ``tokenizer.json`` says."""

from __future__ import annotations

from typing import ClassVar

from dovetail.tokenizers import PreTrainedTokenizerFast


class AcmeExampleTokenizer(PreTrainedTokenizerFast):
    """A fast tokenizer that returns ids and mask."""

    model_input_names: ClassVar[list[str]] = ["input_ids", "attention_mask"]
