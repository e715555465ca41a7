"""A picture to labels with scores."""

from __future__ import annotations

from typing import Any

from PIL import Image

from dovetail_models_text.pipelines.generating import given
from dovetail_models_text.pipelines.text_classification import (
    ClassificationFunction,
    function_for,
    function_named,
)
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import ImagePipeline
from dovetail_models_vision.pipelines.labels import best_labels


class ImageClassificationPipeline(ImagePipeline):
    """The `top_k` likeliest labels of a picture (default 5), best first, as ``{"label",
    "score"}``.

    `function_to_apply` is ``"sigmoid"``, ``"softmax"`` or ``"none"``; by default the sigmoid for
    one label or ``problem_type="multi_label_classification"``, else the softmax.
    """

    _load_tokenizer = False

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        function_to_apply: str | ClassificationFunction | None = None,
        timeout: float | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        function = None if function_to_apply is None else function_named(function_to_apply)
        return given(timeout=timeout), {}, given(top_k=top_k, function_to_apply=function)

    def preprocess(self, image: Any, timeout: float | None = None) -> dict[str, Any]:
        """Read and prepare one picture."""
        return self.prepare(self.read(image, timeout))

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(
        self,
        model_outputs: Any,
        function_to_apply: ClassificationFunction | None = None,
        top_k: int = 5,
    ) -> list[dict[str, Any]]:
        """Labels and scores of logits (1, labels)."""
        config = self.model.config
        function = function_to_apply or function_for(config)
        scores = function.apply(model_outputs["logits"][0].float())
        return best_labels(scores, config.id2label, top_k)

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture above its labels."""
        return drawing.with_lines(self.read(inputs), drawing.label_lines(result))
