"""Golden cases of StarCoder 2."""

from __future__ import annotations

from llama_cases import long_calls, relative

family = relative("starcoder2", "Starcoder2")
family.case("Starcoder2Model", long_calls(), "window", sliding_window=3, use_bias=False)
