"""M2M-100 as fairseq saves it."""

from __future__ import annotations

from dovetail_models_text.bart.conversion import fairseq

FAIRSEQ = fairseq(
    "M2M100ForConditionalGeneration",
    ("encoder.layer_norm.weight",),
    ("encoder.layernorm_embedding.weight", "encoder.embed_positions.weight"),
)
