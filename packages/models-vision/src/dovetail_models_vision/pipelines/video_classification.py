"""A video to labels with scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from dovetail.errors import PipelineError
from dovetail_models_text.pipelines.generating import given
from dovetail_models_text.pipelines.text_classification import (
    ClassificationFunction,
    function_named,
)
from dovetail_models_vision.images.exact import from_input, pil_image
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import ImagePipeline
from dovetail_models_vision.pipelines.labels import best_labels
from dovetail_models_vision.videos.formats import are_frames, is_valid_video
from dovetail_models_vision.videos.loading import load_video


class VideoClassificationPipeline(ImagePipeline):
    """The `top_k` likeliest labels of a video (default 5), best first, as ``{"score", "label"}``.

    A video is a path, an address, the bytes of a file, an array (T, H, W, 3), or a tuple of frames;
    a list is of several videos. Of its frames the model sees `num_frames` (``config.num_frames``),
    from the first on, each the `frame_sampling_rate`-th (1). `function_to_apply` is
    ``"softmax"`` (the default), ``"sigmoid"`` or ``"none"``; `timeout` bounds a download, in
    seconds.
    """

    _load_tokenizer = False

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:
        """The result for one video, a list for a list, an iterator for a dataset or generator;
        `videos` is another name of `inputs`."""
        inputs = kwargs.pop("videos", inputs)
        if inputs is None:
            raise PipelineError(
                f"The task {self.task!r} needs a video: pass a path, an address, or frames, or a "
                "list of these."
            )
        if isinstance(inputs, tuple) and are_frames(inputs):
            inputs = np.stack([np.asarray(frame) for frame in inputs])
        return super().__call__(inputs, **kwargs)

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        num_frames: int | None = None,
        frame_sampling_rate: int | None = None,
        function_to_apply: str | ClassificationFunction | None = None,
        timeout: float | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name, value in (
            ("num_frames", num_frames),
            ("frame_sampling_rate", frame_sampling_rate),
        ):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise PipelineError(f"{name}={value!r} must be a positive whole number.")
        function = None if function_to_apply is None else function_named(function_to_apply)
        reading = given(
            num_frames=num_frames, frame_sampling_rate=frame_sampling_rate, timeout=timeout
        )
        return reading, {}, given(top_k=top_k, function_to_apply=function)

    def preprocess(
        self,
        video: Any,
        num_frames: int | None = None,
        frame_sampling_rate: int = 1,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Read and prepare the frames of one video."""
        count = num_frames or self.model.config.num_frames
        indices = np.linspace(0, count * frame_sampling_rate - 1, count).astype(int).tolist()
        frames = self.frames(video, indices, timeout)
        return self.in_model_type(self.image_processor(frames, return_tensors="pt"))

    def frames(self, video: Any, indices: list[int], timeout: float | None = None) -> list[Any]:
        """The frames at `indices` of a video."""
        if not is_valid_video(video):
            return list(load_video(video, indices=indices, timeout=timeout))
        if indices[-1] >= len(video):
            raise PipelineError(
                f"The video has {len(video)} frames, and the model asks for number {indices[-1]}: "
                "lower num_frames or frame_sampling_rate."
            )
        return [video[index] for index in indices]

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(
        self,
        model_outputs: Any,
        function_to_apply: ClassificationFunction = ClassificationFunction.SOFTMAX,
        top_k: int = 5,
    ) -> list[dict[str, Any]]:
        """Labels and scores of logits (1, labels)."""
        scores = function_to_apply.apply(model_outputs["logits"][0].float())
        found = best_labels(scores, self.model.config.id2label, top_k)
        return [{"score": one["score"], "label": one["label"]} for one in found]

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The first frame above the labels."""
        (frame,) = self.frames(inputs, [0])
        picture = pil_image(from_input(frame).transpose(1, 2, 0))
        return drawing.with_lines(picture, drawing.label_lines(result))
