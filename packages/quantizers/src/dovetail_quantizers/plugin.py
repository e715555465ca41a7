"""What `dovetail-quantizers` provides: declarations only, nothing is imported."""

from __future__ import annotations

from dovetail import hookimpl
from dovetail.declarations import CheckDeclaration, QuantizerDeclaration

PACKAGE = "dovetail_quantizers"


def method(name: str, folder: str, prefix: str, config: str | None = None) -> QuantizerDeclaration:
    """A method: its quantizer is ``<prefix>Quantizer``, its config ``<config or prefix>Config``."""
    return QuantizerDeclaration(
        name,
        quantizer=f"{PACKAGE}.{folder}.quantizers:{prefix}Quantizer",
        config=f"{PACKAGE}.{folder}.configuration:{config or prefix}Config",
    )


METHODS = (
    method("awq", "awq", "Awq"),
    method("bitsandbytes_4bit", "bitsandbytes", "Bnb4BitHf", "BitsAndBytes"),
    method("bitsandbytes_8bit", "bitsandbytes", "Bnb8BitHf", "BitsAndBytes"),
    method("compressed-tensors", "compressed_tensors", "CompressedTensorsHf", "CompressedTensors"),
    method("fbgemm_fp8", "fp8", "FbgemmFp8Hf", "FbgemmFp8"),
    method("fp8", "fp8", "FineGrainedFP8Hf", "FineGrainedFP8"),
    method("gptq", "gptq", "GptqHf", "GPTQ"),
    method("half", "native", "Half"),
    method("hqq", "hqq", "HqqHf", "Hqq"),
    method("int4", "native", "Int4"),
    method("int8", "native", "Int8"),
    method("quanto", "quanto", "QuantoHf", "Quanto"),
)


@hookimpl
def dovetail_quantizers() -> list[QuantizerDeclaration]:
    """The quantization methods of this distribution."""
    return list(METHODS)


@hookimpl
def dovetail_checks() -> list[CheckDeclaration]:
    """Which kernels multiply packed weights on this machine."""
    return [CheckDeclaration("quantization kernels", f"{PACKAGE}.doctor:kernels")]
