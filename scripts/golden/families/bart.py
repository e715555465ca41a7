"""Golden cases of BART."""

from __future__ import annotations

import bart_cases
from cases import EVERYTHING, Family, call

family = Family(
    package="models-text", model_type="bart", config_class="BartConfig", sizes=bart_cases.SIZES
)
bart_cases.body(family, "BartModel")
family.case("BartModel", [call("text-only", {**bart_cases.TEXT, **EVERYTHING})], "repeating")
bart_cases.conditional_generation(family, "BartForConditionalGeneration")
bart_cases.causal_lm(family, "BartForCausalLM")
bart_cases.sequence_classification(family, "BartForSequenceClassification")
bart_cases.question_answering(family, "BartForQuestionAnswering")
