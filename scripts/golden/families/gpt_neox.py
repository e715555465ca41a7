"""Golden cases of GPT-NeoX."""

from __future__ import annotations

import decoder_cases
from cases import WIDTH, Family, decoder_calls

family = Family(
    package="models-text",
    model_type="gpt_neox",
    config_class="GPTNeoXConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 40,
        "rotary_pct": 0.5,
        "pad_token_id": 0,
        "bos_token_id": 1,
    },
)
decoder_cases.body(family, "GPTNeoXModel")
family.case(
    "GPTNeoXModel",
    decoder_calls()[:3],
    "serial",
    use_parallel_residual=False,
    attention_bias=False,
    rotary_pct=1.0,
    rotary_emb_base=1000,
    rope_scaling={"type": "linear", "factor": 2.0},
)
decoder_cases.causal_lm(family, "GPTNeoXForCausalLM")
decoder_cases.heads(family, "GPTNeoX")
