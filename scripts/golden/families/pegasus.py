"""Golden cases of Pegasus."""

from __future__ import annotations

import bart_cases
from cases import Family

family = Family(
    package="models-text",
    model_type="pegasus",
    config_class="PegasusConfig",
    sizes=bart_cases.SIZES,
)
bart_cases.body(family, "PegasusModel")
bart_cases.conditional_generation(family, "PegasusForConditionalGeneration", pad=0)
bart_cases.causal_lm(family, "PegasusForCausalLM", pad=0)
