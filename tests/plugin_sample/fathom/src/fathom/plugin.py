"""What the package provides."""

from dovetail import hookimpl
from dovetail.declarations import (
    AttentionDeclaration,
    CommandDeclaration,
    NamesDeclaration,
    PipelineDeclaration,
    QuantizerDeclaration,
    ToolDeclaration,
    family,
)


@hookimpl
def dovetail_models():
    return [
        family("fathom", "fathom", "Fathom", ("Model", "ForCausalLM"), tokenizer="FathomTokenizer")
    ]


@hookimpl
def dovetail_attention_implementations():
    return [AttentionDeclaration("fathom_by_head", function="fathom.attention:attention_by_head")]


@hookimpl
def dovetail_pipelines():
    return [
        PipelineDeclaration(
            "surprise",
            pipeline="fathom.surprise:SurprisePipeline",
            auto_models=("AutoModelForCausalLM",),
        )
    ]


@hookimpl
def dovetail_quantizers():
    return [
        QuantizerDeclaration(
            "ternary",
            quantizer="fathom.ternary:TernaryQuantizer",
            config="fathom.ternary:TernaryConfig",
        )
    ]


@hookimpl
def dovetail_tools():
    return [ToolDeclaration("echo_sounder", tool="fathom.tool:EchoSounder")]


@hookimpl
def dovetail_commands():
    return [CommandDeclaration("fathom", command="fathom.cli:fathom", help="Measure a text.")]


@hookimpl
def dovetail_names():
    return [NamesDeclaration({"FATHOM_IN_METRES": "fathom.tool:FATHOM_IN_METRES"})]
