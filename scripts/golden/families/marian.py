"""Golden cases of Marian."""

from __future__ import annotations

import bart_cases
from cases import Family

family = Family(
    package="models-text",
    model_type="marian",
    config_class="MarianConfig",
    sizes=bart_cases.SIZES
    | {"pad_token_id": 1, "eos_token_id": 0, "forced_eos_token_id": 0, "decoder_start_token_id": 1},
)
bart_cases.body(family, "MarianModel")
bart_cases.conditional_generation(family, "MarianMTModel")
bart_cases.conditional_generation(
    family, "MarianMTModel", variant="unshared", share_encoder_decoder_embeddings=False
)
bart_cases.causal_lm(family, "MarianForCausalLM")
