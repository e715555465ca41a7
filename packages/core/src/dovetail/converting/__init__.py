"""Converting checkpoints between the layouts of their authors and the Hub's, in both directions.

A family declares a `Layout`; `convert_checkpoint` and ``dovetail convert`` do the rest.
"""

from __future__ import annotations

from dovetail.converting.files import TextFile
from dovetail.converting.flax import FlaxFiles
from dovetail.converting.foreign import NumpyArchive, TensorFlowFiles
from dovetail.converting.layout import Layout, Shapes
from dovetail.converting.pipeline import PipelineFiles
from dovetail.converting.running import Conversion, convert_checkpoint
from dovetail.converting.scripts import ScriptFiles
from dovetail.converting.steps import (
    Crop,
    OneByOne,
    Pad,
    Renames,
    Reshape,
    Reversed,
    RotaryHalves,
    Zeros,
    squeeze,
    unsqueeze,
)
from dovetail.converting.storage import Indexed, Original, Source, Storage, TorchFiles
from dovetail.mapping import Concatenate, Drop, Split, Stack, Transpose

__all__ = [
    "Concatenate",
    "Conversion",
    "Crop",
    "Drop",
    "FlaxFiles",
    "Indexed",
    "Layout",
    "NumpyArchive",
    "OneByOne",
    "Original",
    "Pad",
    "PipelineFiles",
    "Renames",
    "Reshape",
    "Reversed",
    "RotaryHalves",
    "ScriptFiles",
    "Shapes",
    "Source",
    "Split",
    "Stack",
    "Storage",
    "TensorFlowFiles",
    "TextFile",
    "TorchFiles",
    "Transpose",
    "Zeros",
    "convert_checkpoint",
    "squeeze",
    "unsqueeze",
]
