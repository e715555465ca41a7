"""Golden cases of Cohere's Command R."""

from __future__ import annotations

from cases import Family, causal_lm_calls, decoder_calls
from llama_cases import SIZES

family = Family(
    package="models-text", model_type="cohere", config_class="CohereConfig", sizes=SIZES
)
family.case("CohereModel", decoder_calls())
family.case("CohereForCausalLM", causal_lm_calls())
family.case("CohereModel", decoder_calls(), "normed", use_qk_norm=True, attention_bias=True)
family.case("CohereForCausalLM", causal_lm_calls()[:2], "normed", use_qk_norm=True)
