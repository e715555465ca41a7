"""Every hook a plugin may implement: what it is for, what to return, an example.

All hooks follow one pattern. A plugin module, named by an entry point of the group ``dovetail``,
holds functions marked with `hookimpl`. Each is called once, when somebody first asks Dovetail for a
name that the core does not hold itself, and returns a list of declarations
(`dovetail.declarations`). The rules:

* Return the same list whenever and in whatever process the hook is called. Nothing is registered by
  import side effect.
* Import neither torch nor your models in the plugin module: targets are ``"package.module:Name"``
  strings, imported on first use.
* Return an empty list for "nothing", or leave the hook out.
* A hook that raises or returns something else disables its plugin, with one warning; everything
  else goes on working.

Every hook receives `core_version`, the version of the running core, for plugins that support
several of them. An implementation may leave arguments out, so a later core can add some without
breaking anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from dovetail.declarations import (
        AttentionDeclaration,
        CacheDeclaration,
        CallbackDeclaration,
        CheckDeclaration,
        CommandDeclaration,
        ConverterDeclaration,
        EngineDeclaration,
        ModelDeclaration,
        NamesDeclaration,
        PipelineDeclaration,
        QuantizerDeclaration,
        StrategyDeclaration,
        ToolDeclaration,
    )

PROJECT = "dovetail"

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
"""Marks a function of a plugin module as the implementation of the hook of the same name."""


@hookspec
def dovetail_models(core_version: str) -> list[ModelDeclaration]:
    """Architectures: what the auto classes pick for a ``config.json`` with this `model_type`.

    Config, models, tokenizer and processors become public names of Dovetail. `family` writes the
    declaration of a folder in the house layout.

    Example:
        @hookimpl
        def dovetail_models():
            heads = ("Model", "ForCausalLM")
            return [family("acme", "acme_lm", "Acme", heads, tokenizer="AcmeTokenizer")]
    """


@hookspec
def dovetail_pipelines(core_version: str) -> list[PipelineDeclaration]:
    """Tasks of ``pipeline(task)`` and ``dovetail run``.

    A pipeline subclasses `dovetail.pipelines.Pipeline`; its class becomes a public name.

    Example:
        @hookimpl
        def dovetail_pipelines():
            return [
                PipelineDeclaration(
                    "text-similarity",
                    pipeline="acme_similarity.pipeline:SimilarityPipeline",
                    auto_models=("AutoModel",),
                )
            ]
    """


@hookspec
def dovetail_quantizers(core_version: str) -> list[QuantizerDeclaration]:
    """Quantization methods, chosen by ``quantization_config`` in a call or in ``config.json``.

    The quantizer subclasses `dovetail.quantizers.HfQuantizer`, its config
    `dovetail.quantizers.QuantizationConfigMixin`.

    Example:
        @hookimpl
        def dovetail_quantizers():
            return [
                QuantizerDeclaration(
                    "ternary",
                    quantizer="acme_ternary.quantizer:TernaryQuantizer",
                    config="acme_ternary.config:TernaryConfig",
                )
            ]
    """


@hookspec
def dovetail_attention_implementations(core_version: str) -> list[AttentionDeclaration]:
    """Attention implementations, chosen by ``attn_implementation=name``.

    The function takes and returns what `dovetail.layers.attention.sdpa_attention` does.

    Example:
        @hookimpl
        def dovetail_attention_implementations():
            return [AttentionDeclaration("acme_flash", function="acme_kernels.attention:flash")]
    """


@hookspec
def dovetail_generation_strategies(core_version: str) -> list[StrategyDeclaration]:
    """Ways to generate, run by ``model.generate``: `dovetail.generation.strategies.Strategy`.

    Example:
        @hookimpl
        def dovetail_generation_strategies():
            return [StrategyDeclaration("lookahead", strategy="acme_decoding.loop:Lookahead")]
    """


@hookspec
def dovetail_caches(core_version: str) -> list[CacheDeclaration]:
    """Caches of ``model.generate``, chosen by ``cache_implementation=name``.

    A name ``"quantized/acme"`` is what ``cache_implementation="quantized"`` with
    ``cache_config={"backend": "acme"}`` chooses. The function is called as ``build(model,
    generation_config, rows, length)`` and returns a `dovetail.caches.Cache`.

    Example:
        @hookimpl
        def dovetail_caches():
            return [CacheDeclaration("quantized/acme", build="acme_kernels.caches:build")]
    """


@hookspec
def dovetail_checks(core_version: str) -> list[CheckDeclaration]:
    """What ``dovetail doctor`` looks at besides its own checks.

    The function takes nothing and returns a list of `dovetail.cli.checks.Finding`, empty if all is
    well.

    Example:
        @hookimpl
        def dovetail_checks():
            return [CheckDeclaration("kernels", check="acme_kernels.doctor:kernels")]
    """


@hookspec
def dovetail_tools(core_version: str) -> list[ToolDeclaration]:
    """Tools that an agent may call by name (package ``dovetail-agents``).

    Example:
        @hookimpl
        def dovetail_tools():
            return [ToolDeclaration("weather", tool="acme_weather.tool:WeatherTool")]
    """


@hookspec
def dovetail_engines(core_version: str) -> list[EngineDeclaration]:
    """Engines that answer an agent's messages: from a local model to a remote service.

    Example:
        @hookimpl
        def dovetail_engines():
            return [EngineDeclaration("acme", engine="acme_service.engine:AcmeEngine")]
    """


@hookspec
def dovetail_commands(core_version: str) -> list[CommandDeclaration]:
    """Subcommands of the ``dovetail`` program: a `click.Command`, imported when it is run.

    `help` is the line shown by ``dovetail --help``, which therefore imports no command.

    Example:
        @hookimpl
        def dovetail_commands():
            return [CommandDeclaration("weather", "acme_weather.cli:weather", "Tell the weather.")]
    """


@hookspec
def dovetail_callbacks(core_version: str) -> list[CallbackDeclaration]:
    """Training callbacks, chosen by name in ``TrainingArguments(report_to=...)``.

    Used by the package ``dovetail-training``.

    Example:
        @hookimpl
        def dovetail_callbacks():
            return [CallbackDeclaration("acme", callback="acme_tracking.callback:AcmeCallback")]
    """


@hookspec
def dovetail_converters(core_version: str) -> list[ConverterDeclaration]:
    """Original checkpoint layouts, between which and the Hub's ``dovetail convert`` translates.

    The target is a `dovetail.converting.Layout`.

    Example:
        @hookimpl
        def dovetail_converters():
            return [ConverterDeclaration("acme", "original", "acme_lm.conversion:ORIGINAL")]
    """


@hookspec
def dovetail_names(core_version: str) -> list[NamesDeclaration]:
    """Public names that belong to none of the above, for ``from dovetail import NAME``.

    Example:
        @hookimpl
        def dovetail_names():
            return [NamesDeclaration({"AcmeCollator": "acme_lm.data:AcmeCollator"})]
    """
