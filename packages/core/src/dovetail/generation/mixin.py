"""``generate``: settings and prompt in, tokens out.

The method settles everything that is the same for all strategies, in small steps which a model may
override, and hands a `Decoding` to the strategy that the settings ask for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dovetail.caches import Cache
from dovetail.errors import GenerationError
from dovetail.generation import inputs as prompts
from dovetail.generation.caching import adopt_cache, make_cache
from dovetail.generation.call_checks import check_objects, check_tokens
from dovetail.generation.checks import token_tuple
from dovetail.generation.configuration import GenerationConfig, end_tokens
from dovetail.generation.continuous.mixin import ContinuousMixin
from dovetail.generation.criteria import make_criteria
from dovetail.generation.decoding import Decoding
from dovetail.generation.healing import heal_prompt, healed
from dovetail.generation.inputs import Arguments, Prompt
from dovetail.generation.lengths import settle_lengths
from dovetail.generation.processors.base import LogitsProcessor, LogitsProcessorList
from dovetail.generation.processors.table import ProcessorRequest, make_processors
from dovetail.generation.rules import refuse_unavailable
from dovetail.generation.stopping import StoppingCriteria, StoppingCriteriaList
from dovetail.generation.strategies import Strategy, choose
from dovetail.generation.strategies.custom import repository_loop
from dovetail.generation.streamers import BaseStreamer
from dovetail.generation.tokens import TokenBuffer
from dovetail.generation.transitions import transition_scores
from dovetail.logging import get_logger
from dovetail.outputs import ModelOutput

logger = get_logger(__name__)

SEQUENCE_INPUTS = {"position_ids": prompts.following, "token_type_ids": prompts.repeated}
"""Inputs with one column for each token of a decoder's text, and how they go on."""


class GenerationMixin(ContinuousMixin):
    """Gives a model with next-token logits the method `generate`.

    A model whose inputs are peculiar overrides `prepare_inputs_for_generation` (what one forward
    pass gets) and `_update_model_kwargs_for_generation` (what changes from one token to the next).
    """

    generation_config: GenerationConfig
    config: Any
    main_input_name: str
    device: torch.device

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: LogitsProcessorList | list[LogitsProcessor] | None = None,
        stopping_criteria: StoppingCriteriaList | list[StoppingCriteria] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]] | None = None,
        synced_gpus: bool | None = None,
        assistant_model: Any = None,
        streamer: BaseStreamer | None = None,
        negative_prompt_ids: Tensor | None = None,
        negative_prompt_attention_mask: Tensor | None = None,
        custom_generate: str | Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Continue prompts, or decode what an encoder read.

        `inputs` are token ids (B, T), or whatever the model's (encoder's) main input is; `kwargs`
        are settings, which override `generation_config`, which in turn overrides the model's own,
        and further inputs of the model. `tokenizer` is needed for ``stop_strings``,
        ``token_healing`` and texts of a given form.
        `custom_generate` names a registered strategy, or is a function that takes the place of one,
        or a folder or repository with ``custom_generate/generate.py``, whose code is run with
        ``trust_remote_code=True`` alone; otherwise the settings choose a strategy.

        Returns token ids (B * num_return_sequences, T'), prompts included unless an encoder read
        them, or with ``return_dict_in_generate`` one of the outputs of
        `dovetail.generation.outputs`.

        Raises `GenerationError`, before the model runs, for settings and inputs that cannot be.
        """
        self._check_can_generate()
        call = {
            "logits_processor": logits_processor,
            "stopping_criteria": stopping_criteria,
            "prefix_allowed_tokens_fn": prefix_allowed_tokens_fn,
            "synced_gpus": synced_gpus,
            "assistant_model": assistant_model,
            "streamer": streamer,
            "negative_prompt_ids": negative_prompt_ids,
            "negative_prompt_attention_mask": negative_prompt_attention_mask,
        }
        if (loop := repository_loop(custom_generate, kwargs)) is not None:
            return loop(self, inputs=inputs, generation_config=generation_config, **call, **kwargs)
        check_objects(
            logits_processor, stopping_criteria, prefix_allowed_tokens_fn, streamer, synced_gpus
        )
        strategy, decoding = self._prepare_decoding(
            inputs, generation_config, custom_generate, call, kwargs
        )
        with decoding.streaming():
            decoding.prefill()
            return strategy.run(decoding)

    def _prepare_decoding(
        self,
        inputs: Tensor | None,
        generation_config: GenerationConfig | None,
        custom_generate: str | Callable[..., Any] | None,
        call: Arguments,
        kwargs: Arguments,
    ) -> tuple[Strategy, Decoding]:
        """The strategy, and all that it needs, for a call of ``generate`` with the further named
        arguments `call` and `kwargs`: everything is checked on the way, and then what an encoder
        reads is read.
        """
        tokenizer, streamer = kwargs.pop("tokenizer", None), call["streamer"]
        arguments = {
            "assistant_model": call["assistant_model"],
            "assistant_tokenizer": kwargs.pop("assistant_tokenizer", None),
        }
        config, model_kwargs = self._prepare_generation_config(generation_config, **kwargs)
        strategy = choose(config, arguments, custom_generate)
        wants_another = strategy.needs_growing_cache or kwargs.get("past_key_values") is not None
        if wants_another and "cache_implementation" not in kwargs:
            self._drop_own_cache(config)
        strategy.check(config, arguments, streamer)
        own = model_kwargs.keys() & set(strategy.arguments)
        arguments |= {name: model_kwargs.pop(name) for name in own}
        prompts.check_model_kwargs(self, model_kwargs)
        prompt, model_kwargs = self._prepare_prompt(inputs, config, model_kwargs)
        strategy.check_prompt(self, prompt, {"tokenizer": tokenizer, **arguments})
        if config.token_healing:
            prompt, model_kwargs = heal_prompt(self, prompt, config, model_kwargs, tokenizer)
        settle_lengths(config, prompt.length, prompt.embedded, kwargs.get("max_length") is not None)
        request = ProcessorRequest(
            config,
            prompt.length,
            prompt.source,
            call["prefix_allowed_tokens_fn"],
            self,
            call["negative_prompt_ids"],
            call["negative_prompt_attention_mask"],
            tokenizer,
        )
        processors = make_processors(request, call["logits_processor"])
        criteria = make_criteria(config, self.config, tokenizer, call["stopping_criteria"])
        rows = strategy.rows_per_prompt(config)
        input_ids, model_kwargs = self._prepare_model_kwargs(prompt, rows, config, model_kwargs)
        decoding = Decoding(
            model=self,
            config=config,
            tokens=TokenBuffer(input_ids),
            model_kwargs=model_kwargs,
            processors=processors,
            stopping=criteria,
            streamer=streamer,
            synced_gpus=bool(call["synced_gpus"]),
            arguments={"tokenizer": tokenizer, **arguments},
            prompt=prompt,
        )
        return strategy, decoding

    # What a model may override

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        cache_position: Tensor | None = None,
        **kwargs: Any,
    ) -> Arguments:
        """Arguments of one forward pass: of all tokens so far (B, T) those which the cache does not
        hold yet.
        """
        fresh = input_ids.shape[1] if cache_position is None else cache_position.shape[0]
        accepted = prompts.forward_parameters(self)
        inputs: Arguments = {"past_key_values": past_key_values, "attention_mask": attention_mask}
        if inputs_embeds is not None and not self.config.is_encoder_decoder:
            inputs["inputs_embeds"] = inputs_embeds
        else:
            name = "decoder_input_ids" if self.config.is_encoder_decoder else "input_ids"
            inputs[name] = input_ids[:, -fresh:] if fresh < input_ids.shape[1] else input_ids
        inputs["cache_position"] = cache_position
        for name, value in kwargs.items():
            inputs[name] = (
                value[:, -fresh:] if name in SEQUENCE_INPUTS and value is not None else value
            )
        return {
            name: value for name, value in inputs.items() if value is not None and name in accepted
        }

    def _update_model_kwargs_for_generation(
        self,
        outputs: ModelOutput,
        model_kwargs: Arguments,
        is_encoder_decoder: bool = False,
        num_new_tokens: int = 1,
    ) -> Arguments:
        """The arguments for the next `num_new_tokens`, after a forward pass with these `outputs`;
        changes `model_kwargs`.
        """
        cache = getattr(outputs, "past_key_values", None)
        if cache is not None:
            model_kwargs["past_key_values"] = cache
        if not is_encoder_decoder:
            model_kwargs.pop("inputs_embeds", None)
        name = "decoder_attention_mask" if is_encoder_decoder else "attention_mask"
        if (mask := model_kwargs.get(name)) is not None:
            model_kwargs[name] = torch.cat(
                (mask, mask.new_ones(mask.shape[0], num_new_tokens)), dim=-1
            )
        columns = {"cache_position": prompts.following}
        if not is_encoder_decoder:
            columns |= SEQUENCE_INPUTS
        for name, continued in columns.items():
            if (old := model_kwargs.get(name)) is not None:
                new = continued(old, num_new_tokens)
                model_kwargs[name] = new if cache is not None else torch.cat((old, new), dim=-1)
        return model_kwargs

    def _reorder_cache(self, past_key_values: Any, beam_idx: Tensor) -> Any:
        """The cache with row ``i`` taken from the old row ``beam_idx[i]``."""
        past_key_values.reorder_cache(beam_idx)
        return past_key_values

    def _prepare_encoder_decoder_kwargs_for_generation(
        self,
        inputs_tensor: Tensor,
        model_kwargs: Arguments,
        model_input_name: str,
        generation_config: GenerationConfig,
    ) -> Arguments:
        """Run the encoder on `inputs_tensor` and add its output as ``encoder_outputs``."""
        encoder = self.get_encoder()  # type: ignore[attr-defined]
        accepted = prompts.forward_parameters(encoder)
        encoder_kwargs = {
            name: value
            for name, value in model_kwargs.items()
            if name in accepted
            and value is not None
            and not name.startswith(("decoder_", "cross_attn", "use_cache"))
        }
        encoder_kwargs[model_input_name] = inputs_tensor
        for flag in ("output_attentions", "output_hidden_states"):
            if getattr(generation_config, flag):
                encoder_kwargs[flag] = True
        model_kwargs["encoder_outputs"] = encoder(**encoder_kwargs, return_dict=True)
        return model_kwargs

    @staticmethod
    def _expand_inputs_for_generation(
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Tensor | None, Arguments]:
        """Repeat each row of all inputs `expand_size` times."""
        if expand_size > 1:
            model_kwargs = prompts.expand(model_kwargs, expand_size)
            input_ids = (
                None if input_ids is None else input_ids.repeat_interleave(expand_size, dim=0)
            )
        return input_ids, model_kwargs

    def _prepare_cache(
        self, generation_config: GenerationConfig, rows: int, max_length: int
    ) -> Any:
        """A fresh cache for `rows` texts of up to `max_length` tokens. Models with a cache of their
        own kind make it here.
        """
        return make_cache(self, generation_config, rows, max_length)

    def heal_tokens(self, input_ids: Tensor, tokenizer: Any = None) -> Tensor:
        """Prompts (B, T) whose last token is regenerated, as one that extends its text: so a text
        that was cut within a word goes on well. Returns ids (B, T'), padded on the left.
        """
        return healed(self, input_ids, tokenizer, self._own_generation_config())[0]

    # The steps before the loop

    def _check_can_generate(self) -> None:
        if not self.can_generate():  # type: ignore[attr-defined]
            raise GenerationError(
                f"{type(self).__name__} has no next-token logits, so it cannot generate: "
                "load the checkpoint with AutoModelForCausalLM or AutoModelForSeq2SeqLM"
            )

    def _prepare_generation_config(
        self, generation_config: GenerationConfig | None, **kwargs: Any
    ) -> tuple[GenerationConfig, Arguments]:
        """The settings of this call, and those `kwargs` that are none."""
        own = self._own_generation_config()
        if not isinstance(generation_config, GenerationConfig | None):
            raise GenerationError(
                f"generation_config is a {type(generation_config).__name__}: "
                "give a GenerationConfig, or the settings as keywords"
            )
        config = copy.copy(own if generation_config is None else generation_config)
        model_kwargs = config.update(**kwargs)
        refuse_unavailable(config)
        if generation_config is not None:
            for name in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"):
                if getattr(config, name) is None:
                    setattr(config, name, getattr(own, name))
        return config, model_kwargs

    def _drop_own_cache(self, config: GenerationConfig) -> None:
        """Forget the kind of cache that is the model's default, so that it is a growing one."""
        if config.cache_implementation == self.generation_config.cache_implementation:
            config.cache_implementation = None

    def _own_generation_config(self) -> GenerationConfig:
        """The model's settings, or those that were changed in its config after construction."""
        own = self.generation_config
        if own._is_untouched_copy and (derived := type(own).from_model_config(self.config)) != own:
            logger.warning_once(
                "Generation settings were changed in model.config, and are followed: "
                "better change model.generation_config."
            )
            self.generation_config = derived
        return self.generation_config

    def _prepare_prompt(
        self, inputs: Any, config: GenerationConfig, model_kwargs: Arguments
    ) -> tuple[Prompt, Arguments]:
        """Find, check and complete the prompt."""
        read, written = prompts.vocabulary_sizes(self)
        source, name, model_kwargs = self._prepare_model_inputs(
            inputs, config.bos_token_id, model_kwargs
        )
        given = model_kwargs.get("encoder_outputs") is not None
        if not given:
            source = prompts.check_prompt(source, name, read)
        check_tokens(config, written, self.generation_config)
        self._prepare_special_tokens(config)
        mask = model_kwargs.get("attention_mask")
        if mask is not None:
            prompts.check_mask(mask, source, name)
        elif (
            name == "input_ids"
            and not given
            and "attention_mask" in prompts.forward_parameters(self)
        ):
            mask = prompts.infer_mask(source, config)
        if mask is not None and mask.dim() == 2 and bool(mask.all()):
            mask = None  # hides nothing: attention without a mask is faster
        model_kwargs["attention_mask"] = mask
        if self.config.is_encoder_decoder:
            input_ids, model_kwargs = self._prepare_decoder_input_ids_for_generation(
                len(source),
                name,
                model_kwargs,
                token_tuple(config.decoder_start_token_id),
                source.device,
            )
            input_ids = prompts.check_prompt(input_ids, "decoder_input_ids", written)
        else:
            input_ids = source if name == "input_ids" else model_kwargs.pop("input_ids")
            prompts.warn_of_right_padding(input_ids, config)
        reads_embeddings = name == "inputs_embeds" and not self.config.is_encoder_decoder
        return Prompt(source, name, input_ids, reads_embeddings), model_kwargs

    def _prepare_model_inputs(
        self, inputs: Tensor | None, bos_token_id: int | None, model_kwargs: Arguments
    ) -> tuple[Tensor, str, Arguments]:
        """The main input, its name and the other arguments: token ids, embeddings, or what an
        encoder reads.
        """
        name = self.main_input_name
        if self.config.is_encoder_decoder:
            name = getattr(self.get_encoder(), "main_input_name", name)  # type: ignore[attr-defined]
        rest = {key: value for key, value in model_kwargs.items() if value is not None}
        named = rest.pop(name, None)
        if inputs is not None and named is not None:
            raise GenerationError(
                f"both inputs and {name} are given: they are the same argument, so pass one of them"
            )
        inputs = named if inputs is None else inputs
        embeds = rest.get("inputs_embeds")
        if name == "input_ids" and embeds is not None:
            if not self.config.is_encoder_decoder:
                rest["input_ids"] = (
                    embeds.new_ones(len(embeds), 0, dtype=torch.long) if inputs is None else inputs
                )
                return embeds, "inputs_embeds", rest
            if inputs is not None:
                raise GenerationError(
                    "both token ids and inputs_embeds are given to the encoder: pass one of them"
                )
            return rest.pop("inputs_embeds"), "inputs_embeds", rest
        return (self._initial_ids(bos_token_id, rest) if inputs is None else inputs), name, rest

    def _initial_ids(self, bos_token_id: int | None, model_kwargs: Arguments) -> Tensor:
        """Ids to begin with when the caller gives none: one begin token a row, or stand-ins for
        what an encoder read already.
        """
        encoded = model_kwargs.get("encoder_outputs")
        if self.config.is_encoder_decoder and encoded is not None:
            return torch.full(
                encoded[0].shape[:-1], -100, dtype=torch.long, device=encoded[0].device
            )
        if bos_token_id is None:
            raise GenerationError(
                "generate() needs a prompt: pass inputs or input_ids, "
                "or set bos_token_id to begin with"
            )
        rows = next((len(value) for value in model_kwargs.values() if isinstance(value, Tensor)), 1)
        return torch.full(
            (rows, 1), token_tuple(bos_token_id)[0], dtype=torch.long, device=self.device
        )

    def _prepare_special_tokens(self, config: GenerationConfig) -> None:
        ends = end_tokens(config)
        if config.pad_token_id is None and ends:
            config.pad_token_id = ends[0]
            logger.warning_once(
                "pad_token_id is not set: texts that end early are padded with "
                f"eos_token_id={ends[0]}."
            )
        if not self.config.is_encoder_decoder:
            return
        if config.decoder_start_token_id is None:
            config.decoder_start_token_id = config.bos_token_id
        if config.decoder_start_token_id is None:
            raise GenerationError(
                "decoder_start_token_id is not set, nor bos_token_id: "
                "set one to begin decoding with"
            )

    def _prepare_decoder_input_ids_for_generation(
        self,
        batch_size: int,
        model_input_name: str,
        model_kwargs: Arguments,
        decoder_start: tuple[int, ...],
        device: torch.device,
    ) -> tuple[Tensor, Arguments]:
        """What the decoder begins with (B, T): the caller's ``decoder_input_ids`` behind the start
        token, or the start token alone.
        """
        given = model_kwargs.pop("decoder_input_ids", None)
        if given is None and model_input_name != "input_ids":
            given = model_kwargs.pop("input_ids", None)
        if len(decoder_start) not in (1, batch_size):
            raise GenerationError(
                f"decoder_start_token_id lists {len(decoder_start)} tokens for {batch_size} "
                "prompts: give one, or one for each"
            )
        start = torch.tensor(decoder_start, dtype=torch.long, device=device).expand(batch_size)[
            :, None
        ]  # (B, 1)
        if given is None:
            return start.contiguous(), model_kwargs
        if len(given) != batch_size:
            raise GenerationError(
                f"decoder_input_ids has {len(given)} rows and the encoder's input {batch_size}: "
                "they must agree"
            )
        if bool((given[:, :1] != start).all()):
            given = torch.cat((start, given), dim=-1)
            if (mask := model_kwargs.get("decoder_attention_mask")) is not None:
                model_kwargs["decoder_attention_mask"] = torch.cat(
                    (torch.ones_like(mask)[:, :1], mask), dim=-1
                )
        return given, model_kwargs

    def _prepare_model_kwargs(
        self, prompt: Prompt, rows: int, config: GenerationConfig, model_kwargs: Arguments
    ) -> tuple[Tensor, Arguments]:
        """Run the encoder, repeat rows, and add cache and positions: all that the first forward
        pass needs.
        """
        accepted = prompts.forward_parameters(self)
        cached = "past_key_values" in accepted and (config.use_cache or prompt.reads_embeddings)
        length = prompt.positions
        past = 0
        given = model_kwargs.get("past_key_values")
        if given is not None:
            last = 0 if config.max_length is None else config.max_length + prompt.embedded - 1
            given = model_kwargs["past_key_values"] = adopt_cache(
                given, self, config, len(prompt.input_ids), rows, last
            )
            past = given.seen_tokens if isinstance(given, Cache) else given.get_seq_length()
            prompts.check_past(past, length)
            if prompt.reads_embeddings and "inputs_embeds" in model_kwargs:  # as ids, the whole
                model_kwargs["inputs_embeds"] = model_kwargs["inputs_embeds"][:, past:]
        if "num_logits_to_keep" in accepted:
            model_kwargs.setdefault("num_logits_to_keep", 1)
        if self.config.is_encoder_decoder and model_kwargs.get("encoder_outputs") is None:
            model_kwargs = self._prepare_encoder_decoder_kwargs_for_generation(
                prompt.source, model_kwargs, prompt.name, config
            )
        input_ids, model_kwargs = self._expand_inputs_for_generation(
            rows, self.config.is_encoder_decoder, input_ids=prompt.input_ids, **model_kwargs
        )
        if "past_key_values" in accepted:
            model_kwargs["use_cache"] = cached
        if cached and given is None:
            model_kwargs["past_key_values"] = self._prepare_cache(
                config,
                rows * len(prompt.input_ids),
                (config.max_length or length) + prompt.embedded,
            )
        mask = model_kwargs.get("attention_mask")
        if mask is not None and "position_ids" in accepted and not self.config.is_encoder_decoder:
            model_kwargs.setdefault("position_ids", prompts.padded_positions(mask))
        model_kwargs["cache_position"] = torch.arange(past, length, device=prompt.input_ids.device)
        return input_ids, model_kwargs  # type: ignore[return-value] # ids in, ids out

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: tuple[Tensor, ...],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """The score (B, steps) of each chosen token of `sequences` (B, T), from the `scores` that
        ``generate`` returned.

        `beam_indices` (B, T) are needed after beam search; tokens after the end have score 0.
        `normalize_logits` turns scores into log-probabilities first.
        """
        return transition_scores(sequences, scores, beam_indices, normalize_logits)
