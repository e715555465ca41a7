"""What settings of ``generate`` may be: the range of each, which exclude each other, which need
another to have any effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dovetail import registry
from dovetail.errors import GenerationError
from dovetail.generation.checks import (
    FRACTION,
    POSITIVE,
    POSITIVE_REAL,
    REAL,
    TOKEN_ID,
    TOKEN_IDS,
    WHOLE,
    Check,
    is_token_ids,
    optional,
    token_tuple,
)

if TYPE_CHECKING:
    from dovetail.generation.configuration import GenerationConfig

CACHE_IMPLEMENTATIONS = (
    "dynamic",
    "static",
    "offloaded",
    "offloaded_static",
    "sliding_window",
    "hybrid",
    "mamba",
    "quantized",
)
STRUCTURES = ("json_schema", "regex", "grammar")
"""The settings that ask for a text of a given form, one at a time."""
CONFIGURABLE = ("quantized", "static")
"""The caches that take a ``cache_config``."""
EXTRA_OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")

_FLAG = Check("True or False", lambda value: value in (True, False))
_EARLY = Check("True, False or 'never'", lambda value: value in (True, False, "never"))
_TEMPERATURE = Check("a number above 0", lambda value: REAL.holds(value) and value >= 0)
_PENALTY = Check("a number of at least 0", lambda value: REAL.holds(value) and value >= 0)
_CACHE = Check(
    f"one of {', '.join(CACHE_IMPLEMENTATIONS)}, or the name of a plugin's cache",
    lambda name: name in CACHE_IMPLEMENTATIONS or name in registry.caches(),
)
_SCHEDULES = ("constant", "heuristic", "heuristic_transient")
_SCHEDULE = Check(f"one of {', '.join(_SCHEDULES)}", lambda name: name in _SCHEDULES)
_SCHEMA = Check(
    "a JSON schema as a dictionary or as JSON text", lambda value: isinstance(value, dict | str)
)
_TEXT = Check("a string", lambda value: isinstance(value, str))
_PAD = Check("a token id", lambda value: is_token_ids(value) and len(token_tuple(value)) == 1)
_DECAY = Check(
    "a pair: new tokens before it begins, at least 0, and a factor above 0",
    lambda value: (
        isinstance(value, list | tuple)
        and len(value) == 2
        and WHOLE.holds(value[0])
        and POSITIVE_REAL.holds(value[1])
    ),
)
_WATERMARK = Check(
    "a WatermarkingConfig or a dictionary of its settings",
    lambda value: hasattr(value, "construct_processor"),
)
_RANGES: tuple[tuple[Check, tuple[str, ...]], ...] = (
    (POSITIVE, ("num_beams", "num_beam_groups", "num_return_sequences", "num_assistant_tokens")),
    (
        optional(POSITIVE),
        (
            *("max_length", "max_new_tokens", "prefill_chunk_size"),
            *("prompt_lookup_num_tokens", "max_matching_ngram_size"),
        ),
    ),
    (optional(WHOLE), ("min_length", "min_new_tokens", "top_k")),
    (optional(WHOLE), ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size")),
    (
        optional(FRACTION),
        ("top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "penalty_alpha"),
    ),
    (optional(FRACTION), ("assistant_confidence_threshold",)),
    (
        optional(POSITIVE_REAL),
        ("max_time", "repetition_penalty", "encoder_repetition_penalty"),
    ),
    (optional(REAL), ("length_penalty", "guidance_scale")),
    (optional(_TEMPERATURE), ("temperature",)),
    (optional(_PENALTY), ("diversity_penalty",)),
    (optional(TOKEN_ID), ("forced_bos_token_id",)),
    (
        optional(TOKEN_IDS),
        ("bos_token_id", "eos_token_id", "forced_eos_token_id", "decoder_start_token_id"),
    ),
    (optional(TOKEN_IDS), ("suppress_tokens", "begin_suppress_tokens")),
    (
        optional(_FLAG),
        ("do_sample", "use_cache", "renormalize_logits", "remove_invalid_values", "token_healing"),
    ),
    (optional(_FLAG), (*EXTRA_OUTPUTS, "return_dict_in_generate")),
    (optional(_EARLY), ("early_stopping",)),
    (optional(POSITIVE), ("assistant_early_exit", "assistant_lookbehind", "target_lookbehind")),
    (optional(_SCHEMA), ("json_schema",)),
    (optional(_PAD), ("pad_token_id",)),
    (optional(_DECAY), ("exponential_decay_length_penalty",)),
    (optional(_WATERMARK), ("watermarking_config",)),
    (optional(_TEXT), ("regex", "grammar")),
    (optional(_SCHEDULE), ("num_assistant_tokens_schedule",)),
    (optional(_CACHE), ("cache_implementation",)),
)
CHECKS: dict[str, Check] = {name: check for check, names in _RANGES for name in names}


def _zero_temperature(config: GenerationConfig) -> str | None:
    if config.do_sample and config.temperature == 0:
        return (
            "temperature=0 cannot be used with do_sample=True: "
            "give a number above 0, or do_sample=False for greedy search"
        )
    return None


def _too_many_sequences(config: GenerationConfig) -> str | None:
    count = config.num_return_sequences
    if config.num_beams == 1 and count > 1 and not config.do_sample:
        return (
            f"num_return_sequences={count}: greedy search has one result; "
            f"set do_sample=True or num_beams of at least {count}"
        )
    if config.num_beams > 1 and count > config.num_beams:
        return (
            f"num_return_sequences={count} exceeds num_beams={config.num_beams}: "
            "ask for at most that many"
        )
    return None


def _constrained(config: GenerationConfig) -> str | None:
    if config.num_beams == 1 or (config.constraints is None and config.force_words_ids is None):
        return None
    for name, wanted in (("do_sample", False), ("num_beam_groups", 1), ("diversity_penalty", 0.0)):
        if (value := getattr(config, name)) not in (wanted, None):
            return (
                f"{name}={value} cannot be combined with constraints or force_words_ids: "
                f"set it to {wanted}"
            )
    return None


def _grouped(config: GenerationConfig) -> str | None:
    groups, beams = config.num_beam_groups, config.num_beams
    if beams == 1 or (groups == 1 and not config.diversity_penalty):
        return None
    if config.do_sample:
        return (
            "do_sample=True cannot be combined with groups of beams "
            "(num_beam_groups, diversity_penalty): set do_sample=False"
        )
    if beams % groups:
        return f"num_beam_groups={groups} does not divide num_beams={beams}: choose a divisor"
    if groups > 1 and not config.diversity_penalty:
        return (
            f"num_beam_groups={groups} needs a diversity_penalty above 0: "
            "without it all groups are equal"
        )
    return None


def _stray_cache_config(config: GenerationConfig) -> str | None:
    if config.cache_config is not None and config.cache_implementation is None:
        return "cache_config is set without cache_implementation: say which cache it configures"
    name = config.cache_implementation
    if config.cache_config is not None and name in set(CACHE_IMPLEMENTATIONS) - set(CONFIGURABLE):
        return (
            f"cache_config={config.cache_config!r}: the cache {name!r} has no settings: leave it "
            f"out, or set cache_implementation to {' or '.join(map(repr, CONFIGURABLE))}"
        )
    return None


def _incomplete_records(config: GenerationConfig) -> str | None:
    """What needs the whole prompt in one pass."""
    if config.prefill_chunk_size is None:
        return None
    contrasting = config.penalty_alpha and not config.do_sample and config.num_beams == 1
    for name, wanted in (
        ("output_attentions", config.output_attentions),
        ("output_hidden_states", config.output_hidden_states),
        ("penalty_alpha", contrasting),
    ):
        if wanted:
            return (
                f"prefill_chunk_size={config.prefill_chunk_size} reads the prompt in parts, and "
                f"{name}={getattr(config, name)} needs all of it in one pass: leave one of them out"
            )
    return None


def _forced_and_suppressed(config: GenerationConfig) -> str | None:
    forced = token_tuple(config.forced_eos_token_id)
    if not forced or not set(forced) <= set(token_tuple(config.suppress_tokens)):
        return None
    return (
        f"forced_eos_token_id={config.forced_eos_token_id} is in suppress_tokens: "
        "take it out of one of them"
    )


def _structured(config: GenerationConfig) -> str | None:
    asked = [name for name in STRUCTURES if getattr(config, name) is not None]
    if len(asked) > 1:
        return f"{' and '.join(asked)} each ask for a form of the text: give one of them"
    if not asked:
        return None
    if config.penalty_alpha and not config.do_sample and config.num_beams == 1:
        return (
            f"penalty_alpha={config.penalty_alpha} cannot be combined with {asked[0]}: contrastive "
            "search also chooses among tokens of no probability. Leave one of them out"
        )
    if config.constraints is not None or config.force_words_ids is not None:
        return (
            f"{asked[0]} cannot be combined with constraints or force_words_ids, which put tokens "
            "where its form may not allow them: leave one of them out"
        )
    return None


CONTRADICTIONS: tuple[Callable[[GenerationConfig], str | None], ...] = (
    _zero_temperature, _too_many_sequences, _constrained, _grouped, _stray_cache_config,
    _forced_and_suppressed, _structured, _incomplete_records,
)  # fmt: skip

IDLE: tuple[tuple[str, tuple[str, ...], Callable[[GenerationConfig], Any]], ...] = (
    (
        "it applies to sampling, and do_sample is False",
        ("temperature", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"),
        lambda config: config.do_sample,
    ),
    (
        "it applies to sampling, and do_sample is False",
        ("top_k",),
        lambda config: config.do_sample or config.penalty_alpha is not None,
    ),
    (
        "it applies to beam search, and num_beams is 1",
        ("early_stopping", "num_beam_groups", "diversity_penalty", "length_penalty", "constraints"),
        lambda config: config.num_beams > 1,
    ),
    (
        "return_dict_in_generate is False, so that sequences alone are returned",
        EXTRA_OUTPUTS,
        lambda config: config.return_dict_in_generate,
    ),
    (
        "use_cache is False",
        ("cache_implementation", "cache_config", "return_legacy_cache", "prefill_chunk_size"),
        lambda config: config.use_cache,
    ),
)

UNAVAILABLE: dict[str, tuple[tuple[Any, ...], str]] = {
    "forced_decoder_ids": ((None,), "pass the tokens as input_ids or decoder_input_ids"),
}
"""Settings that no processor follows yet: the values that ask for nothing, and what to do."""


def refuse_unavailable(config: GenerationConfig) -> None:
    """Raise `GenerationError` for a setting that would be ignored."""
    for name, (idle, advice) in UNAVAILABLE.items():
        if (value := getattr(config, name)) not in idle:
            raise GenerationError(f"{name}={value!r} is not available: {advice}")
