"""Text to the hidden states of a model."""

from __future__ import annotations

from typing import Any

from dovetail.errors import PipelineError
from dovetail.pipelines import Pipeline
from dovetail_models_text.pipelines.text_input import require_text


class FeatureExtractionPipeline(Pipeline):
    """The first output of a base model, usually its last hidden state, as nested lists (1, T, D).

    Arguments of a call: `truncation`, `tokenize_kwargs` (for the tokenizer) and `return_tensors`
    (a tensor in place of lists).

    >>> pipe = pipeline(
    ...     "feature-extraction", "sentence-transformers/all-MiniLM-L6-v2"
    ... )  # doctest: +SKIP
    >>> len(pipe("Hello world")[0][0])  # doctest: +SKIP
    384
    """

    def _sanitize_parameters(
        self,
        truncation: bool | str | None = None,
        tokenize_kwargs: dict[str, Any] | None = None,
        return_tensors: bool | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = dict(tokenize_kwargs or {})
        if truncation is not None:
            if "truncation" in preprocess:
                raise PipelineError(
                    f"truncation={truncation!r} was given, and also inside tokenize_kwargs: give "
                    "it once."
                )
            preprocess["truncation"] = truncation
        postprocess = {} if return_tensors is None else {"return_tensors": return_tensors}
        return preprocess, {}, postprocess

    def preprocess(self, inputs: str, **tokenize_kwargs: Any) -> Any:
        """Tokenize one text."""
        require_text(inputs, "feature-extraction")
        return self.tokenizer(inputs, return_tensors="pt", **tokenize_kwargs)

    def preprocess_many(self, inputs: list[str], **tokenize_kwargs: Any) -> Any:
        """Tokenize several texts to one length."""
        for text in inputs:
            require_text(text, "feature-extraction")
        return self.tokenizer(inputs, return_tensors="pt", **{"padding": True, **tokenize_kwargs})

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any, return_tensors: bool = False) -> Any:
        """The first output (1, T, D), as lists unless a tensor is asked for."""
        return model_outputs[0] if return_tensors else model_outputs[0].tolist()
