"""Golden cases of mBART."""

from __future__ import annotations

import bart_cases
from cases import EVERYTHING, Family, call

family = Family(
    package="models-text",
    model_type="mbart",
    config_class="MBartConfig",
    sizes=bart_cases.SIZES,
)
bart_cases.body(family, "MBartModel")
family.case("MBartModel", [call("text-only", {**bart_cases.TEXT, **EVERYTHING})], "repeating")
bart_cases.conditional_generation(
    family, "MBartForConditionalGeneration", decoder_start_token_id=7, forced_eos_token_id=None
)
bart_cases.causal_lm(family, "MBartForCausalLM")
bart_cases.sequence_classification(family, "MBartForSequenceClassification")
bart_cases.question_answering(family, "MBartForQuestionAnswering")
