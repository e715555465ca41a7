"""Idefics2's original checkpoints: a language model's files with the vision part beside the
decoder, a flat config, and rows for further tokens in tensors of their own."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from dovetail.converting import Indexed, Layout, Renames, Shapes
from dovetail.mapping import Concatenate, Step
from dovetail_models_vision.llava.conversion import TEXT_KEYS

EMBEDDINGS = "model.text_model.embed_tokens.weight"
OUTPUT = "lm_head.weight"
WORDS, MORE_WORDS = "model.embed_tokens.weight", "model.embed_tokens.additional_embedding.weight"
NAMES = {
    EMBEDDINGS: EMBEDDINGS,
    OUTPUT: OUTPUT,
    "model.layers.**": "model.text_model.layers.**",
    "model.norm.weight": "model.text_model.norm.weight",
    "model.modality_projection.**": "model.connector.modality_projection.**",
    "model.vision_model.**": "model.vision_model.**",
}
RESAMPLER = {"model.perceiver_resampler.**": "model.connector.perceiver_resampler.**"}
TEXT = (*TEXT_KEYS, "initializer_range", "attention_dropout")
"""Settings of the language model, called the same in both configs."""


PARTS = ("vision_config", "perceiver_config")


def rows(config: Any) -> tuple[int, int]:
    """How many tokens are words, and how many came later: of those the image token is the
    second."""
    total, words = config.text_config.vocab_size, config.image_token_id - 1
    words = words if 0 < words < total else total - 1
    return words, total - words


JOINED: tuple[Step, ...] = (
    Concatenate((WORDS, MORE_WORDS), EMBEDDINGS, sizes=rows),
    Concatenate((OUTPUT, "additional_fc.weight"), OUTPUT, sizes=rows),
)


def infer(settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]) -> dict[str, Any]:
    """The nested config of a flat one."""
    vocabulary = shapes[WORDS][0] + shapes[MORE_WORDS][0]
    text = {name: settings[name] for name in TEXT if name in settings}
    vision = dict(values["vision_config"])
    vision.pop("vision_model_name", None)
    if "embed_dim" in vision:
        vision["hidden_size"] = vision.pop("embed_dim")
    return {
        "text_config": {**text, "vocab_size": vocabulary},
        "vision_config": vision,
        "image_token_id": settings.get("image_token_id", vocabulary - 2),
    }


def restore(config: Any) -> dict[str, Any]:
    """The flat config of a nested one."""
    words, more = rows(config)
    parts = {name: part for name, part in vars(config).items() if name in PARTS}
    text = declared(config.text_config)
    return {
        **{name: text[name] for name in TEXT if name in text},
        **{name: declared(part) for name, part in parts.items()},
        **{name: getattr(config, name) for name in ("image_token_id", "tie_word_embeddings")},
        "vocab_size": words,
        "additional_vocab_size": more,
    }


def declared(config: Any) -> dict[str, Any]:
    """The fields that a config's class declares."""
    names = signature(type(config)).parameters
    return {name: getattr(config, name) for name in names if name != "kwargs"}


ORIGINAL = Layout(
    architecture="Idefics2ForConditionalGeneration",
    storage=Indexed(settings_file="config.json", safe=True),
    steps=(*JOINED, Renames(NAMES | RESAMPLER)),
    fields={"vision_config": "vision_config", "perceiver_config": "perceiver_config"},
    optional={"use_cache": "use_cache", "tie_word_embeddings": "tie_word_embeddings"},
    infer=infer,
    restore=restore,
    marks=(MORE_WORDS, "model.perceiver_resampler.latents"),
    copies={EMBEDDINGS: (EMBEDDINGS, OUTPUT)},
    ignored=("model.layers.*.self_attn.rotary_emb.inv_freq",),
    files={"tokenizer.model": "tokenizer.model"},
)
