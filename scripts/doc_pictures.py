"""Draw the pictures of `docs/pipelines` as `dovetail run --save` draws a task's results.

usage: python scripts/doc_pictures.py [FOLDER]

No model runs: the results, each in the form that its task returns, were written down by hand for
`docs/pipelines/pictures/photograph.jpg`, whose licence stands beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from dovetail import registry
from dovetail_models_vision.pipelines.depth_estimation import shades

FOLDER = Path(__file__).parents[1] / "docs" / "pipelines" / "pictures"

Polygon = Sequence[tuple[int, int]]

PAGODA: Polygon = (
    (148, 22), (160, 22), (163, 47), (198, 72), (239, 92), (221, 106), (220, 121), (247, 132),
    (240, 142), (240, 172), (246, 182), (263, 192), (256, 202), (256, 230), (277, 247), (250, 272),
    (240, 319), (120, 300), (57, 256), (57, 212), (48, 202), (64, 185), (72, 172), (74, 141),
    (63, 131), (90, 120), (90, 104), (71, 96), (74, 81), (92, 76), (126, 66), (145, 47),
)  # fmt: skip
ROOFS: Sequence[Polygon] = (
    ((148, 42), (160, 42), (198, 72), (239, 92), (224, 101), (192, 90), (76, 101), (72, 84)),
    ((64, 126), (132, 118), (205, 119), (247, 132), (236, 139), (134, 135), (70, 140)),
    ((48, 202), (66, 186), (220, 186), (246, 181), (263, 192), (226, 204), (130, 211), (56, 208)),
)
LEFT_TREE: Polygon = ((0, 118), (20, 140), (54, 172), (46, 185), (20, 194), (0, 200))
RIGHT_TREE: Polygon = (
    (448, 103), (463, 106), (479, 120), (479, 319), (425, 319), (412, 200), (409, 172), (430, 150),
)  # fmt: skip
BUSHES: Sequence[Polygon] = (
    ((0, 219), (40, 244), (104, 248), (160, 282), (219, 296), (224, 319), (0, 319)),
    ((240, 280), (281, 242), (358, 219), (400, 206), (425, 218), (428, 319), (240, 319)),
)


def main() -> None:
    """Write a picture for each task."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    photograph = Image.open(FOLDER / "photograph.jpg").convert("RGB")
    for task, (inputs, result) in examples(photograph).items():
        runner = object.__new__(registry.pipelines().load(task))  # drawing needs no model
        runner.draw(inputs, result).save(folder / f"{task}.jpg", quality=70, optimize=True)


def examples(photograph: Image.Image) -> dict[str, tuple[Any, Any]]:
    """An input and its result for each task on pictures and videos."""
    return {
        **drawn_on(photograph),
        **written_below(photograph),
        "depth-estimation": (photograph, depth(photograph.size)),
        "image-feature-extraction": (photograph, features(photograph)),
        "image-to-image": (photograph, enlarged(photograph.crop((60, 10, 180, 90)))),
    }


def drawn_on(photograph: Image.Image) -> dict[str, tuple[Any, Any]]:
    """Boxes and masks."""
    things = [
        record("building", 0.98, around(PAGODA)),
        record("tree", 0.94, around(RIGHT_TREE)),
        record("tree", 0.81, around(LEFT_TREE)),
    ]
    sought = [record("a roof", 0.42, around(roof)) for roof in ROOFS]
    sought.append(record("a tree", 0.31, around(RIGHT_TREE)))
    masks = [inside(photograph.size, area) for area in (*ROOFS, LEFT_TREE, RIGHT_TREE, *BUSHES)]
    found = {
        "masks": [np.asarray(mask) > 0 for mask in masks],
        "scores": torch.linspace(1.0, 0.9, len(masks)),
    }
    return {
        "object-detection": (photograph, things),
        "zero-shot-object-detection": (photograph, sought),
        "image-segmentation": (photograph, segments(photograph.size)),
        "mask-generation": (photograph, found),
    }


def written_below(photograph: Image.Image) -> dict[str, tuple[Any, Any]]:
    """Labels, answers and texts."""
    labels = [{"label": "palace", "score": 0.83}, {"label": "lakeside", "score": 0.09}]
    sentences = [{"score": 0.91, "label": "a pagoda"}, {"score": 0.06, "label": "a lighthouse"}]
    films = [{"score": 0.64, "label": "sightseeing"}, {"score": 0.12, "label": "sailing"}]
    question = "How many boats are there?"
    prompt = "<image>\nDescribe the picture. Answer:"
    description = (
        "A pagoda with roofs of orange and green tiles stands above a lake. Small boats are on the "
        "water, trees in front and at both sides."
    )
    return {
        "image-classification": (photograph, labels),
        "zero-shot-image-classification": (photograph, sentences),
        "video-classification": (film(photograph), films),
        "image-to-text": (photograph, [{"generated_text": "a pagoda above a lake with boats"}]),
        "image-text-to-text": (
            {"images": photograph, "text": prompt},
            [{"input_text": prompt, "generated_text": description}],
        ),
        "visual-question-answering": (
            {"image": photograph, "question": question},
            [{"score": 0.57, "answer": "more than 10"}, {"score": 0.21, "answer": "10"}],
        ),
        "document-question-answering": (
            {"image": invoice(), "question": "What is the total?"},
            [{"score": 0.98, "answer": "1,250.00", "start": 13, "end": 13}],
        ),
    }


def record(label: str, score: float, box: Sequence[int]) -> dict[str, Any]:
    """A thing that was found."""
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    return {"score": score, "label": label, "box": dict(sides)}


def around(area: Polygon) -> tuple[int, int, int, int]:
    """The box of an area."""
    across, down = zip(*area, strict=True)
    return min(across), min(down), max(across), max(down)


def inside(size: tuple[int, int], *areas: Polygon) -> Image.Image:
    """A mask of mode L, 255 in the areas."""
    mask = Image.new("L", size)
    for area in areas:
        ImageDraw.Draw(mask).polygon(area, fill=255)
    return mask


def segments(size: tuple[int, int]) -> list[dict[str, Any]]:
    """Every pixel once: what comes later lies in front of what came before."""
    width, height = size
    sky = ((0, 0), (width, 0), (width, 164), (0, 164))
    lake = ((0, 165), (width, 165), (width, height), (0, height))
    layers = {
        "sky": (0.99, [sky]),
        "water": (0.97, [lake]),
        "building": (0.98, [PAGODA]),
        "tree": (0.95, [LEFT_TREE, RIGHT_TREE, *BUSHES]),
    }
    owner = np.zeros((height, width), dtype=np.uint8)
    for number, (_, areas) in enumerate(layers.values()):
        owner[np.asarray(inside(size, *areas)) > 0] = number
    return [
        {"score": score, "label": label, "mask": Image.fromarray((owner == number) * np.uint8(255))}
        for number, (label, (score, _)) in enumerate(layers.items())
    ]


def depth(size: tuple[int, int]) -> dict[str, Any]:
    """A smooth surface of inverse depth: the sky, the lake that comes nearer, what stands there."""
    width, height = size
    rows = torch.arange(height).float()[:, None].expand(height, width)
    near = ((rows - 164) / (height - 164)).clamp(0, 1) * 0.5
    for areas, distance in (([PAGODA], 0.7), ([LEFT_TREE, RIGHT_TREE], 0.8), (BUSHES, 1.0)):
        soft = inside(size, *areas).filter(ImageFilter.GaussianBlur(3))
        share = torch.from_numpy(np.asarray(soft) / np.float32(255))
        near = near * (1 - share) + distance * share
    return {"predicted_depth": near, "depth": Image.fromarray(shades(near).numpy())}


def features(photograph: Image.Image) -> list[Any]:
    """The pixels of patches, 32 on a side and seen as 4, as vectors (1, 150, 48)."""
    small = np.asarray(photograph.resize((60, 40), Image.Resampling.BOX)) / 255
    patches = small.reshape(10, 4, 15, 4, 3).swapaxes(1, 2)
    return patches.reshape(1, 150, 48).tolist()


def enlarged(picture: Image.Image) -> Image.Image:
    """The picture with sides four times as long."""
    size = (picture.width * 4, picture.height * 4)
    return picture.resize(size, Image.Resampling.BICUBIC)


def film(photograph: Image.Image) -> np.ndarray:
    """Frames (8, H, W, 3) of a look that moves over the photograph."""
    width, height = photograph.size
    return np.stack(
        [
            np.asarray(photograph.crop((step, 0, width - 70 + step, height)))
            for step in range(0, 80, 10)
        ]
    )


def invoice() -> Image.Image:
    """A page."""
    lines = (
        ("Invoice", "No. 2026-117"),
        ("Repair of a roof", "900.00"),
        ("140 green tiles", "350.00"),
        ("Total", "1,250.00"),
    )
    page = Image.new("RGB", (480, 240), "ivory")
    canvas, font = ImageDraw.Draw(page), ImageFont.load_default(20)
    for index, (left, right) in enumerate(lines):
        canvas.text((40, 30 + 48 * index), left, fill="black", font=font)
        canvas.text((440, 30 + 48 * index), right, fill="black", font=font, anchor="ra")
    canvas.line((40, 166, 440, 166), fill="black")
    return page


if __name__ == "__main__":
    main()
