"""A sound to labels with scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from dovetail.errors import PipelineError
from dovetail.pipelines import Pipeline
from dovetail_models_audio.audio.reading import load_audio
from dovetail_models_text.pipelines.generating import given
from dovetail_models_text.pipelines.text_classification import (
    ClassificationFunction,
    function_named,
)


class AudioClassificationPipeline(Pipeline):
    """The `top_k` likeliest labels of a sound (default 5), best first, as ``{"score", "label"}``.

    A sound is a path, an address, the bytes of a file, an array (T,) or (C, T) at the rate of the
    model, or ``{"array", "sampling_rate"}`` (or ``"raw"``) at any other; a list is of several
    sounds. `function_to_apply` is ``"softmax"`` (the default), ``"sigmoid"`` or ``"none"``.
    """

    _load_tokenizer = False

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        function_to_apply: str | ClassificationFunction | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        function = None if function_to_apply is None else function_named(function_to_apply)
        return {}, {}, given(top_k=top_k, function_to_apply=function)

    def preprocess(self, audio: Any) -> dict[str, Any]:
        """Read one sound and make the model's features of it."""
        rate = self.feature_extractor.sampling_rate
        samples = read_sound(audio, rate)
        features = self.feature_extractor(samples, sampling_rate=rate, return_tensors="pt")
        return {
            name: value.to(self.torch_dtype) if value.is_floating_point() else value
            for name, value in features.items()
        }

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(
        self,
        model_outputs: Any,
        function_to_apply: ClassificationFunction = ClassificationFunction.SOFTMAX,
        top_k: int = 5,
    ) -> list[dict[str, Any]]:
        """Labels and scores of logits (1, labels)."""
        if top_k < 1:
            raise PipelineError(f"top_k={top_k!r}: at least one label has to be asked for.")
        scores: Tensor = function_to_apply.apply(model_outputs["logits"][0].float())
        values, order = scores.topk(min(top_k, len(scores)))
        names = self.model.config.id2label
        return [
            {"score": score, "label": names[index]}
            for score, index in zip(values.tolist(), order.tolist(), strict=True)
        ]


def read_sound(audio: Any, sampling_rate: int) -> np.ndarray:
    """Samples (T,) at `sampling_rate` hertz of a path, an address, bytes, an array, or a dictionary
    of an array with its own rate.

    Raises:
        PipelineError: a dictionary without array or rate.
    """
    if not isinstance(audio, Mapping):
        return load_audio(audio, sampling_rate)
    samples = audio.get("raw", audio.get("array"))
    rate = audio.get("sampling_rate")
    if samples is None or rate is None:
        raise PipelineError(
            f"A dictionary with the keys {sorted(audio)} is no sound: it needs 'array' (or 'raw') "
            "and 'sampling_rate'."
        )
    return load_audio(np.asarray(samples), sampling_rate, from_rate=rate)
