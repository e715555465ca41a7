"""A picture to masks of everything in it, asked for at points on a grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from dovetail.errors import PipelineError
from dovetail.pipelines import ChunkPipeline
from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import ImagePipeline

OF_CHUNK = ("is_last", "crop_box", "picture_size", "prompts")
"""What goes along with the tensors of a chunk."""


class MaskGenerationPipeline(ImagePipeline, ChunkPipeline):
    """All masks of a picture: ``{"masks", "scores"}``, booleans (height, width) each and a tensor,
    best first; with `output_rle_mask` also ``"rle_mask"`` (run lengths), with `output_bboxes_mask`
    ``"bounding_boxes"``.

    The model is asked at `points_per_crop` (32) by as many points, `points_per_batch` (64) at a
    time. `crops_n_layers` (0) looks closer: layer i cuts the picture into 4**i crops that overlap
    by `crop_overlap_ratio`, each with a grid, its sides divided by
    `crop_n_points_downscale_factor` from layer to layer. A mask is kept when the model's own score
    is above `pred_iou_thresh` (0.88), its stability under `stability_score_offset` above
    `stability_score_thresh` (0.95), and no better one's box overlaps it by more than
    `crops_nms_thresh` (0.7). `mask_threshold` (0) is where a mask ends.
    """

    _load_tokenizer = False

    def _sanitize_parameters(
        self,
        points_per_batch: int | None = None,
        points_per_crop: int | None = None,
        crops_n_layers: int | None = None,
        crop_overlap_ratio: float | None = None,
        crop_n_points_downscale_factor: int | None = None,
        timeout: float | None = None,
        pred_iou_thresh: float | None = None,
        stability_score_offset: float | None = None,
        mask_threshold: float | None = None,
        stability_score_thresh: float | None = None,
        crops_nms_thresh: float | None = None,
        output_rle_mask: bool | None = None,
        output_bboxes_mask: bool | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        counts = given(
            points_per_batch=points_per_batch,
            points_per_crop=points_per_crop,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
        )
        for name, count in counts.items():
            if count < 1:
                raise PipelineError(f"{name}={count!r}: it must be at least 1.")
        preprocess = given(
            crops_n_layers=crops_n_layers, crop_overlap_ratio=crop_overlap_ratio, timeout=timeout
        )
        forward = given(
            pred_iou_thresh=pred_iou_thresh,
            stability_score_offset=stability_score_offset,
            mask_threshold=mask_threshold,
            stability_score_thresh=stability_score_thresh,
        )
        postprocess = given(
            crops_nms_thresh=crops_nms_thresh,
            output_rle_mask=output_rle_mask,
            output_bboxes_mask=output_bboxes_mask,
        )
        return {**preprocess, **counts}, forward, postprocess

    def preprocess(
        self,
        image: Any,
        points_per_batch: int = 64,
        points_per_crop: int = 32,
        crops_n_layers: int = 0,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        timeout: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """For each crop its embedding with some points of its grid at a time."""
        picture = self.read(image, timeout)
        longest = self.image_processor.size["longest_edge"]
        boxes, _, crops, _ = self.image_processor.generate_crop_boxes(
            picture, longest, crops_n_layers, crop_overlap_ratio, 1
        )
        for index, (box, crop) in enumerate(zip(boxes.tolist(), crops, strict=True)):
            layer = _layer(index)
            per_side = max(1, points_per_crop // crop_n_points_downscale_factor**layer)
            _, points, _, labels = self.image_processor.generate_crop_boxes(
                crop, longest, points_per_crop=per_side
            )
            inputs = self._embedded(crop)
            for start in range(0, points.shape[1], points_per_batch):
                end = min(start + points_per_batch, points.shape[1])
                yield {
                    **inputs,
                    "input_points": points[:, start:end].to(self.torch_dtype),
                    "input_labels": labels[:, start:end],
                    "crop_box": box,
                    "picture_size": (picture.height, picture.width),
                    "prompts": end - start,
                    "is_last": index == len(crops) - 1 and end == points.shape[1],
                }

    def _embedded(self, crop: Any) -> dict[str, Any]:
        """The model's embedding of a crop (height, width, C), with its sizes: made once for all
        points."""
        inputs = self.prepare(crop)
        with self.device_placement(), self.get_inference_context()():
            pixels = inputs.pop("pixel_values").to(self.device)
            return {**inputs, "image_embeddings": self.model.get_image_embeddings(pixels)}

    def _forward(self, model_inputs: dict[str, Any], **thresholds: Any) -> dict[str, Any]:
        tensors = dict(model_inputs)
        aside = {name: tensors.pop(name) for name in OF_CHUNK}
        sizes = {n: tensors.pop(n).tolist() for n in ("original_sizes", "reshaped_input_sizes")}
        outputs = self.model(**tensors)
        masks = self.image_processor.post_process_masks(
            outputs["pred_masks"].float(),
            **sizes,
            mask_threshold=thresholds.get("mask_threshold", 0),
            binarize=False,
        )
        batched = isinstance(aside["is_last"], list)
        columns = aside if batched else {name: [value] for name, value in aside.items()}
        kept = [
            self.image_processor.filter_masks(
                mask[:prompts], scores[:prompts], *place, **thresholds
            )
            for mask, scores, prompts, *place in zip(
                masks,
                outputs["iou_scores"].float(),
                *(columns[name] for name in ("prompts", "picture_size", "crop_box")),
                strict=True,
            )
        ]
        return {"is_last": aside["is_last"], "kept": kept if batched else kept[0]}

    def postprocess(
        self,
        model_outputs: list[dict[str, Any]],
        crops_nms_thresh: float = 0.7,
        output_rle_mask: bool = False,
        output_bboxes_mask: bool = False,
    ) -> dict[str, Any]:
        """The best of what all points found."""
        found = [output["kept"] for output in model_outputs]
        everything = [mask for masks, _, _ in found for mask in masks]
        scores = torch.cat([scores for _, scores, _ in found])
        boxes = torch.cat([boxes for _, _, boxes in found])
        masks, scores, lengths, boxes = self.image_processor.post_process_for_mask_generation(
            everything, scores, boxes, crops_nms_thresh
        )
        result: dict[str, Any] = {"masks": masks, "scores": scores}
        if output_rle_mask:
            result["rle_mask"] = lengths
        if output_bboxes_mask:
            result["bounding_boxes"] = boxes
        return result

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture with its masks coloured."""
        scores: Tensor = result["scores"]
        records = [
            {"label": str(index), "score": score, "mask": Image.fromarray(mask).convert("L")}
            for index, (mask, score) in enumerate(
                zip(result["masks"], scores.tolist(), strict=True), 1
            )
        ]
        return drawing.with_segments(self.read(inputs), records)


def _layer(index: int) -> int:
    """The layer i of a crop: the layers before it hold (4**i - 1) / 3 crops."""
    return ((3 * index + 1).bit_length() - 1) // 2
