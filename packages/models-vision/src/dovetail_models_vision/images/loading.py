"""Reading pictures from paths, addresses, base64 and arrays, without trusting what is in them."""

from __future__ import annotations

import base64
import binascii
import io
import time
import urllib.error
import urllib.request
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from dovetail.errors import ProcessorError, quoted
from dovetail.logging import get_logger

logger = get_logger("dovetail.images")

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "ICO", "JPEG2000", "AVIF")
"""What is decoded. Formats that start other programs (EPS) are not among them."""

MAX_PIXELS = 178_956_970
"""Twice what fits into a quarter gibibyte as RGB: PIL's own limit for refusing."""

MAX_BYTES = 256 * 2**20
"""The longest answer of a server that is read."""

TIMEOUT = 60.0
"""Seconds for a whole download when the caller says nothing."""

SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def load_image(
    image: str | Path | bytes | Image.Image,
    timeout: float | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> Image.Image:
    """A picture as RGB, turned upright as its EXIF data says.

    `image` is a path, an ``http(s)://`` address, base64 (with or without
    ``data:image/...;base64,``), the bytes of a file, or a PIL image. `timeout` bounds a download in
    seconds.

    Raises:
        ProcessorError: it cannot be found, fetched or decoded, or is larger than the limits.
    """
    if isinstance(image, Image.Image):
        return upright(image, "image")
    if isinstance(image, bytes):
        return _decoded(image, "image (bytes)", max_pixels)
    if not isinstance(image, str | Path):
        raise ProcessorError(
            f"image: a {type(image).__name__} cannot be loaded. Pass a path, an address, base64, "
            "bytes or a PIL image."
        )
    text = str(image)
    if text.startswith(("http://", "https://")):
        return _decoded(fetch(text, timeout or TIMEOUT, max_bytes), quoted(text), max_pixels)
    if _is_file(image):
        return _decoded(Path(image).read_bytes(), quoted(text), max_pixels)
    return _decoded(_from_base64(text), "image (base64)", max_pixels)


def load_images(images: Any, timeout: float | None = None) -> Any:
    """`load_image` for every picture in a (nested) list."""
    if isinstance(images, list | tuple):
        return [load_images(image, timeout) for image in images]
    return load_image(images, timeout)


def upright(image: Image.Image, what: str) -> Image.Image:
    """A PIL image, decoded, turned as EXIF says, as RGB; `what` names it in errors.

    Raises:
        ProcessorError: it is damaged, empty or of no size that is known.
    """
    try:
        image.load()
        turned = ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise whatever they stumble over
        raise ProcessorError(
            f"{what}: the picture is damaged ({error}). Check that the file is complete."
        ) from error
    if getattr(image, "is_animated", False):
        logger.warning("%s is animated: its first frame is used.", what)
    return to_rgb(turned, what)


def to_rgb(image: Image.Image, what: str = "image") -> Image.Image:
    """RGB of 8 bits. 16 bits keep their upper half, palettes are looked up, alpha is dropped.

    Raises:
        ProcessorError: there are no pixels, or values that are no shades.
    """
    if 0 in image.size:
        raise ProcessorError(
            f"{what}: an image of {image.size[0]} x {image.size[1]} has no pixels."
        )
    if image.mode == "RGB":
        return image
    if image.mode in (*SIXTEEN_BITS, "I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ProcessorError(
                f"{what}: values from {values.min()} to {values.max()} are no shades of 8 or 16 "
                "bits. Scale it to 0..255 first."
            )
        deep = image.mode != "I" or values.max() > 255
        return Image.fromarray((values >> 8 if deep else values).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ProcessorError(
            f"{what}: a picture of floating-point values is no photograph. Pass it as an array, or "
            "scale it to 0..255 first."
        )
    return image.convert("RGB")


def _decoded(content: bytes, what: str, max_pixels: int) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_formats())
    except Image.DecompressionBombError as error:
        raise ProcessorError(f"{what}: refused as a decompression bomb ({error}).") from error
    except Exception as error:  # decoders raise whatever they stumble over
        raise ProcessorError(
            f"{what}: no picture ({len(content)} bytes that are none of {', '.join(FORMATS)}, or a "
            "damaged one)."
        ) from error
    width, height = image.size
    if width * height > max_pixels:
        raise ProcessorError(
            f"{what}: {width} x {height} pixels are more than the limit of {max_pixels}. Make the "
            "picture smaller, or raise max_pixels if you trust it."
        )
    return upright(image, what)


@cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this build of PIL reads: it stumbles over names it does not know."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _is_file(path: str | Path) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long or with a zero: base64, or nonsense
        return False


def _from_base64(text: str) -> bytes:
    prefix, _, rest = text.partition(",") if text.startswith("data:") else ("", "", text)
    if prefix and not (prefix.startswith("data:image/") and prefix.endswith(";base64")):
        raise ProcessorError(f"image: {quoted(prefix)} is not a base64 image as a data URI.")
    try:
        return base64.b64decode("".join(rest.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProcessorError(
            f"image: {quoted(text)} is neither an existing file, nor an http(s) address, nor "
            "base64."
        ) from error


class _StaysOnTheWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str
    ) -> Any:
        if not newurl.startswith(("http://", "https://")):
            raise urllib.error.URLError(f"redirected to {newurl[:100]!r}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, timeout: float, max_bytes: int) -> bytes:
    """What a server answers, in bounded time and memory."""
    deadline = time.monotonic() + timeout
    request = urllib.request.Request(url, headers={"User-Agent": "dovetail"})
    content = bytearray()
    try:
        with urllib.request.build_opener(_StaysOnTheWeb).open(request, timeout=timeout) as answer:
            while chunk := answer.read1(2**16):
                content += chunk
                if len(content) > max_bytes:
                    raise ProcessorError(
                        f"{quoted(url)}: longer than the limit of {max_bytes} bytes."
                    )
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not complete after {timeout:g} seconds")
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, ProcessorError):
            raise
        raise ProcessorError(f"{quoted(url)} could not be fetched: {error}.") from error
    return bytes(content)
