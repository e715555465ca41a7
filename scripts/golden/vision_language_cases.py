"""Golden cases that vision-language models have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases import EVERYTHING, WIDTH, Call, Inputs, call, floats, ints, ones, padding, together

IMAGE = 4
"""The token in whose places images are; ordinary ones begin at 5."""
TEXT_SIZES: Inputs = {
    "model_type": "llama",
    "vocab_size": 99,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
VISION_SIZES: Inputs = {
    "model_type": "clip_vision_model",
    "hidden_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 8,
    "patch_size": 4,
    "projection_dim": 12,
}


def texts(*rows: list[int], left: bool = False) -> Inputs:
    """Token ids of unequal length with padding and its mask."""
    width = max(len(row) for row in rows)
    fill = [[0] * (width - len(row)) for row in rows]
    ids = [gap + row if left else row + gap for gap, row in zip(fill, rows, strict=True)]
    mask = padding(width, *(len(row) for row in rows), left=left)
    return {"input_ids": ints(ids), "attention_mask": mask}


def labels_of(inputs: Inputs, tokens: tuple[int, ...] = (IMAGE,)) -> Inputs:
    """The words of `inputs` as labels, pictures and padding left out."""
    rows = inputs["input_ids"]["ints"]
    return ints([[-100 if one in (0, *tokens) else one for one in row] for row in rows])


def writing_calls(one: Inputs, two: Inputs, beams: bool = True, prefix: str = "") -> list[Call]:
    """Generation from texts with pictures, alone (`one`) and padded on the left (`two`), also by
    `beams`, where no text has several pictures, which the reference mixes up."""
    common = {"do_sample": False, "pad_token_id": 0, "max_new_tokens": 6}
    scores = {"return_dict_in_generate": True, "output_scores": True}
    asked = {
        "greedy": {**one, **common},
        "greedy-batch": {**two, **common, **scores, "output_logits": True},
    }
    if beams:
        asked["beam-batch"] = {**two, **common, **scores, "num_beams": 3}
    return [call(prefix + name, steps, method="generate") for name, steps in asked.items()]


def uncached(calls: list[Call]) -> list[Call]:
    """Those of `calls` that need no cache, which the reference makes in ``generate`` alone."""
    return [
        replace(one, steps=[{**one.steps[0], "use_cache": False}])
        if one.method == "forward"
        else one
        for one in calls
        if len(one.steps) == 1
    ]


def continued(first: Inputs, *more: Inputs, **extra: Any) -> Call:
    """Steps on one cache: pictures first, then text."""
    past = {"past_key_values": {"output": "past_key_values"}, "use_cache": True}
    steps = [{**past, **step} for step in more]
    steps[-1] |= EVERYTHING | extra
    return call("continuation", {**first, "use_cache": True}, *steps)


def pictures(seed: str, *shape: int) -> Inputs:
    """Pixels."""
    return floats(seed, *shape)


def shown(*groups: list[tuple[int, int]]) -> Inputs:
    """Pictures of each text, of (height, width), with their masks."""
    pixels = [
        [floats(f"image-{row}-{place}", 3, *size) for place, size in enumerate(group)]
        for row, group in enumerate(groups)
    ]
    masks = [[ones(*size) for size in group] for group in groups]
    return {"pixel_values": together(pixels), "pixel_attention_mask": together(masks)}
