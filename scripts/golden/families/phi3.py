"""Golden cases of Phi-3."""

from __future__ import annotations

from cases import EVERYTHING, call, token_ids
from llama_cases import long_calls, relative

family = relative("phi3", "Phi3")
family.case("Phi3Model", long_calls(), "window", sliding_window=3)
family.case(
    "Phi3Model",
    [
        call("short", {"input_ids": token_ids("short", 2, 6), "use_cache": True, **EVERYTHING}),
        *long_calls(),
    ],
    "longrope",
    rope_scaling={
        "type": "longrope",
        "short_factor": [1.0, 1.1, 1.2, 1.3],
        "long_factor": [1.5, 2.0, 3.0, 4.0],
    },
    original_max_position_embeddings=8,
    max_position_embeddings=32,
)
