"""Golden cases of ViLT."""

from __future__ import annotations

from typing import Any

from cases import EVERYTHING, Family, call, floats, ints, ones, padded, padding, token_ids, values
from patch_cases import HEAD_MASK, IMAGES, SIZES, WIDE


def draw_in_order() -> None:
    """Let patches be drawn in their order: attention does not see how the reference shuffles them,
    but the list of its states does."""
    from unittest.mock import patch

    import torch
    from transformers.models.vilt.modeling_vilt import ViltEmbeddings

    def first(weights: Any, num_samples: int, replacement: bool = False) -> Any:
        return torch.arange(num_samples) % len(weights)

    ViltEmbeddings.visual_embed = patch("torch.multinomial", first)(ViltEmbeddings.visual_embed)


TEXT = {"vocab_size": 99, "max_position_embeddings": 16}
family = Family("models-vision", "vilt", "ViltConfig", {**SIZES, **TEXT}, prepare=draw_in_order)


def corner(rows: int, columns: int) -> list[list[int]]:
    """A mask of pixels: an image of so many in the upper left of 32 by 32."""
    return [[int(y < rows and x < columns) for x in range(32)] for y in range(32)]


TOKENS = {"input_ids": token_ids("texts", 2, 5)}
MASKED = {**IMAGES, **padded("texts", padding(5, 5, 3))}
MASKED["pixel_mask"] = ints([corner(16, 24), corner(32, 8)])
BOTH = {**TOKENS, **IMAGES}
EMBEDDED = {"image_embeds": floats("patches", 2, 6, SIZES["hidden_size"])}

body = [
    call("plain", {**BOTH, **EVERYTHING}),
    call("masked", {**MASKED, "token_type_ids": ints([[0, 0, 1, 1, 1]] * 2), **EVERYTHING}),
    call("wide", {"input_ids": token_ids("wide", 1, 4), **WIDE, **EVERYTHING}),
    call("head-mask", {**BOTH, "head_mask": HEAD_MASK}),
    call("embeds", {"inputs_embeds": floats("embeds", 2, 4, 32), **IMAGES}),
    call("image-embeds", {**TOKENS, **EMBEDDED, "pixel_mask": ints([[1] * 6, [1] * 4 + [0] * 2])}),
    call("text-like", {**BOTH, "image_token_type_idx": 0}),
]
family.case("ViltModel", body)
family.case("ViltModel", [call("plain", BOTH)], "biasless", qkv_bias=False, hidden_act="relu")


def head(model: str, labels: Any, variant: str = "", **config: Any) -> None:
    """A loss with gradients, and a call without labels."""
    calls = [call("plain", {**MASKED, **EVERYTHING})]
    if labels is not None:
        calls.append(call("loss", {**BOTH, "labels": labels}, gradients=True))
    family.case(model, calls, variant, **config)


words = ints([[7, -100, 9, -100, -100], [-100, 3, 4, 5, -100]])
head("ViltForMaskedLM", words)
head("ViltForMaskedLM", words, "tied", tie_word_embeddings=True)
head("ViltForQuestionAnswering", values([[0.0, 1.0, 0.3], [0.6, 0.0, 0.0]]), num_labels=3)
head("ViltForImageAndTextRetrieval", None)
tags = ints([[0, 2, 1, -100, 0], [1, 1, -100, 2, 2]])
head("ViltForTokenClassification", tags, num_labels=3)
PAIRS = {**TOKENS, "pixel_values": floats("pairs", 2, 2, 3, 32, 32)}
SOME = ints([[corner(32, 32), corner(8, 16)], [corner(24, 32), corner(32, 32)]])
family.case(
    "ViltForImagesAndTextClassification",
    [
        call("loss", {**PAIRS, "labels": ints([1, 0])}, gradients=True),
        call("masked", {**PAIRS, "pixel_mask": SOME, **EVERYTHING}),
        call("whole", {**PAIRS, "attention_mask": ones(2, 5)}),
    ],
    num_images=2,
    modality_type_vocab_size=3,
    num_labels=2,
)
