"""Tiny models on a cache of attention sinks, the same calls for both libraries.

`produce` runs them with the reference library (``bash scripts/golden.sh caches``),
`tests/models_text/test_sink_cache.py`, which loads this file by its path, with Dovetail. `library`
is the package with the classes, `seeded` the module of seeded values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 7,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {"num_key_value_heads": 2}),
    "stablelm": ("StableLmForCausalLM", {"num_key_value_heads": 2, "partial_rotary_factor": 0.5}),
    "gpt_neox": ("GPTNeoXForCausalLM", {"rotary_pct": 0.25}),
}
STEPS: dict[str, tuple[int, int, list[int], bool]] = {
    "one by one": (8, 2, [1] * 20, False),
    "prompt first": (8, 2, [5, *[1] * 14], False),
    "positions in the window": (8, 2, [5, *[1] * 14], True),
    "long prompt": (8, 3, [13, *[1] * 8], False),
    "parts": (10, 2, [4, 3, *[1] * 10], False),
}
"""Window, sinks, sizes of the steps, and whether positions stay within the window. The reference
lets several tokens that come at once to a full window see each other's future: no such case."""
GENERATED = (8, 2, 18)
"""Window, sinks and number of new tokens of a generated text."""


@torch.no_grad()
def build(library: Any, seeded: Any, name: str) -> Any:
    """The model called `name`, with the weights that belong to its parameters' names."""
    kind_name, sizes = MODELS[name]
    kind = getattr(library, kind_name)
    model = kind(kind.config_class(**SIZES, **sizes))
    for key, tensor in model.state_dict().items():
        tensor.copy_(torch.from_numpy(seeded.weight(key, tuple(tensor.shape))) * 1.5)
    return model.eval()


@torch.no_grad()
def logits(library: Any, seeded: Any, model: Any, case: str) -> list[list[float]]:
    """The first logits after each step."""
    window, sinks, sizes, within = STEPS[case]
    ids = torch.from_numpy(seeded.integers("sink text", (1, sum(sizes)), 8, 64))
    cache, start, rows = library.SinkCache(window, sinks), 0, []
    for part in ids.split(sizes, 1):
        count = part.shape[1]
        first = min(start, window - count) if within else start
        position = torch.arange(first, first + count)
        output = model(
            part,
            past_key_values=cache,
            use_cache=True,
            position_ids=position[None],
            cache_position=position,
        )
        rows.append(output.logits[0, -1, :6].tolist())
        start += count
    return rows


def text(library: Any, seeded: Any, model: Any) -> list[int]:
    """A greedy text beyond the window."""
    window, sinks, count = GENERATED
    ids = torch.from_numpy(seeded.integers("sink prompt", (1, 5), 8, 64))
    cache = library.SinkCache(window, sinks)
    options = {"max_new_tokens": count, "do_sample": False, "pad_token_id": 0}
    mask = torch.ones_like(ids)
    model.generation_config.eos_token_id = None
    return model.generate(ids, attention_mask=mask, past_key_values=cache, **options)[0].tolist()


def produce() -> None:
    """Write what the reference library does."""
    import transformers
    from generation import ROOT, seeded
    from record import dump, rounded

    transformers.logging.set_verbosity_error()
    found: dict[str, Any] = {"reference": f"transformers {transformers.__version__}"}
    for name in MODELS:
        model = build(transformers, seeded, name)
        steps = {case: logits(transformers, seeded, model, case) for case in STEPS}
        found[name] = {"steps": steps, "text": text(transformers, seeded, model)}
    path = Path(ROOT) / "tests/golden/generation/sinks.json"
    path.write_text(dump(rounded(found)) + "\n")
