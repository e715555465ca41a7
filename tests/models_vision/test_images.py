"""The image toolkit: reading pictures, layouts, sizes, transforms, boxes, masks, bad files."""

from __future__ import annotations

import base64
import io
import logging
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden.image_cases import picture
from PIL import Image

from dovetail.errors import ProcessorError
from dovetail.pages import blank
from dovetail_models_vision.images import exact, fast, transforms
from dovetail_models_vision.images.annotations import panoptic_target
from dovetail_models_vision.images.boxes import (
    center_to_corners_format,
    corners_to_center_format,
    id_to_rgb,
    masks_to_boxes,
    rgb_to_id,
)
from dovetail_models_vision.images.coco_masks import segmentation_to_mask
from dovetail_models_vision.images.formats import (
    ChannelDimension,
    PILImageResampling,
    get_image_size,
    infer_channel_dimension_format,
    make_flat_list_of_images,
    make_list_of_images,
    valid_images,
)
from dovetail_models_vision.images.loading import load_image, load_images
from dovetail_models_vision.images.sizes import (
    get_resize_output_image_size,
    get_size_dict,
    select_best_resolution,
)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def lying_png(width: int, height: int) -> bytes:
    """A header of any size before nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 10))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


PNG = encoded(picture(6, 9))


class Server(BaseHTTPRequestHandler):
    """Answers with a picture, with too much, too slowly, or with a way out."""

    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "ftp://example.invalid/secret")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
        try:
            if self.path == "/slow":
                for _ in range(30):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.1)
            else:
                self.wfile.write(PNG)
        except OSError:
            pass  # the reader had enough

    def log_message(self, *args: Any):
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_pictures_come_from_everywhere(tmp_path: Path, address: str):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    text = base64.b64encode(PNG).decode()
    expected = np.asarray(picture(6, 9))
    sources = [path, str(path), PNG, text, f"data:image/png;base64,{text}", f"{address}/a.png"]
    for source in [*sources, picture(6, 9)]:
        assert np.array_equal(np.asarray(load_image(source)), expected)
    nested = load_images([[path], [text, PNG]])
    assert [len(group) for group in nested] == [1, 2]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_common_formats_are_read(kind: str):
    assert load_image(encoded(picture(16, 16), kind)).size == (16, 16)


def test_pictures_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = load_image(encoded(picture(6, 9), exif=exif))
    assert np.array_equal(np.asarray(turned), np.rot90(np.asarray(picture(6, 9)), -1))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (PNG[:-30], "damaged"),
        (PNG[:20], "no picture"),
        (b"", "no picture"),
        (b"GIF89a" + bytes(40), "no picture|no pixels|damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no picture"),
        (lying_png(300, 300), "damaged"),
        (lying_png(0, 0), "no picture"),
        (lying_png(20000, 20000), "bomb"),
        (lying_png(13000, 13000), "damaged"),
        ("no/such/file.png", "neither an existing file"),
        ("data:text/html;base64,PGh0bWw+", "not a base64 image"),
        ("x" * 70000, "neither an existing file|no picture"),
        ("a\0b", "neither an existing file"),
        ("", "no picture|neither"),
        (12, "a int cannot be loaded"),
        (Image.new("RGB", (0, 4)), "no pixels"),
        (Image.new("F", (2, 2)), "floating-point"),
        (Image.fromarray(np.full((2, 2), 70000, dtype=np.int32)), "no shades"),
    ],
)
def test_what_is_no_picture_is_refused(source: Any, message: str):
    with pytest.raises(ProcessorError, match=message) as caught:
        load_image(source)
    assert len(str(caught.value)) < 700


def test_the_file_is_named(tmp_path: Path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(encoded(picture(60, 90), "JPEG")[:700])
    with pytest.raises(ProcessorError, match=r"broken\.jpg.*damaged"):
        load_image(path)


def test_pixels_are_limited():
    with pytest.raises(ProcessorError, match="9 x 6 pixels are more than the limit of 50"):
        load_image(PNG, max_pixels=50)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("/slow", {"timeout": 0.4}, "could not be fetched: .*(complete|timed out)"),
        ("/a.png", {"max_bytes": 10}, "longer than the limit of 10 bytes"),
        ("/away", {}, "could not be fetched"),
        ("/missing", {}, "could not be fetched: .*404"),
    ],
)
def test_servers_are_not_trusted(address: str, path: str, options: dict[str, Any], message: str):
    with pytest.raises(ProcessorError, match=message):
        load_image(address + path, **options)


def test_other_modes_become_rgb(caplog: pytest.LogCaptureFixture):
    rgb = picture(5, 7)
    gray = rgb.convert("L")
    assert np.array_equal(np.asarray(load_image(gray)), np.asarray(gray.convert("RGB")))
    palette = rgb.convert("P")
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(np.asarray(load_image(encoded(palette))), expected)
    alpha = rgb.copy()
    alpha.putalpha(100)
    assert np.array_equal(np.asarray(load_image(encoded(alpha))), np.asarray(rgb))
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    assert deep.mode.startswith("I;16")
    assert np.array_equal(np.asarray(load_image(encoded(deep)))[..., 0], np.asarray(gray))


def test_animations_give_their_first_frame_and_say_so(caplog: pytest.LogCaptureFixture):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    logger = logging.getLogger("dovetail.images")
    logger.addHandler(caplog.handler)
    try:
        assert load_image(content).getpixel((0, 0)) == (255, 0, 0)
    finally:
        logger.removeHandler(caplog.handler)
    assert "its first frame is used" in caplog.text


def test_channels_are_found():
    assert infer_channel_dimension_format(np.zeros((3, 5, 6))) is ChannelDimension.FIRST
    assert infer_channel_dimension_format(np.zeros((5, 6, 1))) is ChannelDimension.LAST
    assert infer_channel_dimension_format(np.zeros((9, 3, 5, 6))) is ChannelDimension.FIRST
    assert infer_channel_dimension_format(np.zeros((5, 6, 4)), 4) is ChannelDimension.LAST
    assert get_image_size(np.zeros((5, 6, 3))) == (5, 6)
    for shape in ((5, 6), (5, 6, 7), (1, 2, 3, 4, 5)):
        with pytest.raises(ProcessorError, match="images: an array of shape"):
            infer_channel_dimension_format(np.zeros(shape))


def test_lists_of_images():
    one = np.zeros((3, 4, 5))
    assert len(make_list_of_images(one)) == len(make_list_of_images([one])) == 1
    assert len(make_list_of_images(np.zeros((2, 3, 4, 5)))) == 2
    assert len(make_flat_list_of_images([[one], [one, one]])) == 3
    assert valid_images([[one], [torch.zeros(3, 4, 5)]])
    assert not valid_images(["a"])
    for wrong in ([], "file.png", [None], np.zeros((4, 5)), [[1, 2], [3, 4]]):
        with pytest.raises(ProcessorError, match="images: "):
            make_list_of_images(wrong)


def test_sizes_in_every_spelling():
    assert get_size_dict(5) == {"height": 5, "width": 5}
    assert get_size_dict(5, default_to_square=False) == {"shortest_edge": 5}
    assert get_size_dict(5, 9, default_to_square=False) == {"shortest_edge": 5, "longest_edge": 9}
    assert get_size_dict((5, 6)) == {"height": 5, "width": 6}
    assert get_size_dict((5, 6), height_width_order=False) == {"height": 6, "width": 5}
    for wrong in ({"a": 1}, {"height": 5}, -1, (1, 2, 3), None, {"shortest_edge": 2.5}):
        with pytest.raises(ProcessorError, match="size"):
            get_size_dict(wrong)


def test_edges_after_a_resize():
    image = np.zeros((3, 40, 100))
    assert get_resize_output_image_size(image, (3, 4)) == (3, 4)
    assert get_resize_output_image_size(image, 20) == (20, 20)
    assert get_resize_output_image_size(image, 20, default_to_square=False) == (20, 50)
    limited = get_resize_output_image_size(image, 20, default_to_square=False, max_size=30)
    assert limited == (12, 30)
    with pytest.raises(ProcessorError, match="max_size=10 must be more"):
        get_resize_output_image_size(image, 20, default_to_square=False, max_size=10)
    assert select_best_resolution((300, 500), [(336, 672), (672, 336), (672, 672)]) == (336, 672)


@pytest.mark.parametrize("resample", list(PILImageResampling), ids=lambda r: r.name)
@pytest.mark.parametrize(
    "size", [(20, 30), (20, 40), (30, 25), (80, 30), (25, 90), (90, 90), (40, 50)]
)
def test_torch_resamples_as_pil_does(resample: PILImageResampling, size: tuple[int, int]):
    noise = np.random.default_rng(0).integers(0, 2, (3, 40, 50)) * 255
    image = noise.astype(np.uint8)
    ours = fast.resize(torch.from_numpy(image), size, resample).numpy().astype(int)
    difference = np.abs(ours - exact.resize(image, size, resample))
    assert difference.max() <= (0 if resample is PILImageResampling.NEAREST else 1)


@pytest.mark.parametrize("resample", [PILImageResampling.BILINEAR, PILImageResampling.BICUBIC])
def test_enlarged_pictures_are_within_a_shade(resample: PILImageResampling):
    """Torch's two passes together are at times two shades off, in a few pixels of a million."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (3, 120, 160)).astype(np.uint8)
    for height, width in random.integers(100, 320, (30, 2)).tolist():
        ours = fast.resize(torch.from_numpy(image), (height, width), resample).numpy().astype(int)
        assert np.abs(ours - exact.resize(image, (height, width), resample)).max() <= 1


def test_large_batches_are_zeros_where_nothing_is():
    large = blank((5, 1100, 1000), torch.float32)
    assert large.shape == (5, 1100, 1000)
    assert not large.any()
    assert torch.equal(blank((2, 3), torch.int64), torch.zeros(2, 3, dtype=torch.int64))


def test_torch_resamples_what_is_no_picture():
    image = exact.from_input(picture(40, 50))
    ours = fast.resize(
        torch.from_numpy(image).repeat(2, 1, 1), (25, 90), PILImageResampling.LANCZOS
    )
    expected = exact.resize(image, (25, 90), PILImageResampling.LANCZOS).astype(int)
    assert np.abs(ours[3:].numpy() - expected).max() <= 1


@pytest.mark.parametrize("size", [(10, 10), (40, 40), (10, 40), (21, 5)])
def test_both_paths_crop_alike(size: tuple[int, int]):
    image = exact.from_input(picture(21, 34))
    cropped = fast.center_crop(fast.from_input(image), size).numpy()
    assert np.array_equal(cropped, exact.center_crop(image, size))


def test_values_that_are_no_shades_are_not_resized():
    for image in (np.full((3, 4, 4), 300), np.full((3, 4, 4), -0.5), np.full((3, 4, 4), 77.7)):
        for path in (exact, fast):
            with pytest.raises(ProcessorError, match="cannot be resized as a picture"):
                path.resize(path.from_input(image), (2, 2), 2)


def test_single_pictures_keep_their_layout():
    image = np.asarray(picture(6, 8))
    assert transforms.resize(image, (3, 4)).shape == (3, 4, 3)
    assert transforms.resize(image, (3, 4), data_format="channels_first").shape == (3, 3, 4)
    assert transforms.resize(image, (3, 4), return_numpy=False).size == (4, 3)
    assert transforms.pad(image, ((1, 2), (3, 4))).shape == (9, 15, 3)
    assert np.array_equal(transforms.flip_channel_order(image), image[..., ::-1])
    shares = transforms.rescale(image, 1 / 255)
    assert np.array_equal(np.asarray(transforms.to_pil_image(shares)), image)
    whole = transforms.normalize(shares, [0.0, 0.0, 0.0], 1.0)
    assert np.array_equal(whole, shares)
    with pytest.raises(ProcessorError, match="mode='wrap'"):
        transforms.pad(image, 1, mode="wrap")


def test_boxes_in_both_forms():
    boxes = np.array([[1.0, 2.0, 5.0, 10.0]])
    centers = corners_to_center_format(boxes)
    assert centers.tolist() == [[3.0, 6.0, 4.0, 8.0]]
    assert np.array_equal(center_to_corners_format(centers), boxes)
    assert torch.equal(center_to_corners_format(torch.tensor(centers)), torch.tensor(boxes))


def test_colors_are_numbers():
    ids = np.array([[0, 255, 256], [70000, 3, 256**3 - 1]])
    assert np.array_equal(rgb_to_id(id_to_rgb(ids)), ids)
    assert rgb_to_id(id_to_rgb(70000)) == 70000


def test_masks_of_polygons_and_runs():
    square = segmentation_to_mask([[2, 1, 6, 1, 6, 4, 2, 4]], (6, 8))
    expected = np.zeros((6, 8), dtype=np.uint8)
    expected[1:4, 2:6] = 1
    assert np.array_equal(square, expected)
    flat = expected.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    assert np.array_equal(
        segmentation_to_mask({"counts": counts, "size": [6, 8]}, (6, 8)), expected
    )
    assert masks_to_boxes(np.stack([expected, expected * 0])).tolist() == [[2, 1, 5, 3], [0] * 4]
    with pytest.raises(ProcessorError, match="do not fill"):
        segmentation_to_mask({"counts": [4], "size": [6, 8]}, (6, 8))
    with pytest.raises(ProcessorError, match="it takes 3 points"):
        segmentation_to_mask([[1, 2, 3, 4]], (6, 8))


def test_panoptic_pictures_stay_in_their_folder(tmp_path: Path):
    rows = {"id": 7, "category_id": 3, "iscrowd": 0, "area": 4}
    annotation = {"image_id": 1, "file_name": "../a.png", "segments_info": [rows]}
    with pytest.raises(ProcessorError, match="outside the folder"):
        panoptic_target(annotation, (4, 4), tmp_path)
    ids = np.zeros((4, 4), dtype=np.int64)
    ids[1:3, 1:3] = 7
    Image.fromarray(id_to_rgb(ids)).save(tmp_path / "a.png")
    target = panoptic_target({**annotation, "file_name": "a.png"}, (4, 4), tmp_path)
    assert target["boxes"].tolist() == [[1, 1, 2, 2]]
    assert np.array_equal(target["masks"][0], ids == 7)
    with pytest.raises(ProcessorError, match="its image of"):
        panoptic_target({**annotation, "file_name": "a.png"}, (5, 4), tmp_path)
