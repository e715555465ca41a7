"""How the families of this package are declared, and what several of them name."""

from __future__ import annotations

from typing import Any

from dovetail.declarations import ModelDeclaration
from dovetail.declarations import family as declared

PACKAGE = "dovetail_models_text"
CLASSIFIERS = ("ForQuestionAnswering", "ForSequenceClassification", "ForTokenClassification")
TEXT_CLASSIFIERS = CLASSIFIERS[1:]
GEMMA_TOKENIZER = f"{PACKAGE}.gemma.tokenization:GemmaTokenizer"
GPT2_TOKENIZER = f"{PACKAGE}.gpt2.tokenization:GPT2Tokenizer"
GPT_NEOX_TOKENIZER = f"{PACKAGE}.gpt_neox.tokenization:GPTNeoXTokenizerFast"
LLAMA_TOKENIZER = f"{PACKAGE}.llama.tokenization:LlamaTokenizer"
QWEN2_TOKENIZER = f"{PACKAGE}.qwen2.tokenization:Qwen2Tokenizer"


def family(
    model_type: str, prefix: str, heads: tuple[str, ...], **options: Any
) -> ModelDeclaration:
    """The declaration of the folder `model_type`, with underscores, of this package."""
    folder = model_type.replace("-", "_")
    return declared(model_type, f"{PACKAGE}.{folder}", prefix, heads, **options)


def picked(model: str, *purposes: str) -> dict[str, str]:
    """The auto classes, ``"AutoModel" + purpose`` each, that pick `model`.

    >>> picked("GPT2LMHeadModel", "ForCausalLM")
    {'AutoModelForCausalLM': 'GPT2LMHeadModel'}
    """
    return {f"AutoModel{purpose}": model for purpose in purposes}
