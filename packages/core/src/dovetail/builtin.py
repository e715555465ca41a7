"""What the core itself provides, through the same hooks as every plugin."""

from __future__ import annotations

from dovetail.declarations import (
    AttentionDeclaration,
    CacheDeclaration,
    CommandDeclaration,
    StrategyDeclaration,
)
from dovetail.hookspecs import hookimpl

STRATEGIES = "dovetail.generation.strategies"
ATTENTION = "dovetail.layers.attention"
CACHES = "dovetail.generation.caching"


@hookimpl
def dovetail_attention_implementations() -> list[AttentionDeclaration]:
    """The attention kernels that torch and, where installed, flash-attn bring."""
    return [
        AttentionDeclaration("eager", f"{ATTENTION}:eager_attention"),
        AttentionDeclaration("flash_attention_2", f"{ATTENTION}:flash_attention"),
        AttentionDeclaration("flex_attention", f"{ATTENTION}:flex_attention"),
        AttentionDeclaration("sdpa", f"{ATTENTION}:sdpa_attention"),
    ]


@hookimpl
def dovetail_commands() -> list[CommandDeclaration]:
    """The subcommands of the program that need no other package."""
    return [
        CommandDeclaration("chat", "dovetail.cli.chat:chat", "Talk to a model."),
        CommandDeclaration(
            "convert",
            "dovetail.cli.convert:convert",
            "Convert a checkpoint between its original layout and the Hub's.",
        ),
        CommandDeclaration(
            "doctor", "dovetail.cli.doctor:doctor", "Find and explain what is broken."
        ),
        CommandDeclaration(
            "download", "dovetail.cli.download:download", "Fetch a model or dataset into the cache."
        ),
        CommandDeclaration("env", "dovetail.cli.env:env", "Show versions, devices and settings."),
        CommandDeclaration(
            "new-plugin", "dovetail.cli.new_plugin:new_plugin", "Write a new plugin package."
        ),
        CommandDeclaration(
            "plugins", "dovetail.cli.plugins:plugins", "List plugins and what they provide."
        ),
        CommandDeclaration("run", "dovetail.cli.run:run", "Run a task on files, folders or text."),
    ]


@hookimpl
def dovetail_caches() -> list[CacheDeclaration]:
    """The caches of `dovetail.caches` and, in plain torch, the backends of the quantized one."""
    return [
        CacheDeclaration("dynamic", f"{CACHES}:dynamic_cache"),
        CacheDeclaration("hybrid", f"{CACHES}:hybrid_cache"),
        CacheDeclaration("mamba", f"{CACHES}:mamba_cache"),
        CacheDeclaration("offloaded", f"{CACHES}:offloaded_cache"),
        CacheDeclaration("offloaded_static", f"{CACHES}:offloaded_static_cache"),
        CacheDeclaration("quantized", f"{CACHES}:quantized_cache"),
        CacheDeclaration("quantized/HQQ", f"{CACHES}:hqq_cache"),
        CacheDeclaration("quantized/quanto", f"{CACHES}:quanto_cache"),
        CacheDeclaration("sliding_window", f"{CACHES}:sliding_window_cache"),
        CacheDeclaration("static", f"{CACHES}:static_cache"),
    ]


@hookimpl
def dovetail_generation_strategies() -> list[StrategyDeclaration]:
    """The ways to generate that need no other package."""
    return [
        StrategyDeclaration("assisted_generation", f"{STRATEGIES}.assisted:AssistedGeneration"),
        StrategyDeclaration("beam_sample", f"{STRATEGIES}.beam_search:BeamSearch"),
        StrategyDeclaration("beam_search", f"{STRATEGIES}.beam_search:BeamSearch"),
        StrategyDeclaration(
            "constrained_beam_search", f"{STRATEGIES}.constrained_beam_search:ConstrainedBeamSearch"
        ),
        StrategyDeclaration(
            "contrastive_search", f"{STRATEGIES}.contrastive_search:ContrastiveSearch"
        ),
        StrategyDeclaration("dola_generation", f"{STRATEGIES}.dola:ContrastingLayers"),
        StrategyDeclaration("greedy_search", f"{STRATEGIES}.sampling:Sampling"),
        StrategyDeclaration("group_beam_search", f"{STRATEGIES}.group_beam_search:GroupBeamSearch"),
        StrategyDeclaration("sample", f"{STRATEGIES}.sampling:Sampling"),
    ]
