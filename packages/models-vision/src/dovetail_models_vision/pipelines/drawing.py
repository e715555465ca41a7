"""Results drawn on pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

TURN = 0.618033988749895
"""The golden ratio: hues that follow each other at this step stay apart, however many there are."""

SHARE = 0.5
"""How much of a segment's colour covers the picture."""

WIDTH = 480
"""The pixels across a text that no picture goes with."""


def colours(names: Iterable[str]) -> dict[str, Colour]:
    """A colour for every name."""
    return {name: _colour(index) for index, name in enumerate(dict.fromkeys(names))}


def label_lines(result: Iterable[Mapping[str, Any]]) -> list[str]:
    """The text of ``{"label", "score"}`` records."""
    return [_text(record) for record in result]


def with_boxes(picture: Image.Image, result: Sequence[Mapping[str, Any]]) -> Image.Image:
    """The picture with a box and its label for each ``{"score", "label", "box"}``."""
    drawn = picture.copy()
    canvas, font = ImageDraw.Draw(drawn), _font(picture)
    colour = colours(record["label"] for record in result)
    for record in result:
        box, shade = record["box"], colour[record["label"]]
        corner = (box["xmin"], box["ymin"])
        opposite = (max(box["xmax"], corner[0]), max(box["ymax"], corner[1]))
        canvas.rectangle((corner, opposite), outline=shade, width=_width(picture))
        _tag(canvas, corner, _text(record), shade, font)
    return drawn


def with_segments(picture: Image.Image, result: Sequence[Mapping[str, Any]]) -> Image.Image:
    """The picture with a coloured area and its label for each ``{"score", "label", "mask"}``."""
    drawn, tags = picture.copy(), []
    for index, record in enumerate(result):
        shade, mask = _colour(index), record["mask"]
        drawn.paste(shade, mask=mask.point(lambda value: int(value * SHARE)))
        bounds = mask.getbbox()
        if bounds is not None:
            tags.append((bounds[:2], _text(record), shade))
    canvas, font = ImageDraw.Draw(drawn), _font(picture)
    for corner, text, shade in tags:
        _tag(canvas, corner, text, shade, font)
    return drawn


def with_lines(picture: Image.Image, lines: Sequence[str]) -> Image.Image:
    """The picture with lines of text below it, broken between words where they are too long."""
    font = _font(picture)
    step = int(font.size * 1.4)
    room = picture.width - step // 2
    rows = [row for line in lines for row in _broken(line, font, room)]
    drawn = _with_space_below(picture, step * len(rows))
    canvas = ImageDraw.Draw(drawn)
    for index, row in enumerate(rows):
        canvas.text((step // 4, picture.height + step * index), row, fill="black", font=font)
    return drawn


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """All in one row, upper edges together; of none an empty row of `WIDTH`."""
    width = sum(picture.width for picture in pictures) or WIDTH
    height = max((picture.height for picture in pictures), default=0)
    row, left = Image.new("RGB", (width, height), "white"), 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width
    return row


def with_shades(picture: Image.Image, shades: Image.Image) -> Image.Image:
    """The picture with a grey one below it, stretched to its width and to half its height."""
    size = (picture.width, max(1, picture.height // 2))
    drawn = _with_space_below(picture, size[1])
    drawn.paste(shades.resize(size, Image.Resampling.BOX), (0, picture.height))
    return drawn


def _with_space_below(picture: Image.Image, height: int) -> Image.Image:
    drawn = Image.new("RGB", (picture.width, picture.height + height), "white")
    drawn.paste(picture, (0, 0))
    return drawn


def _broken(text: str, font: ImageFont.FreeTypeFont, room: int) -> Iterator[str]:
    """The lines of `text`, each in rows of words that take up `room` pixels at most."""
    for line in text.splitlines() or [""]:
        row = ""
        for word in line.split():
            longer = f"{row} {word}".lstrip()
            if row and font.getlength(longer) > room:
                yield row
                row = word
            else:
                row = longer
        yield row


def _text(record: Mapping[str, Any]) -> str:
    score = record.get("score")
    return record["label"] if score is None else f"{record['label']} {score:.2f}"


def _colour(index: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(index * TURN % 1, 0.8, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _width(picture: Image.Image) -> int:
    return max(1, round(min(picture.size) / 200))


def _font(picture: Image.Image) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(10, min(picture.size) / 30))  # type: ignore[return-value]


def _tag(
    canvas: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    text: str,
    shade: Colour,
    font: ImageFont.FreeTypeFont,
) -> None:
    """`text` on a ground of colour `shade`, with its upper left at `corner`, moved into the
    picture."""
    _, _, width, height = canvas.textbbox((0, 0), text, font=font)
    room = canvas.im.size
    left = max(0, min(corner[0], room[0] - width))
    top = max(0, min(corner[1], room[1] - height))
    canvas.rectangle((left, top, left + width, top + height), fill=shade)
    canvas.text((left, top), text, fill="black", font=font)
