"""A picture to boxes around whatever the caller names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dovetail.errors import PipelineError
from dovetail.outputs import ModelOutput
from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import PixelPipeline, size_of
from dovetail_models_vision.pipelines.labels import listed
from dovetail_models_vision.pipelines.object_detection import box_record


class ZeroShotObjectDetectionPipeline(PixelPipeline):
    """Things that `candidate_labels` name (a list, or a text with commas) and whose score is above
    `threshold` (default 0.1), as ``{"score", "label", "box": {"xmin", "ymin", "xmax", "ymax"}}`` in
    pixels of the picture, best first, at most `top_k`.

    Inputs may also be mappings ``{"image", "candidate_labels"}``, so that each picture has labels
    of its own.
    """

    _load_tokenizer = True

    def __call__(self, image: Any = None, candidate_labels: Any = None, **kwargs: Any) -> Any:
        """The result for one picture, a list for a list, an iterator for a dataset or generator;
        `text_queries` is an older name of `candidate_labels`."""
        candidate_labels = kwargs.pop("text_queries", candidate_labels)
        if candidate_labels is not None:
            kwargs["candidate_labels"] = candidate_labels
        return super().__call__(image, **kwargs)

    def _sanitize_parameters(
        self,
        candidate_labels: str | Sequence[str] | None = None,
        threshold: float | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if top_k is not None and top_k < 1:
            raise PipelineError(f"top_k={top_k!r}: at least one box has to be asked for.")
        preprocess = given(candidate_labels=candidate_labels, timeout=timeout)
        return preprocess, {}, given(threshold=threshold, top_k=top_k)

    def preprocess(
        self,
        inputs: Any,
        candidate_labels: str | Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Prepare one picture and tokenize its labels."""
        if isinstance(inputs, Mapping):
            candidate_labels = inputs.get("candidate_labels", candidate_labels)
            inputs = inputs.get("image")
        labels = [] if candidate_labels is None else listed(candidate_labels)
        if not labels:
            raise PipelineError(
                "Zero-shot object detection needs labels: pass candidate_labels=[...], or "
                '{"image": ..., "candidate_labels": [...]}.'
            )
        picture = self.read(inputs, timeout)
        return {
            **self.prepare(picture),
            "target_size": size_of(picture),
            "candidate_labels": [labels],
            "input_ids": [[torch.tensor(self.tokenizer(label)["input_ids"]) for label in labels]],
        }

    def _forward(self, model_inputs: dict[str, Any]) -> ModelOutput:
        inputs = dict(model_inputs)
        size, labels = inputs.pop("target_size"), inputs.pop("candidate_labels")
        rows = inputs.pop("input_ids")
        if isinstance(rows[0][0], list):  # of a batch, each picture brings a list of its own
            rows = [row for (row,) in rows]
        ids = queries(rows).to(size.device)
        outputs = self.model(input_ids=ids.clamp(min=0), attention_mask=(ids >= 0).long(), **inputs)
        return ModelOutput(
            logits=outputs.logits,
            pred_boxes=outputs.pred_boxes,
            target_size=size,
            candidate_labels=labels,
        )

    def postprocess(
        self, model_outputs: Any, threshold: float = 0.1, top_k: int | None = None
    ) -> list[dict[str, Any]]:
        """One record per label and box, best first."""
        (labels,) = model_outputs["candidate_labels"]
        records = []
        for number, label in enumerate(labels):
            alone = ModelOutput(
                logits=model_outputs["logits"][..., number : number + 1],
                pred_boxes=model_outputs["pred_boxes"],
            )
            (found,) = self.image_processor.post_process_object_detection(
                alone, threshold, model_outputs["target_size"]
            )
            records += [
                {"score": score, "label": label, "box": box_record(box)}
                for score, box in zip(found["scores"].tolist(), found["boxes"], strict=True)
            ]
        records.sort(key=lambda record: record["score"], reverse=True)
        return records[:top_k]

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture with the boxes and their labels."""
        picture = inputs["image"] if isinstance(inputs, Mapping) else inputs
        return drawing.with_boxes(self.read(picture), result)


def queries(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """The token ids (pictures * labels, T) of all labels, as many for each picture, filled up with
    -1."""
    most = max(map(len, rows))
    empty = rows[0][0][:0]
    texts = [text for row in rows for text in (*row, *[empty] * (most - len(row)))]
    return pad_sequence(texts, batch_first=True, padding_value=-1)
