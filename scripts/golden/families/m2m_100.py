"""Golden cases of M2M-100."""

from __future__ import annotations

import bart_cases
from cases import EVERYTHING, Family, call, ints, padded, padding

family = Family(
    package="models-text",
    model_type="m2m_100",
    config_class="M2M100Config",
    sizes=bart_cases.SIZES,
)
texts = padded("unpadded", padding(7, 7, 4), 1)
texts |= {"decoder_input_ids": ints([[5, 6, 7, 8], [9, 10, 1, 1]])}
bart_cases.body(family, "M2M100Model")
family.case("M2M100Model", [call("padding", {**texts, **EVERYTHING})], "unpadded")
bart_cases.conditional_generation(family, "M2M100ForConditionalGeneration")
