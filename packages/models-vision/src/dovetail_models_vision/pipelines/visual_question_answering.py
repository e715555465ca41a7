"""A question about a picture to answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from dovetail.errors import PipelineError
from dovetail.pipelines import Pipeline
from dovetail.pipelines.batching import PadCollate
from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import ImagePipeline
from dovetail_models_vision.pipelines.labels import best_labels


class VisualQuestionAnsweringPipeline(ImagePipeline):
    """Answers to a `question` about a picture, as ``{"answer", "score"}``, best first, `top_k` of
    them (default 5) with models that choose among answers they know; others write one, without a
    score, and take `generate_kwargs`.

    Inputs may also be mappings ``{"image", "question"}``. `padding` and `truncation` go to the
    tokenizer.
    """

    def __call__(self, image: Any = None, question: Any = None, **kwargs: Any) -> Any:
        """The answers to one question on one picture; lists of answers for a list of pictures, of
        questions, or of both, each picture with each question."""
        image = kwargs.pop("images", image)
        if isinstance(image, tuple):
            image = list(image)
        if isinstance(question, list | tuple) and image is not None:
            pictures = image if isinstance(image, list) else [image]
            image = [{"image": one, "question": text} for one in pictures for text in question]
        elif question is not None:
            kwargs["question"] = question
        return super().__call__(image, **kwargs)

    def _sanitize_parameters(
        self,
        question: str | None = None,
        top_k: int | None = None,
        padding: Any = None,
        truncation: Any = None,
        timeout: float | None = None,
        generate_kwargs: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = given(
            question=question, padding=padding, truncation=truncation, timeout=timeout
        )
        return preprocess, dict(generate_kwargs or {}), given(top_k=top_k)

    def preprocess(
        self,
        inputs: Any,
        question: str | None = None,
        padding: Any = False,
        truncation: Any = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Prepare one picture and tokenize its question."""
        if isinstance(inputs, Mapping):
            inputs, question = inputs.get("image"), inputs.get("question", question)
        if not isinstance(question, str):
            raise PipelineError(
                f"question={question!r}: pass a picture and question=..., or "
                '{"image": ..., "question": ...}.'
            )
        tokens = self.tokenizer(
            question, return_tensors="pt", padding=padding, truncation=truncation
        )
        return {**tokens, **self.prepare(self.read(inputs, timeout))}

    def _forward(self, model_inputs: dict[str, Any], **generate_kwargs: Any) -> Any:
        if hasattr(self.model, "generate"):
            return {"sequences": self.model.generate(**model_inputs, **generate_kwargs)}
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any, top_k: int = 5) -> list[dict[str, Any]]:
        """What was written, or the best of the answers that the model knows."""
        if "sequences" in model_outputs:
            texts = self.tokenizer.batch_decode(
                model_outputs["sequences"], skip_special_tokens=True
            )
            return [{"answer": text.strip()} for text in texts]
        scores = model_outputs["logits"][0].float().sigmoid()
        best = best_labels(scores, self.model.config.id2label, top_k)
        return [{"score": one["score"], "answer": one["label"]} for one in best]

    def _collate(self) -> PadCollate:
        return Pipeline._collate(self)

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture above its answers, and the question where it came with the picture."""
        apart = isinstance(inputs, Mapping)
        scored = [{"label": one["answer"], "score": one.get("score")} for one in result]
        lines = [*([inputs["question"]] if apart else []), *drawing.label_lines(scored)]
        return drawing.with_lines(self.read(inputs["image"] if apart else inputs), lines)
