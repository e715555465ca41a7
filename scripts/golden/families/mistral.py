"""Golden cases of Mistral."""

from __future__ import annotations

from cases import decoder_calls, generation_calls
from llama_cases import long_calls, relative

family = relative("mistral", "Mistral")
family.case("MistralModel", [*decoder_calls(), *long_calls()], "window", sliding_window=3)
family.case("MistralForCausalLM", generation_calls(), "window", sliding_window=4, head_dim=16)
