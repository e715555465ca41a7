"""The words on a picture by Tesseract, which the extra ``dovetail-models-vision[ocr]`` brings."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from PIL import Image

from dovetail.errors import MissingPackageError

Box = list[int]
"""Left, top, right, bottom in thousandths of the page."""
PAGE = 1000


def read_words(
    picture: Image.Image, lang: str | None = None, config: str = ""
) -> tuple[list[str], list[Box]]:
    """The words that Tesseract finds, in reading order, and where; `lang` and `config` are its
    own.

    Raises:
        MissingPackageError: it is not installed.
    """
    if find_spec("pytesseract") is None:
        raise MissingPackageError(
            "Reading the words on a picture needs the pytesseract package, which is not installed: "
            'run `pip install "dovetail-models-vision[ocr]"`, or give the words and boxes as '
            "word_boxes=[...]."
        )
    tesseract = import_module("pytesseract")
    try:
        found = tesseract.image_to_data(picture, lang=lang, output_type="dict", config=config)
    except tesseract.TesseractNotFoundError as failure:
        raise MissingPackageError(
            "pytesseract is installed and the program `tesseract` that it calls is not: install it "
            "(for instance `apt install tesseract-ocr`), or give word_boxes=[...]."
        ) from failure
    columns = (found[name] for name in ("text", "left", "top", "width", "height"))
    words, boxes = [], []
    for text, left, top, width, height in zip(*columns, strict=True):
        if text.strip():
            words.append(text)
            boxes.append(on_page([left, top, left + width, top + height], picture.size))
    return words, boxes


def on_page(box: list[Any], size: tuple[int, int]) -> Box:
    """A box in pixels of a picture of `size` (width, height) in thousandths of the page."""
    return [int(PAGE * edge / side) for edge, side in zip(box, size * 2, strict=True)]
