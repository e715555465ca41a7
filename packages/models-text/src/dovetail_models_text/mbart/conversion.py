"""mBART as fairseq saves it."""

from __future__ import annotations

from dovetail_models_text.bart.conversion import LOGITS_BIAS, fairseq

FAIRSEQ = fairseq(
    "MBartForConditionalGeneration",
    ("encoder.layernorm_embedding.weight", "encoder.layer_norm.weight"),
    (),
    LOGITS_BIAS,
)
