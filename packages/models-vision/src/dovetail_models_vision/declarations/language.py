"""Vision-language models: they write about pictures and videos."""

from __future__ import annotations

from dovetail.declarations import ModelDeclaration
from dovetail_models_vision.declarations.family import family

LANGUAGE: tuple[ModelDeclaration, ...] = (
    family(
        "vision-encoder-decoder",
        "VisionEncoderDecoder",
        (),
        auto={"AutoModelForVision2Seq": "VisionEncoderDecoderModel"},
        models=(),
    ),
)
