"""Golden cases of Qwen 2."""

from __future__ import annotations

from llama_cases import long_calls, relative

family = relative("qwen2", "Qwen2")
family.case(
    "Qwen2Model",
    long_calls(),
    "window",
    use_sliding_window=True,
    sliding_window=3,
    max_window_layers=0,
)
