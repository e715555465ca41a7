"""CodeGen passes the battery for decoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail import (
    CodeGenConfig,
    CodeGenForCausalLM,
    CodeGenModel,
    CodeGenTokenizer,
)
from dovetail.errors import ConfigError
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "rotary_dim": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestCodeGen(CausalLMConformance):
    config_class = CodeGenConfig
    model_classes = (
        CodeGenModel,
        CodeGenForCausalLM,
    )
    sizes = SIZES


def test_decoding_can_end_where_the_program_does():
    folder = Path(__file__).parents[1] / "golden" / "tokenizers"
    tokenizer = CodeGenTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    text = "def a():\n    pass\n# end\ndef b():\n    pass\n"
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, truncate_before_pattern=["^#"]) == "def a():\n    pass\n"
    assert tokenizer.decode(ids, truncate_before_pattern=["none"]) == text[: text.index("def b")]
    assert tokenizer.truncate("print(1)\nprint(2)\n", ["x"]) == "print(1)\n"


def test_heads_that_cannot_be_grouped_are_refused():
    with pytest.raises(ConfigError, match="multiple of 4"):
        CodeGenConfig(**SIZES | {"n_head": 2})
