"""Golden cases of Gemma."""

from __future__ import annotations

from cases import decoder_calls
from llama_cases import relative

family = relative("gemma", "Gemma", head_dim=16)
family.case(
    "GemmaModel",
    decoder_calls()[:2],
    "biases",
    attention_bias=True,
    hidden_activation="relu",
    num_key_value_heads=1,
)
