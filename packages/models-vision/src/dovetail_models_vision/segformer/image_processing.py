"""SegFormer's pictures, squares of 512 pixels, and their maps of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dovetail import BatchFeature
from dovetail.errors import ProcessorError
from dovetail_models_vision.images import fast
from dovetail_models_vision.images.formats import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    PILImageResampling,
    make_list_of_images,
    to_numpy_array,
)
from dovetail_models_vision.images.processor import ImageProcessor, Settings
from dovetail_models_vision.images.segments import semantic_maps

IGNORED = 255
"""The label that losses leave out."""


class SegformerImageProcessor(ImageProcessor):
    """`do_reduce_labels` takes 1 off every label of a map: 0, the background, becomes 255."""

    size = {"height": 512, "width": 512}
    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    do_reduce_labels = False

    def __init__(self, **kwargs: Any) -> None:
        if "reduce_labels" in kwargs:  # the name in old files
            kwargs.setdefault("do_reduce_labels", kwargs.pop("reduce_labels"))
        super().__init__(**kwargs)

    def preprocess(  # type: ignore[override]
        self, images: Any, segmentation_maps: Any = None, **kwargs: Any
    ) -> BatchFeature:
        """``pixel_values``, and with `segmentation_maps` ``labels`` (B, H, W) of the same size."""
        result = super().preprocess(images, **kwargs)
        if segmentation_maps is None:
            return result
        maps = make_list_of_images(segmentation_maps, expected_ndims=2)
        if len(maps) != len(result["pixel_values"]):
            raise ProcessorError(
                f"segmentation_maps: {len(maps)} maps for {len(result['pixel_values'])} images."
            )
        tensors = kwargs.get("return_tensors")
        settings = self.settings({n: v for n, v in kwargs.items() if n in self._names})
        labels = [self.label_map(one, settings) for one in maps]
        return BatchFeature({**result, "labels": labels}, tensor_type=tensors)

    def label_map(self, labels: Any, settings: Settings) -> np.ndarray:
        """One map (H, W), reduced and resized."""
        array = to_numpy_array(labels)
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
            raise ProcessorError(
                f"segmentation_maps: an array of shape {array.shape} and {array.dtype}; a map of "
                "labels is (height, width) of whole numbers."
            )
        array = array.astype(np.int64)
        if settings.do_reduce_labels:
            array = np.where((array == 0) | (array == IGNORED), IGNORED, array - 1)
        if settings.do_resize:
            target = self.output_size(array.shape, settings)
            array = fast.nearest(torch.from_numpy(array)[None], target)[0].numpy()
        return array

    def post_process_semantic_segmentation(
        self, outputs: Any, target_sizes: Any = None
    ) -> list[Tensor]:
        """The class of each pixel, (H, W) for each image, at `target_sizes` if given."""
        return semantic_maps(outputs.logits, target_sizes)
