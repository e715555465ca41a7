"""Text, or a pair of texts, to labels with scores."""

from __future__ import annotations

import warnings
from enum import StrEnum
from typing import Any

from torch import Tensor

from dovetail.errors import PipelineError
from dovetail.pipelines import Pipeline
from dovetail_models_text.pipelines.text_input import require_text

LEGACY = ""
"""`top_k` when the caller says nothing: one dictionary per text in place of a sorted list."""


class ClassificationFunction(StrEnum):
    """What turns logits into scores."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    NONE = "none"

    def apply(self, logits: Tensor) -> Tensor:
        """Scores of logits (labels,)."""
        if self is ClassificationFunction.SIGMOID:
            return logits.sigmoid()
        return logits.softmax(-1) if self is ClassificationFunction.SOFTMAX else logits


class TextClassificationPipeline(Pipeline):
    """Labels and scores of a sequence classifier.

    A text, a dictionary ``{"text": ..., "text_pair": ...}``, or a list of these. `top_k` labels
    are returned, best first (None: all); without `top_k`, the best one alone. `function_to_apply`
    is ``"sigmoid"``, ``"softmax"`` or ``"none"``; by default the sigmoid for one label or
    ``problem_type="multi_label_classification"``, else the softmax. Further arguments go to the
    tokenizer.
    """

    def _sanitize_parameters(
        self,
        return_all_scores: bool | None = None,
        function_to_apply: str | ClassificationFunction | None = None,
        top_k: int | str | None = LEGACY,
        **tokenizer_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        postprocess: dict[str, Any] = {}
        if return_all_scores is None:
            return_all_scores = getattr(self.model.config, "return_all_scores", None)
        if isinstance(top_k, int) or top_k is None:
            postprocess |= {"top_k": top_k, "_legacy": False}
        elif return_all_scores is not None:
            warnings.warn(
                "return_all_scores is deprecated: use top_k=None for all scores, top_k=1 for "
                "the best.",
                FutureWarning,
                stacklevel=3,
            )
            postprocess["top_k"] = None if return_all_scores else 1
        if function_to_apply is not None:
            postprocess["function_to_apply"] = function_named(function_to_apply)
        return tokenizer_kwargs, {}, postprocess

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Classify one text (a list of one result), a list of texts, or a dataset."""
        result = super().__call__(inputs, **kwargs)
        return [result] if isinstance(inputs, str) and "top_k" not in kwargs else result

    def preprocess(self, inputs: Any, **tokenizer_kwargs: Any) -> Any:
        """Tokenize one text or pair."""
        if isinstance(inputs, dict):
            return self.tokenizer(**inputs, return_tensors="pt", **tokenizer_kwargs)
        match inputs:
            case [[str(text), str(pair)]]:  # how pairs were once written
                return self.tokenizer(
                    text=text, text_pair=pair, return_tensors="pt", **tokenizer_kwargs
                )
        require_text(
            inputs, "text-classification", 'a string, a dictionary {"text": ..., "text_pair": ...}'
        )
        return self.tokenizer(inputs, return_tensors="pt", **tokenizer_kwargs)

    def preprocess_many(self, inputs: list[Any], **tokenizer_kwargs: Any) -> Any:
        """Tokenize several texts to one length; pairs are left to `preprocess`."""
        if not all(isinstance(text, str) for text in inputs):
            return None
        return self.tokenizer(inputs, return_tensors="pt", **{"padding": True, **tokenizer_kwargs})

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs, **self._without_cache)

    def postprocess(
        self,
        model_outputs: Any,
        function_to_apply: ClassificationFunction | None = None,
        top_k: int | None = 1,
        _legacy: bool = True,
    ) -> Any:
        """Labels and scores of logits (1, labels)."""
        function = function_to_apply or function_for(self.model.config)
        scores = function.apply(model_outputs["logits"][0].float())
        names = self.model.config.id2label
        if top_k == 1 and _legacy:
            best = int(scores.argmax())
            return {"label": names[best], "score": scores[best].item()}
        results = [{"label": names[i], "score": score} for i, score in enumerate(scores.tolist())]
        if _legacy:
            return results
        return sorted(results, key=lambda result: result["score"], reverse=True)[:top_k]


def function_for(config: Any) -> ClassificationFunction:
    """The function that a classifier's config implies."""
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return ClassificationFunction.SIGMOID
    if config.problem_type == "single_label_classification" or config.num_labels > 1:
        return ClassificationFunction.SOFTMAX
    return function_named(getattr(config, "function_to_apply", None) or "none")


def function_named(name: str | ClassificationFunction) -> ClassificationFunction:
    """The function called `name`; `PipelineError` when there is none."""
    try:
        return ClassificationFunction(name.lower())
    except ValueError:
        allowed = ", ".join(ClassificationFunction)
        raise PipelineError(f"function_to_apply={name!r} is none of: {allowed}.") from None
