"""The conformance kit on AcmeExample, and the way from Dovetail's auto classes to it."""

from __future__ import annotations

import torch
from acme_example.configuration import AcmeExampleConfig
from acme_example.modeling import (
    AcmeExampleForCausalLM,
    AcmeExampleForSequenceClassification,
    AcmeExampleModel,
)
from acme_example.tokenization import AcmeExampleTokenizer
from tokenizers import Tokenizer, models, pre_tokenizers

from dovetail import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from dovetail.testing.conformance import CausalLMConformance

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


class TestAcmeExample(CausalLMConformance):
    """Shapes, saving, caches, gradients, generation and more, for each class."""

    config_class = AcmeExampleConfig
    model_classes = (
        AcmeExampleModel,
        AcmeExampleForCausalLM,
        AcmeExampleForSequenceClassification,
    )
    sizes = SIZES


def small_tokenizer() -> AcmeExampleTokenizer:
    """A tokenizer of nine words."""
    words = ["[PAD]", "<s>", "</s>", "[UNK]", "the", "quick", "brown", "fox", "over"]
    backend = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return AcmeExampleTokenizer(
        tokenizer_object=backend,
        pad_token="[PAD]",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="[UNK]",
    )


def test_a_saved_model_is_loaded_by_the_auto_classes(tmp_path):
    """A folder with config, weights and tokenizer is all that Dovetail needs."""
    config = AutoConfig.for_model("acme_example", **SIZES)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(tmp_path)
    small_tokenizer().save_pretrained(tmp_path)

    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert type(loaded) is AcmeExampleForCausalLM
    assert type(tokenizer) is AcmeExampleTokenizer

    inputs = tokenizer(["the quick fox", "over"], padding=True, return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(loaded(**inputs).logits, model(**inputs).logits)
    assert tokenizer.decode(inputs["input_ids"][0]) == "the quick fox"
