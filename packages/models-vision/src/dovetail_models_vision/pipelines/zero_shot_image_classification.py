"""A picture to any labels the caller thinks of, through a model of pictures and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from dovetail.errors import PipelineError
from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import ImagePipeline
from dovetail_models_vision.pipelines.labels import hypotheses, listed

JUDGES_EACH_LABEL = ("siglip",)
"""Models trained with a sigmoid on texts of full length: their scores do not add up to 1."""


class ZeroShotImageClassificationPipeline(ImagePipeline):
    """Scores of `candidate_labels` (a list, or a text with commas): how well "This is a photo of
    LABEL." (`hypothesis_template`) describes a picture.

    The result is a list of ``{"score", "label"}``, best first. The scores of all labels add up to
    1, except with SigLIP, which judges each by itself. `tokenizer_kwargs` go to the tokenizer.
    """

    def _sanitize_parameters(
        self,
        candidate_labels: str | Sequence[str] | None = None,
        hypothesis_template: str | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = given(
            candidate_labels=None if candidate_labels is None else listed(candidate_labels),
            hypothesis_template=hypothesis_template,
            tokenizer_kwargs=tokenizer_kwargs,
            timeout=timeout,
        )
        return preprocess, {}, {}

    def preprocess(
        self,
        image: Any,
        candidate_labels: list[str] | None = None,
        hypothesis_template: str = "This is a photo of {}.",
        tokenizer_kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Prepare one picture and tokenize the labels' sentences."""
        if candidate_labels is None:
            raise PipelineError(
                "Zero-shot image classification needs labels: pass candidate_labels=[...]."
            )
        texts = hypotheses(candidate_labels, hypothesis_template)
        padding = "max_length" if self._judges_each_label else True
        encoded = self.tokenizer(
            texts, return_tensors="pt", **{"padding": padding, **(tokenizer_kwargs or {})}
        )
        return {
            **self.prepare(self.read(image, timeout)),
            "candidate_labels": [candidate_labels],
            "text_inputs": [dict(encoded)],
        }

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        aside = ("candidate_labels", "text_inputs")
        pictures = {name: value for name, value in model_inputs.items() if name not in aside}
        labels, texts = (model_inputs[name] for name in aside)
        # One picture brings [inputs], a batch of pictures [[inputs], ...], all of the same texts.
        text_inputs = texts[0] if isinstance(texts[0], dict) else texts[0][0]
        logits = self.model(**text_inputs, **pictures)["logits_per_image"]
        return {"candidate_labels": labels, "logits": logits}

    @property
    def _judges_each_label(self) -> bool:
        return self.model.config.model_type in JUDGES_EACH_LABEL

    def postprocess(self, model_outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Scores of logits (1, labels)."""
        (labels,) = model_outputs["candidate_labels"]
        logits = model_outputs["logits"][0].float()
        scores = logits.sigmoid() if self._judges_each_label else logits.softmax(-1)
        order = scores.argsort(descending=True, stable=True).tolist()
        return [{"score": scores[index].item(), "label": labels[index]} for index in order]

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture above its labels."""
        return drawing.with_lines(self.read(inputs), drawing.label_lines(result))
