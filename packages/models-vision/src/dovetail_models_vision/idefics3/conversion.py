"""Idefics3's original checkpoints: as Idefics2's, with a projection in place of the resampler."""

from __future__ import annotations

from dovetail.converting import Indexed, Layout, Renames
from dovetail_models_vision.idefics2.conversion import (
    EMBEDDINGS,
    JOINED,
    MORE_WORDS,
    NAMES,
    OUTPUT,
    infer,
    restore,
)

ORIGINAL = Layout(
    architecture="Idefics3ForConditionalGeneration",
    storage=Indexed(settings_file="config.json", safe=True),
    steps=(*JOINED, Renames(NAMES)),
    fields={"vision_config": "vision_config"},
    optional={
        "use_cache": "use_cache",
        "tie_word_embeddings": "tie_word_embeddings",
        "scale_factor": "scale_factor",
        "pad_token_id": "pad_token_id",
    },
    infer=infer,
    restore=restore,
    marks=(MORE_WORDS, "model.modality_projection.proj.weight"),
    copies={EMBEDDINGS: (EMBEDDINGS, OUTPUT)},
    ignored=("model.layers.*.self_attn.rotary_emb.inv_freq", "model.vision_model.head.**"),
)
