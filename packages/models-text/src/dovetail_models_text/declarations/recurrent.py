"""Decoders that remember states of fixed size, alone or beside attention."""

from __future__ import annotations

from dovetail_models_text.declarations.family import (
    GEMMA_TOKENIZER,
    GPT_NEOX_TOKENIZER,
    LLAMA_TOKENIZER,
    family,
    picked,
)

RECURRENT = (
    family(
        "jamba",
        "Jamba",
        ("Model", "ForCausalLM", "ForSequenceClassification"),
        tokenizer=LLAMA_TOKENIZER,
    ),
    family(
        "mamba",
        "Mamba",
        ("Model", "ForCausalLM"),
        auto=picked("MambaForCausalLM", "ForPreTraining", "WithLMHead"),
        tokenizer=GPT_NEOX_TOKENIZER,
    ),
    family(
        "mamba2",
        "Mamba2",
        ("Model", "ForCausalLM"),
        auto=picked("Mamba2ForCausalLM", "ForPreTraining", "WithLMHead"),
        tokenizer=GPT_NEOX_TOKENIZER,
    ),
    family(
        "recurrent_gemma", "RecurrentGemma", ("Model", "ForCausalLM"), tokenizer=GEMMA_TOKENIZER
    ),
    family(
        "rwkv",
        "Rwkv",
        ("Model", "ForCausalLM"),
        auto=picked("RwkvForCausalLM", "ForPreTraining", "WithLMHead"),
        tokenizer=GPT_NEOX_TOKENIZER,
    ),
)
