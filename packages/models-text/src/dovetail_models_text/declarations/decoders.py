"""Decoders with attention alone."""

from __future__ import annotations

from dovetail_models_text.declarations.family import (
    CLASSIFIERS,
    GEMMA_TOKENIZER,
    GPT2_TOKENIZER,
    GPT_NEOX_TOKENIZER,
    LLAMA_TOKENIZER,
    QWEN2_TOKENIZER,
    TEXT_CLASSIFIERS,
    family,
    picked,
)

DECODERS = (
    family(
        "bloom",
        "Bloom",
        ("Model", "ForCausalLM", *CLASSIFIERS),
        auto=picked("BloomForCausalLM", "ForPreTraining", "WithLMHead"),
        tokenizer="BloomTokenizerFast",
    ),
    family(
        "codegen",
        "CodeGen",
        ("Model", "ForCausalLM"),
        auto=picked("CodeGenForCausalLM", "WithLMHead"),
        tokenizer="CodeGenTokenizer",
    ),
    family("cohere", "Cohere", ("Model", "ForCausalLM"), tokenizer="CohereTokenizerFast"),
    family(
        "falcon",
        "Falcon",
        ("Model", "ForCausalLM", *CLASSIFIERS),
        tokenizer="dovetail.tokenizers:PreTrainedTokenizerFast",
    ),
    family(
        "gemma", "Gemma", ("Model", "ForCausalLM", *TEXT_CLASSIFIERS), tokenizer="GemmaTokenizer"
    ),
    family(
        "gemma2", "Gemma2", ("Model", "ForCausalLM", *TEXT_CLASSIFIERS), tokenizer=GEMMA_TOKENIZER
    ),
    family(
        "gpt2",
        "GPT2",
        ("Model", *CLASSIFIERS),
        auto=picked("GPT2LMHeadModel", "ForCausalLM", "ForPreTraining", "WithLMHead"),
        models=("PreTrainedModel", "DoubleHeadsModel"),
        tokenizer="GPT2Tokenizer",
    ),
    family(
        "gpt_bigcode",
        "GPTBigCode",
        ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
        auto=picked("GPTBigCodeForCausalLM", "ForPreTraining", "WithLMHead"),
        tokenizer=GPT2_TOKENIZER,
    ),
    family(
        "gpt_neo",
        "GPTNeo",
        ("Model", "ForCausalLM", *CLASSIFIERS),
        auto=picked("GPTNeoForCausalLM", "WithLMHead"),
        tokenizer=GPT2_TOKENIZER,
    ),
    family(
        "gpt_neox",
        "GPTNeoX",
        ("Model", "ForCausalLM", *CLASSIFIERS),
        auto=picked("GPTNeoXForCausalLM", "WithLMHead"),
        tokenizer="GPTNeoXTokenizerFast",
    ),
    family(
        "gptj",
        "GPTJ",
        ("Model", "ForCausalLM", *CLASSIFIERS[:2]),
        auto=picked("GPTJForCausalLM", "WithLMHead"),
        tokenizer=GPT2_TOKENIZER,
    ),
    family("llama", "Llama", ("Model", "ForCausalLM", *CLASSIFIERS), tokenizer="LlamaTokenizer"),
    family(
        "mistral", "Mistral", ("Model", "ForCausalLM", *TEXT_CLASSIFIERS), tokenizer=LLAMA_TOKENIZER
    ),
    family(
        "mixtral", "Mixtral", ("Model", "ForCausalLM", *TEXT_CLASSIFIERS), tokenizer=LLAMA_TOKENIZER
    ),
    family(
        "mpt",
        "Mpt",
        ("Model", "ForCausalLM", *CLASSIFIERS),
        auto=picked("MptForCausalLM", "ForPreTraining", "WithLMHead"),
        tokenizer=GPT_NEOX_TOKENIZER,
    ),
    family("opt", "OPT", ("Model", "ForCausalLM", *CLASSIFIERS[:2]), tokenizer=GPT2_TOKENIZER),
    family("phi3", "Phi3", ("Model", "ForCausalLM", *TEXT_CLASSIFIERS), tokenizer=LLAMA_TOKENIZER),
    family(
        "qwen2", "Qwen2", ("Model", "ForCausalLM", *TEXT_CLASSIFIERS), tokenizer="Qwen2Tokenizer"
    ),
    family(
        "qwen2_moe",
        "Qwen2Moe",
        ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
        tokenizer=QWEN2_TOKENIZER,
    ),
    family(
        "stablelm",
        "StableLm",
        ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
        tokenizer=GPT_NEOX_TOKENIZER,
    ),
    family(
        "starcoder2",
        "Starcoder2",
        ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
        tokenizer=GPT2_TOKENIZER,
    ),
)
