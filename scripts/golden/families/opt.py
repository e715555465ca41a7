"""Golden cases of OPT."""

from __future__ import annotations

import decoder_cases
from cases import WIDTH, Family, decoder_calls

family = Family(
    package="models-text",
    model_type="opt",
    config_class="OPTConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "ffn_dim": 37,
        "num_attention_heads": 4,
        "max_position_embeddings": 40,
    },
)
decoder_cases.body(family, "OPTModel", positions=False)
family.case(
    "OPTModel",
    decoder_calls(width=24, positions=False)[:5],
    "narrow",
    word_embed_proj_dim=24,
    do_layer_norm_before=False,
    enable_bias=False,
    layer_norm_elementwise_affine=False,
)
decoder_cases.causal_lm(family, "OPTForCausalLM", pad_token_id=0)
decoder_cases.heads(family, "OPT", tokens=False)
