"""From settings to processors: one line of the table each, in the order in which they apply.

A processor that a setting leaves inactive is not made at all, so it costs nothing per token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.configuration import GenerationConfig, end_tokens
from dovetail.generation.inputs import vocabulary_sizes
from dovetail.generation.processors import constraints, guidance, penalties, warpers
from dovetail.generation.processors.base import LogitsProcessor, LogitsProcessorList
from dovetail.generation.processors.structured import StructuredLogitsProcessor
from dovetail.generation.structured import asked_structure, make_matcher
from dovetail.logging import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True)
class ProcessorRequest:
    """What processors are made from: the settings and facts of one call.

    `prompt_length` counts the tokens before the first new one; `source_ids` (b, S) are the
    encoder's tokens or the prompt's. `model` and the negative prompts are for guidance,
    `tokenizer` for texts of a given form.
    """

    config: GenerationConfig
    prompt_length: int
    source_ids: Tensor | None = None
    prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]] | None = None
    model: Any = None
    negative_prompt_ids: Tensor | None = None
    negative_prompt_attention_mask: Tensor | None = None
    tokenizer: Any = None

    @property
    def free_length(self) -> int:
        """The tokens before the first one that is the model's choice: a forced first token pushes
        it one step back.
        """
        forced = self.prompt_length == 1 and self.config.forced_bos_token_id is not None
        return self.prompt_length + int(forced)

    @property
    def ends(self) -> list[int]:
        """The end tokens, empty when there are none."""
        return list(end_tokens(self.config))

    @property
    def tokens_to_keep(self) -> int:
        """How many tokens a warper must leave: beams need one more than there are ends."""
        return 1 + max(len(self.ends), 1) if self.config.num_beams > 1 else 1

    @property
    def encoder_ids(self) -> Tensor | None:
        """The encoder's token ids, None (with a warning) when its input is something else."""
        if (
            self.source_ids is not None
            and self.source_ids.dim() == 2
            and not self.source_ids.is_floating_point()
        ):
            return self.source_ids
        logger.warning_once(
            "Penalties on the encoder's tokens are ignored: the input holds no token ids."
        )
        return None


Rule = Callable[[ProcessorRequest], LogitsProcessor | None]


def _guidance(request: ProcessorRequest) -> LogitsProcessor | None:
    config = request.config
    ids, mask = request.negative_prompt_ids, request.negative_prompt_attention_mask
    if config.guidance_scale in (None, 1):
        if ids is not None or mask is not None:
            raise GenerationError(
                f"negative_prompt_ids has no use with guidance_scale={config.guidance_scale}: "
                "set guidance_scale above 1"
            )
        return None
    _check_guidance(request)
    rows = config.num_beams if config.num_beams > 1 else config.num_return_sequences
    if rows > 1:
        ids = None if ids is None else ids.repeat_interleave(rows, dim=0)
        mask = None if mask is None else mask.repeat_interleave(rows, dim=0)
    return guidance.UnbatchedClassifierFreeGuidanceLogitsProcessor(
        config.guidance_scale, request.model, ids, mask, use_cache=config.use_cache
    )


def _check_guidance(request: ProcessorRequest) -> None:
    scale, config = request.config.guidance_scale, request.config
    if request.model is None or request.model.config.is_encoder_decoder:
        raise GenerationError(
            f"guidance_scale={scale}: guidance runs a decoder without its prompt, and "
            f"{type(request.model).__name__} is none: leave it at 1"
        )
    if config.num_beam_groups > 1:
        raise GenerationError(
            f"guidance_scale={scale} cannot be combined with num_beam_groups="
            f"{config.num_beam_groups}: set it to 1"
        )
    ids, mask = request.negative_prompt_ids, request.negative_prompt_attention_mask
    if ids is None and not request.prompt_length:
        raise GenerationError(
            f"guidance_scale={scale}: guidance begins with the prompt's last token, and the prompt "
            "is embeddings: pass negative_prompt_ids, or input_ids as well"
        )
    prompts = None if request.source_ids is None else len(request.source_ids)
    if ids is not None and (ids.dim() != 2 or len(ids) != prompts or not ids.shape[1]):
        raise GenerationError(
            f"negative_prompt_ids has shape {tuple(ids.shape)} for {prompts} prompts: "
            "give one row of tokens for each"
        )
    if mask is not None and (ids is None or mask.shape != ids.shape):
        raise GenerationError(
            f"negative_prompt_attention_mask has shape {tuple(mask.shape)}: "
            "it must be that of negative_prompt_ids"
        )


def _sequence_bias(request: ProcessorRequest) -> LogitsProcessor | None:
    bias = request.config.sequence_bias
    return None if bias is None else penalties.SequenceBiasLogitsProcessor(bias)


def _diversity(request: ProcessorRequest) -> LogitsProcessor | None:
    config = request.config
    if not config.diversity_penalty or config.num_beam_groups == 1:
        return None
    return penalties.HammingDiversityLogitsProcessor(
        config.diversity_penalty, config.num_beams, config.num_beam_groups
    )


def _encoder_repetition(request: ProcessorRequest) -> LogitsProcessor | None:
    penalty = request.config.encoder_repetition_penalty
    if penalty in (None, 1.0) or (ids := request.encoder_ids) is None:
        return None
    return penalties.EncoderRepetitionPenaltyLogitsProcessor(penalty, ids)


def _repetition(request: ProcessorRequest) -> LogitsProcessor | None:
    penalty = request.config.repetition_penalty
    return None if penalty in (None, 1.0) else penalties.RepetitionPenaltyLogitsProcessor(penalty)


def _no_repeat_ngram(request: ProcessorRequest) -> LogitsProcessor | None:
    size = request.config.no_repeat_ngram_size
    return penalties.NoRepeatNGramLogitsProcessor(size) if size else None


def _encoder_no_repeat_ngram(request: ProcessorRequest) -> LogitsProcessor | None:
    size = request.config.encoder_no_repeat_ngram_size
    if not size or (ids := request.encoder_ids) is None:
        return None
    return penalties.EncoderNoRepeatNGramLogitsProcessor(size, ids)


def _bad_words(request: ProcessorRequest) -> LogitsProcessor | None:
    words = request.config.bad_words_ids
    return None if words is None else penalties.NoBadWordsLogitsProcessor(words, request.ends)


def _min_length(request: ProcessorRequest) -> LogitsProcessor | None:
    length = request.config.min_length
    if not length or not request.ends:
        return None
    return penalties.MinLengthLogitsProcessor(length, request.ends)


def _min_new_tokens(request: ProcessorRequest) -> LogitsProcessor | None:
    count = request.config.min_new_tokens
    if not count or not request.ends:
        return None
    return penalties.MinNewTokensLengthLogitsProcessor(request.prompt_length, count, request.ends)


def _prefix(request: ProcessorRequest) -> LogitsProcessor | None:
    function, config = request.prefix_allowed_tokens_fn, request.config
    if function is None:
        return None
    return constraints.PrefixConstrainedLogitsProcessor(
        function, config.num_beams // config.num_beam_groups
    )


def _forced_bos(request: ProcessorRequest) -> LogitsProcessor | None:
    token = request.config.forced_bos_token_id
    return None if token is None else constraints.ForcedBOSTokenLogitsProcessor(token)


def _forced_eos(request: ProcessorRequest) -> LogitsProcessor | None:
    tokens, length = request.config.forced_eos_token_id, request.config.max_length
    if tokens is None or length is None:
        return None
    if name := asked_structure(request.config):
        logger.warning_once(
            f"forced_eos_token_id is left out: with {name} a text ends when it is complete."
        )
        return None
    return constraints.ForcedEOSTokenLogitsProcessor(length, tokens)


def _remove_invalid(request: ProcessorRequest) -> LogitsProcessor | None:
    return (
        constraints.InfNanRemoveLogitsProcessor() if request.config.remove_invalid_values else None
    )


def _decay(request: ProcessorRequest) -> LogitsProcessor | None:
    decay = request.config.exponential_decay_length_penalty
    if decay is None or not request.ends:
        return None
    return penalties.ExponentialDecayLengthPenalty(decay, request.ends, request.prompt_length)


def _suppress(request: ProcessorRequest) -> LogitsProcessor | None:
    tokens = request.config.suppress_tokens
    return None if tokens is None else constraints.SuppressTokensLogitsProcessor(tokens)


def _begin_suppress(request: ProcessorRequest) -> LogitsProcessor | None:
    tokens = request.config.begin_suppress_tokens
    if tokens is None:
        return None
    return constraints.SuppressTokensAtBeginLogitsProcessor(tokens, request.free_length)


def _structure(request: ProcessorRequest) -> LogitsProcessor | None:
    config = request.config
    if asked_structure(config) is None:
        return None
    size = None if request.model is None else vocabulary_sizes(request.model)[1]
    matcher = make_matcher(config, request.tokenizer, size)
    return StructuredLogitsProcessor(
        matcher, request.free_length, request.ends, alone=config.num_beams == 1
    )


def _temperature(request: ProcessorRequest) -> LogitsProcessor | None:
    value = request.config.temperature
    return None if value in (None, 1.0) else warpers.TemperatureLogitsWarper(value)


def _top_k(request: ProcessorRequest) -> LogitsProcessor | None:
    count, keep = request.config.top_k, request.tokens_to_keep
    return warpers.TopKLogitsWarper(count, min_tokens_to_keep=keep) if count else None


def _top_p(request: ProcessorRequest) -> LogitsProcessor | None:
    share, keep = request.config.top_p, request.tokens_to_keep
    return (
        None
        if share is None or share >= 1
        else warpers.TopPLogitsWarper(share, min_tokens_to_keep=keep)
    )


def _min_p(request: ProcessorRequest) -> LogitsProcessor | None:
    share, keep = request.config.min_p, request.tokens_to_keep
    return None if share is None else warpers.MinPLogitsWarper(share, min_tokens_to_keep=keep)


def _typical(request: ProcessorRequest) -> LogitsProcessor | None:
    mass, keep = request.config.typical_p, request.tokens_to_keep
    return (
        None
        if mass is None or mass >= 1
        else warpers.TypicalLogitsWarper(mass, min_tokens_to_keep=keep)
    )


def _epsilon(request: ProcessorRequest) -> LogitsProcessor | None:
    cutoff, keep = request.config.epsilon_cutoff, request.tokens_to_keep
    if cutoff is None or not 0 < cutoff < 1:
        return None
    return warpers.EpsilonLogitsWarper(cutoff, min_tokens_to_keep=keep)


def _eta(request: ProcessorRequest) -> LogitsProcessor | None:
    cutoff, keep = request.config.eta_cutoff, request.tokens_to_keep
    if cutoff is None or not 0 < cutoff < 1:
        return None
    return warpers.EtaLogitsWarper(cutoff, min_tokens_to_keep=keep)


def _normalize(request: ProcessorRequest) -> LogitsProcessor | None:
    return constraints.LogitNormalization() if request.config.renormalize_logits else None


def _watermark(request: ProcessorRequest) -> LogitsProcessor | None:
    settings, model = request.config.watermarking_config, request.model
    if settings is None or model is None:
        return None
    return settings.construct_processor(model.config.get_text_config().vocab_size, model.device)


FIRST: tuple[Rule, ...] = (
    _guidance,
    _sequence_bias,
    _diversity,
    _encoder_repetition,
    _repetition,
    _no_repeat_ngram,
    _encoder_no_repeat_ngram,
    _bad_words,
    _min_length,
    _min_new_tokens,
    _prefix,
    _forced_bos,
    _forced_eos,
    _remove_invalid,
    _decay,
    _suppress,
    _begin_suppress,
    _structure,
)
WARPERS: tuple[Rule, ...] = (_temperature, _top_k, _top_p, _min_p, _typical, _epsilon, _eta)
LAST: tuple[Rule, ...] = (_watermark, _normalize)


def make_processors(
    request: ProcessorRequest, custom: LogitsProcessorList | list[LogitsProcessor] | None = None
) -> LogitsProcessorList:
    """The processors that settings ask for, with the caller's own between penalties and warpers.

    Raises GenerationError when `custom` holds a processor of a kind that the settings ask for.
    """
    own = LogitsProcessorList(_made(FIRST, request))
    refuse_doubles("logits_processor", own, custom or ())
    own.extend(custom or ())
    if request.config.do_sample:
        own.extend(_made(WARPERS, request))
    own.extend(_made(LAST, request))
    return own


def _made(rules: tuple[Rule, ...], request: ProcessorRequest) -> list[LogitsProcessor]:
    return [processor for rule in rules if (processor := rule(request)) is not None]


def refuse_doubles(argument: str, made: list[Any], custom: object) -> None:
    """Raise GenerationError when the caller gives an object of a kind that was made already."""
    kinds = {type(entry) for entry in made}
    for entry in custom:  # type: ignore[attr-defined]
        if type(entry) in kinds:
            raise GenerationError(
                f"{argument} holds a {type(entry).__name__}, and the generation settings ask for "
                "one as well: "
                "give either the object or the setting"
            )
