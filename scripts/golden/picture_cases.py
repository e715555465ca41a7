"""What the golden cases of processors of pictures with texts see. It imports neither library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = Path(__file__).resolve().parents[2] / "tests" / "golden" / "tokenizers"


def frames(count: int, height: int, width: int) -> np.ndarray:
    """Frames (T, H, W, 3) in which all goes on slowly."""
    time, y, x, channel = np.ogrid[:count, :height, :width, :3]
    return ((y * 5 + x * 3 + channel * 60 + time * 20) % 256).astype(np.uint8)


VIDEOS = {
    "clip": lambda: frames(4, 40, 60),
    "frames": lambda: list(frames(2, 62, 33)),
}
QWEN = "<|vision_start|><|{0}_pad|><|vision_end|>".format
CROPPED = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}
TILES = {
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32},
    "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64], [96, 32]],
}
LLAVA = {"patch_size": 8, "vision_feature_select_strategy": "default"}
PROCESSORS: dict[str, dict[str, Any]] = {
    "Idefics2Processor": {
        "tokenizer": "Qwen2TokenizerFast",
        "image_processor": "Idefics2ImageProcessor",
        "settings": {
            "size": {"shortest_edge": 20, "longest_edge": 50},
            "do_image_splitting": True,
        },
        "special": [],
        "calls": [
            {"text": "Hello <image> world", "images": ["wide"]},
            {"text": "<image><image>world", "images": ["wide", "tall"]},
            {
                "text": ["one<image>", "<image><image>\ntwo <image>"],
                "images": [["large"], ["tall", "large", "wide"]],
                "options": {"image_seq_len": 3},
            },
            {"text": ["<image>some", "none"], "images": [["wide"], []]},
        ],
    },
    "Idefics3Processor": {
        "tokenizer": "Qwen2TokenizerFast",
        "image_processor": "Idefics3ImageProcessor",
        "settings": {
            "size": {"longest_edge": 50},
            "max_image_size": {"longest_edge": 20},
        },
        "special": [],
        "calls": [
            {"text": "Hello <image> world", "images": ["wide"]},
            {"text": "<image><image>world", "images": ["wide", "tall"]},
            {
                "text": ["one<image>", "<image><image>\ntwo <image>"],
                "images": [["large"], ["tall", "large", "wide"]],
                "options": {"image_seq_len": 3},
            },
            {"text": ["<image>some", "none"], "images": [["wide"], []]},
        ],
    },
    "LlavaNextProcessor": {
        "tokenizer": "Qwen2TokenizerFast",
        "image_processor": "LlavaNextImageProcessor",
        "settings": TILES,
        "special": ["<image>"],
        "own": LLAVA,
        "calls": [
            {"text": "Hello <image> world", "images": ["wide"]},
            {"text": ["one", "<image>two<image>"], "images": ["tall", "large"]},
            {"text": ["<image>"], "images": ["array"]},
        ],
    },
    "LlavaNextVideoProcessor": {
        "tokenizer": "Qwen2TokenizerFast",
        "image_processor": "LlavaNextImageProcessor",
        "settings": TILES,
        "video_processor": ("LlavaNextVideoImageProcessor", CROPPED),
        "special": ["<image>", "<video>"],
        "own": LLAVA,
        "calls": [
            {"text": "Hello <image> world", "images": ["wide"]},
            {"text": "Hello <video> world", "videos": ["clip"]},
            {
                "text": ["one<video>two<image>three<image>", "<video>"],
                "images": ["tall", "large"],
                "videos": ["frames", "frames"],
            },
        ],
    },
    "LlavaProcessor": {
        "tokenizer": "Qwen2TokenizerFast",
        "image_processor": "CLIPImageProcessor",
        "settings": CROPPED,
        "special": ["<image>"],
        "own": {**LLAVA, "vision_feature_select_strategy": "full"},
        "calls": [
            {"text": "Hello <image> world", "images": ["wide"]},
            {"text": ["one", "<image>two<image>"], "images": ["tall", "large"]},
            {"text": ["<image>"], "images": ["array"], "options": {"do_normalize": False}},
        ],
    },
    "MllamaProcessor": {
        "tokenizer": "GPT2TokenizerFast",
        "image_processor": "MllamaImageProcessor",
        "settings": {"size": {"height": 30, "width": 30}},
        "special": ["<|image|>"],
        "tokens": {"pad_token": "<pad>"},
        "calls": [
            {"text": "<|image|>Hello world", "images": ["wide"]},
            {"text": "<|image|><|image|>a <|image|> b", "images": ["tall", "large", "array"]},
            {
                "text": ["<|endoftext|> one <|image|>", "<|image|> two<|image|> three"],
                "images": [["tall"], ["large", "fractions"]],
            },
            {"text": ["no", "pictures"]},
        ],
    },
    "PixtralProcessor": {
        "tokenizer": "Qwen2TokenizerFast",
        "image_processor": "PixtralImageProcessor",
        "settings": {"size": {"longest_edge": 64}},
        "special": ["[IMG]", "[IMG_BREAK]", "[IMG_END]"],
        "calls": [
            {"text": "Hello [IMG] world", "images": ["wide"]},
            {"text": "[IMG][IMG]world", "images": ["wide", "tall"]},
            {
                "text": ["one[IMG]", "[IMG][IMG]\ntwo [IMG]"],
                "images": [["large"], ["tall", "large", "wide"]],
                "options": {"do_normalize": False},
            },
        ],
    },
    "Qwen2VLProcessor": {
        "tokenizer": "Qwen2TokenizerFast",
        "image_processor": "Qwen2VLImageProcessor",
        "settings": {"min_pixels": 784, "max_pixels": 6272},
        "special": [
            "<|vision_start|>",
            "<|vision_end|>",
            "<|image_pad|>",
            "<|video_pad|>",
        ],
        "calls": [
            {"text": f"Hello {QWEN('image')} world", "images": ["wide"]},
            {"text": ["one", f"{QWEN('image')}two{QWEN('image')}"], "images": ["tall", "large"]},
            {"text": f"{QWEN('video')} and {QWEN('video')}", "videos": ["clip", "frames"]},
            {
                "text": [f"{QWEN('image')} {QWEN('video')}", f"{QWEN('image')}"],
                "images": ["wide", "array"],
                "videos": ["clip"],
                "options": {"do_normalize": False},
            },
        ],
    },
}
"""By class: its parts, and calls with the names of pictures."""


def _named(names: Any, pictures: Mapping[str, Callable[[], Any]]) -> Any:
    return pictures[names]() if isinstance(names, str) else [_named(one, pictures) for one in names]


def call(processor: Any, case: dict[str, Any], pictures: Mapping[str, Callable[[], Any]]) -> Any:
    """What a processor makes of the texts of a call with those of `pictures` that it names."""
    images = _named(case.get("images", []), pictures) or None
    videos = [VIDEOS[name]() for name in case.get("videos", ())] or None
    options = {"return_tensors": "np", "padding": True, **case.get("options", {})}
    given = {"text": case["text"], "images": images, "videos": videos}
    return processor(**{name: one for name, one in given.items() if one is not None}, **options)


def build(library: Any, name: str, **settings: Any) -> Any:
    """The processor `name` of a library, its pictures with further `settings`."""
    described = PROCESSORS[name]
    parts = {"image_processor": (described["image_processor"], described["settings"])}
    if "video_processor" in described:
        parts["video_processor"] = described["video_processor"]
    made = {key: getattr(library, of)(**{**own, **settings}) for key, (of, own) in parts.items()}
    texts = tokenizer(
        getattr(library, described["tokenizer"]),
        described["special"],
        **described.get("tokens", {}),
    )
    return getattr(library, name)(**made, tokenizer=texts, **described.get("own", {}))


def brief(features: Mapping[str, Any], record: Callable[[Any], Any]) -> dict[str, Any]:
    """What a processor made: whole numbers as they are, pictures and masks by `record`."""
    made = {}
    for name, value in sorted(features.items()):
        numbers = isinstance(value, np.ndarray) and value.dtype.kind == "i" and value.ndim < 3
        made[name] = value.tolist() if numbers else record(value)
    return made


def tokenizer(made: Any, special: list[str], **settings: Any) -> Any:
    """A tokenizer of the class `made` over the vocabulary of the tests."""
    files = [str(VOCABULARY / name) for name in ("vocab.json", "merges.txt")]
    return made(*files, padding_side="left", additional_special_tokens=special, **settings)
