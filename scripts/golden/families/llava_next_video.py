"""Golden cases of LLaVA-NeXT-Video."""

from __future__ import annotations

from cases import EVERYTHING, Family, call, ints, ones
from vision_language_cases import (
    IMAGE,
    TEXT_SIZES,
    VISION_SIZES,
    continued,
    labels_of,
    pictures,
    texts,
    writing_calls,
)

VIDEO = 3
family = Family(
    package="models-vision",
    model_type="llava_next_video",
    config_class="LlavaNextVideoConfig",
    sizes={
        "text_config": TEXT_SIZES,
        "vision_config": {**VISION_SIZES, "image_size": 16},
        "image_token_index": IMAGE,
        "video_token_index": VIDEO,
        "image_seq_length": 1,
        "video_seq_length": 1,
        "image_grid_pinpoints": [[16, 32], [32, 16]],
    },
)
FLAT, SMALL = [18, 40], [13, 17]
"""Heights and widths of pictures, which take 52 and 44 tokens; a frame takes four."""
SEEN = {FLAT[0]: [IMAGE] * 52, SMALL[0]: [IMAGE] * 44}


def seen(seed: str, *sizes: list[int]) -> dict[str, object]:
    """Tiles of pictures of these `sizes`."""
    return {"pixel_values": pictures(seed, len(sizes), 3, 3, 16, 16), "image_sizes": ints([*sizes])}


def watched(seed: str, videos: int, frames: int) -> dict[str, object]:
    """Frames of videos."""
    return {"pixel_values_videos": pictures(seed, videos, frames, 3, 16, 16)}


WATCHED = [VIDEO] * 8
mixed = {
    **texts([1, *WATCHED, 5, *SEEN[SMALL[0]], 9], [1, 7, *WATCHED, 8]),
    **seen("images", SMALL),
    **watched("videos", 2, 2),
}
film = {**texts([1, *WATCHED, *WATCHED, 7, 8]), **watched("film", 1, 4)}
still = {**texts([1, *SEEN[FLAT[0]], 7]), **seen("still", FLAT)}
pair = {**texts([1, *WATCHED, 7, 8], [1, 5, *WATCHED, 9]), **watched("pair", 2, 2)}
both = {
    **texts([1, *SEEN[SMALL[0]], 5, *WATCHED, 6, *WATCHED, 9]),
    **seen("both", SMALL),
    **watched("double", 2, 2),
}
labels = labels_of(mixed, (IMAGE, VIDEO))
steps = [
    {"input_ids": ints([[token]]), "attention_mask": ones(1, length)}
    for token, length in ((5, 20), (6, 21))
]
family.case(
    "LlavaNextVideoForConditionalGeneration",
    [
        call("loss", {**mixed, "labels": labels, **EVERYTHING}, gradients=True),
        call("film", {**film, "num_logits_to_keep": 2}),
        call("still", still),
        call("layer", {**film, "vision_feature_layer": -1}),
        continued(film, *steps),
        *writing_calls(film, pair),
        *writing_calls(both, both, beams=False, prefix="both-"),
    ],
)
for mode in ("max", "conv"):
    family.case(
        "LlavaNextVideoForConditionalGeneration",
        [call("loss", {**film, "labels": labels_of(film, (VIDEO,))}, gradients=True)],
        mode,
        spatial_pool_mode=mode,
    )
