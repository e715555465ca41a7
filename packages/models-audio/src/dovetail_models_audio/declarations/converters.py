"""The table of the original layouts that this distribution converts."""

from __future__ import annotations

from dovetail.declarations import ConverterDeclaration


def layout(model_type: str, name: str, target: str, summary: str) -> ConverterDeclaration:
    """The layout `target` of a family's `conversion.py`."""
    folder = model_type.replace("-", "_")
    module = f"dovetail_models_audio.{folder}.conversion"
    return ConverterDeclaration(model_type, name, f"{module}:{target}", summary)


CONVERTERS = (
    layout("audio-spectrogram-transformer", "mit", "MIT", "audioset_*.pth, speechcommands_*.pth"),
    layout("whisper", "openai", "OPENAI", "OpenAI's tiny.pt, base.pt, large-v3.pt and the like"),
)
