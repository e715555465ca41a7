"""A picture to a text about it."""

from __future__ import annotations

from typing import Any

from PIL import Image

from dovetail.errors import PipelineError
from dovetail_models_text.pipelines.generating import generated, given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import ImagePipeline

WITHOUT_PROMPT = ("vision-encoder-decoder",)
"""Models whose decoder begins with its start token, whatever the caller says."""


class ImageToTextPipeline(ImagePipeline):
    """What a model says of a picture, as ``[{"generated_text"}]``, one record per returned
    sequence.

    `prompt` is the beginning of the text, for models that take one. `max_new_tokens` and
    `generate_kwargs` go to ``generate``.
    """

    def _sanitize_parameters(
        self,
        max_new_tokens: int | None = None,
        generate_kwargs: dict[str, Any] | None = None,
        prompt: str | None = None,
        timeout: float | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        forward = dict(generate_kwargs or {})
        if max_new_tokens is not None:
            if "max_new_tokens" in forward:
                raise PipelineError(
                    f"max_new_tokens={max_new_tokens!r} was given, and also inside "
                    "generate_kwargs: give it once."
                )
            forward["max_new_tokens"] = max_new_tokens
        return given(prompt=prompt, timeout=timeout), forward, {}

    def preprocess(
        self, image: Any, prompt: str | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Read and prepare one picture, and tokenize the prompt."""
        inputs = self.prepare(self.read(image, timeout))
        if prompt is None:
            return inputs
        if not isinstance(prompt, str):
            raise PipelineError(
                f"prompt={prompt!r}: one string for all pictures is needed. For a prompt per "
                "picture, call the pipeline once for each."
            )
        if self.model.config.model_type in WITHOUT_PROMPT:
            raise PipelineError(
                f"prompt={prompt!r}: {type(self.model).__name__} takes no prompt. Leave it out."
            )
        text = self.tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        return {**inputs, **text}

    def _forward(self, model_inputs: dict[str, Any], **generate_kwargs: Any) -> dict[str, Any]:
        batch = len(model_inputs[self.model.main_input_name])
        return {"sequences": generated(self, batch, **model_inputs, **generate_kwargs)}

    def postprocess(self, model_outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Texts of ids (1, sequences, T)."""
        return [
            {"generated_text": self.tokenizer.decode(ids, skip_special_tokens=True)}
            for ids in model_outputs["sequences"][0].tolist()
        ]

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The picture above the texts."""
        lines = [record["generated_text"] for record in result]
        return drawing.with_lines(self.read(inputs), lines)
