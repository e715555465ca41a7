"""SAM's pictures: the longer edge at 1024 pixels, the rest of a square filled with zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    ChannelDimension,
    layout_of,
    make_list_of_images,
    to_channel_dimension_format,
    to_numpy_array,
)
from dovetail_models_vision.images.processor import ImageProcessor, Settings
from dovetail_models_vision.images.sizes import get_size_dict
from dovetail_models_vision.sam.mask_generation import (
    RunLengths,
    best_masks,
    crop_boxes,
    kept_masks,
    point_grid,
)

EDGES = ("size", "mask_size")


class SamImageProcessor(ImageProcessor):
    """Resizes to the longer edge, rescales, normalizes and pads below and to the right; masks to
    learn from get the size of those that are predicted."""

    size = {"longest_edge": 1024}
    mask_size: Mapping[str, int] = {"longest_edge": 256}
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    do_pad: bool = True
    pad_size: Mapping[str, int] = {"height": 1024, "width": 1024}
    mask_pad_size: Mapping[str, int] = {"height": 256, "width": 256}
    do_convert_rgb: bool = True

    def _checked(self, name: str, value: Any) -> Any:
        if name in EDGES and isinstance(value, int):
            value = {"longest_edge": value}
        if name == "mask_pad_size":
            value = get_size_dict(value, default_to_square=True, param_name=name)
        value = super()._checked(name, value)
        if name in EDGES and "longest_edge" not in value:
            raise ProcessorError(f"SamImageProcessor: {name}={value!r} needs 'longest_edge'.")
        return value

    def output_size(self, size: tuple[int, int], settings: Settings) -> tuple[int, int]:
        """What an image of (height, width) is resized to."""
        return scaled_size(size, settings.size["longest_edge"])

    def preprocess(  # type: ignore[override] # maps stand second, as in the field
        self,
        images: Any,
        segmentation_maps: Any = None,
        return_tensors: str | None = None,
        data_format: str | None = ChannelDimension.FIRST,
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """``pixel_values`` (B, C, H, W), ``original_sizes`` and ``reshaped_input_sizes`` (B, 2)
        and, of `segmentation_maps` (height, width) each, ``labels`` (B, h, w).

        `overrides` replace settings in this call.

        Raises:
            ProcessorError: something is no image, or does not fit `pad_size` or its map.
        """
        settings = self.settings(overrides)
        pictures = [
            self.read(picture, input_data_format, index)
            for index, picture in enumerate(make_list_of_images(images))
        ]
        originals = [tuple(picture.shape[1:]) for picture in pictures]
        sized = [self.sized(picture, settings) for picture in pictures]
        finished = list(self.finished(sized, settings))
        if settings.do_pad:
            finished = [self.padded(image, settings.pad_size) for image in finished]
        data = {
            "pixel_values": finished,
            "original_sizes": originals,
            "reshaped_input_sizes": [tuple(image.shape[1:]) for image in sized],
        }
        if segmentation_maps is not None:
            maps = make_list_of_images(segmentation_maps, expected_ndims=2)
            if len(maps) != len(pictures):
                raise ProcessorError(
                    f"segmentation_maps: {len(maps)} for {len(pictures)} images; give one for each."
                )
            data["labels"] = [self.label_map(to_numpy_array(one), settings) for one in maps]
        return self.output(data, return_tensors, data_format)

    def padded(self, image: Any, size: Mapping[str, int]) -> Any:
        """`image` (C, height, width) with zeros below and to the right."""
        return self.ops().pad(image, margins(image.shape[1:], size, "pad_size"))

    def label_map(self, labels: np.ndarray, settings: Settings) -> np.ndarray:
        """`labels` (height, width) at the size of predicted masks, by the nearest pixel."""
        labels = labels.reshape(labels.shape[-2:] if labels.shape[0] == 1 else labels.shape[:2])
        if settings.do_resize:
            wanted = scaled_size(labels.shape, settings.mask_size["longest_edge"])
            rows, columns = (
                ((np.arange(wanted[axis]) + 0.5) * labels.shape[axis] / wanted[axis]).astype(int)
                for axis in (0, 1)
            )
            labels = labels[rows[:, None], columns]
        if settings.do_pad:
            edges = margins(labels.shape, settings.mask_pad_size, "mask_pad_size")
            labels = np.pad(labels, edges)
        return labels.astype(np.int64)

    def post_process_masks(
        self,
        masks: Any,
        original_sizes: Any,
        reshaped_input_sizes: Any,
        mask_threshold: float = 0.0,
        binarize: bool = True,
        pad_size: Mapping[str, int] | None = None,
        return_tensors: str = "pt",
    ) -> list[Tensor]:
        """Predicted `masks` (one (P, M, h, w) for each image) at the size of the picture, as
        booleans unless `binarize` is False.

        The sizes (B, 2) are what `preprocess` gave.
        """
        check_tensors(return_tensors)
        square = self.pad_size if pad_size is None else pad_size
        padded = (square["height"], square["width"])
        found = []
        for mask, original, reshaped in zip(
            masks, sizes(original_sizes), sizes(reshaped_input_sizes), strict=True
        ):
            mask = torch.as_tensor(mask)
            mask = F.interpolate(mask, padded, mode="bilinear", align_corners=False)
            mask = mask[..., : reshaped[0], : reshaped[1]]
            mask = F.interpolate(mask, original, mode="bilinear", align_corners=False)
            found.append(mask > mask_threshold if binarize else mask)
        return found

    def generate_crop_boxes(
        self,
        image: Any,
        target_size: int,
        crop_n_layers: int = 0,
        overlap_ratio: float = 512 / 1500,
        points_per_crop: int | None = 32,
        crop_n_points_downscale_factor: int = 1,
        device: torch.device | str | None = None,
        input_data_format: str | None = None,
        return_tensors: str = "pt",
    ) -> tuple[Tensor, Tensor, list[np.ndarray], Tensor]:
        """Crops to look for masks in, and points on a grid in each.

        Returns the boxes (crops, 4), left, top, right, bottom; the points (1, N, crops, 2), with
        the longer edge of the picture at `target_size`; the crops (height, width, C); and a label
        for each point (1, N, crops). Layer i has 4**i crops.
        """
        check_tensors(return_tensors)
        if crop_n_layers and crop_n_points_downscale_factor != 1:
            raise ProcessorError(
                f"crop_n_points_downscale_factor={crop_n_points_downscale_factor} gives crops of "
                "different layers different numbers of points, which make no one tensor: use 1, or "
                "crop_n_layers=0."
            )
        array = to_numpy_array(image)
        layout = layout_of(array, input_data_format)
        array = to_channel_dimension_format(array, ChannelDimension.LAST, layout)
        height, width = array.shape[:2]
        boxes = crop_boxes((height, width), crop_n_layers, overlap_ratio)
        new_height, new_width = scaled_size((height, width), target_size)
        factors = np.array([new_width / width, new_height / height])
        grid = point_grid(points_per_crop or 32)
        points = np.stack([grid * (r - x, b - y) * factors for x, y, r, b in boxes])
        tensor = torch.as_tensor(points.swapaxes(0, 1)[None], device=device)
        return (
            torch.tensor(boxes, dtype=torch.float32, device=device),
            tensor,
            [array[top:bottom, left:right] for left, top, right, bottom in boxes],
            torch.ones(tensor.shape[:-1], dtype=torch.long, device=device),
        )

    def filter_masks(
        self,
        masks: Tensor,
        iou_scores: Tensor,
        original_size: Sequence[int],
        cropped_box_image: Any,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        mask_threshold: float = 0,
        stability_score_offset: float = 1,
        return_tensors: str = "pt",
    ) -> tuple[list[RunLengths], Tensor, Tensor]:
        """Of `masks` (P, M, height, width) as logits those which are good, stable and whole.

        `iou_scores` are (P, M); `cropped_box_image` is the crop (left, top, right, bottom) of the
        picture of `original_size` (height, width). Returns run lengths, scores and boxes.
        """
        check_tensors(return_tensors)
        return kept_masks(
            masks,
            iou_scores,
            (int(original_size[0]), int(original_size[1])),
            [int(edge) for edge in cropped_box_image],
            pred_iou_thresh,
            stability_score_thresh,
            mask_threshold,
            stability_score_offset,
        )

    def post_process_for_mask_generation(
        self,
        all_masks: Sequence[RunLengths],
        all_scores: Tensor,
        all_boxes: Tensor,
        crops_nms_thresh: float,
        return_tensors: str = "pt",
    ) -> tuple[list[np.ndarray], Tensor, list[RunLengths], Tensor]:
        """What `filter_masks` found, without masks whose boxes overlap a better one's by more than
        `crops_nms_thresh`: masks (height, width), scores, run lengths, boxes."""
        check_tensors(return_tensors)
        return best_masks(all_masks, all_scores, all_boxes, crops_nms_thresh)


def scaled_size(size: Sequence[int], longest: int) -> tuple[int, int]:
    """(height, width) with the longer edge at `longest`."""
    scale = longest / max(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def margins(size: Sequence[int], wanted: Mapping[str, int], name: str) -> list[tuple[int, int]]:
    """What to add behind each axis of (height, width)."""
    missing = wanted["height"] - size[0], wanted["width"] - size[1]
    if min(missing) < 0:
        raise ProcessorError(
            f"{name}={dict(wanted)} is smaller than a picture of {size[0]} by {size[1]} pixels."
        )
    return [(0, missing[0]), (0, missing[1])]


def sizes(given: Any) -> list[tuple[int, int]]:
    """Heights and widths as numbers."""
    rows = given.tolist() if hasattr(given, "tolist") else given
    return [(int(height), int(width)) for height, width in rows]


def check_tensors(return_tensors: str) -> None:
    """Refuse the tensors of other libraries."""
    if return_tensors != "pt":
        raise ProcessorError(
            f"return_tensors={return_tensors!r}: masks are made by torch, use 'pt'."
        )
