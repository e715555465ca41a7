"""Golden cases of StableLM."""

from __future__ import annotations

from cases import causal_lm_calls, decoder_calls
from llama_cases import relative

family = relative("stablelm", "StableLm", use_qkv_bias=True)
family.case(
    "StableLmModel",
    decoder_calls(),
    "parallel",
    use_parallel_residual=True,
    qk_layernorm=True,
    partial_rotary_factor=0.5,
    use_qkv_bias=False,
)
family.case(
    "StableLmForCausalLM",
    causal_lm_calls()[:2],
    "parallel",
    use_parallel_residual=True,
    qk_layernorm=True,
)
