"""A running generation: what every strategy's loop is made of.

A strategy asks for the scores of the next token (`next_logits`), chooses, and adds its choice
(`append`); beams also `reorder`. What the caller wants to see of each step is collected on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dovetail.generation import outputs
from dovetail.generation.configuration import GenerationConfig, end_tokens
from dovetail.generation.inputs import Prompt
from dovetail.generation.processors.base import LogitsProcessorList
from dovetail.generation.stopping import StoppingCriteriaList
from dovetail.generation.streamers import BaseStreamer
from dovetail.generation.tokens import TokenBuffer
from dovetail.outputs import ModelOutput


@dataclass
class Records:
    """What is kept of each step; None for what was not asked for."""

    scores: list[Tensor] | None = None
    logits: list[Tensor] | None = None
    attentions: list[Any] | None = None
    cross_attentions: list[Any] | None = None
    hidden_states: list[Any] | None = None

    @classmethod
    def wanted(cls, config: GenerationConfig, is_encoder_decoder: bool) -> Records:
        """Empty records for what `config` asks for."""
        if not config.return_dict_in_generate:
            return cls()
        return cls(
            scores=[] if config.output_scores else None,
            logits=[] if config.output_logits else None,
            attentions=[] if config.output_attentions else None,
            cross_attentions=[] if config.output_attentions and is_encoder_decoder else None,
            hidden_states=[] if config.output_hidden_states else None,
        )

    def note(self, output: ModelOutput, is_encoder_decoder: bool) -> None:
        """Keep attentions and hidden states of one forward pass."""
        prefix = "decoder_" if is_encoder_decoder else ""
        for name, records in (
            (f"{prefix}attentions", self.attentions),
            (f"{prefix}hidden_states", self.hidden_states),
            ("cross_attentions", self.cross_attentions),
        ):
            if records is not None:
                records.append(output.get(name))

    def fields(self, is_encoder_decoder: bool) -> dict[str, Any]:
        """The records under the names of the output classes."""
        prefix = "decoder_" if is_encoder_decoder else ""
        named = {
            "scores": self.scores,
            "logits": self.logits,
            f"{prefix}attentions": self.attentions,
            f"{prefix}hidden_states": self.hidden_states,
            "cross_attentions": self.cross_attentions,
        }
        return {name: tuple(records) for name, records in named.items() if records is not None}


@dataclass
class Decoding:
    """One call of ``generate``, prepared: the model, its inputs and the rules; `arguments` are
    those that one strategy takes, `prompt` what it all began with.

    `rows` is the number of rows (prompts times beams or returned sequences), `prompt_length` the
    tokens before the first new one.
    """

    model: Any
    config: GenerationConfig
    tokens: TokenBuffer
    model_kwargs: dict[str, Any]
    processors: LogitsProcessorList
    stopping: StoppingCriteriaList
    streamer: BaseStreamer | None = None
    synced_gpus: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)
    prompt: Prompt | None = None

    def __post_init__(self) -> None:
        self.is_encoder_decoder: bool = self.model.config.is_encoder_decoder
        self.prompt_length = len(self.tokens)
        self.rows = self.ids.shape[0]
        self.records = Records.wanted(self.config, self.is_encoder_decoder)
        self.ends = end_tokens(self.config)
        self._keep_logits = self.records.logits is not None or self.records.scores is not None
        self._flags = {
            name: True
            for name in ("output_attentions", "output_hidden_states")
            if getattr(self.config, name)
        }

    @property
    def ids(self) -> Tensor:
        """The tokens so far (B, T)."""
        return self.tokens.ids

    def forward(
        self, ids: Tensor, model_kwargs: dict[str, Any], **further: Any
    ) -> tuple[ModelOutput, dict[str, Any]]:
        """Run the model on what is new in `ids` (B, T), with `further` arguments; return its output
        and the arguments for the token after that.
        """
        inputs = self.model.prepare_inputs_for_generation(ids, **model_kwargs)
        output = self.model(**{**inputs, **self._flags, **further}, return_dict=True)
        model_kwargs = self.model._update_model_kwargs_for_generation(
            output, model_kwargs, is_encoder_decoder=self.is_encoder_decoder
        )
        return output, model_kwargs

    def prefill(self) -> None:
        """Read the prompt in parts of ``prefill_chunk_size`` tokens, so that a long one takes less
        memory; the last part is left to the strategy.
        """
        size, kwargs = self.config.prefill_chunk_size, self.model_kwargs
        if size is None or kwargs.get("past_key_values") is None:
            return
        while (rest := len(kwargs["cache_position"]) - size) > 0:
            part = dict(kwargs, cache_position=kwargs["cache_position"][:size])
            for name in self._columns & kwargs.keys():
                part[name] = None if kwargs[name] is None else kwargs[name][:, :-rest]
            ids = self.ids[:, : max(self.ids.shape[1] - rest, 0)]
            inputs = self.model.prepare_inputs_for_generation(ids, **part)
            output = self.model(**inputs, return_dict=True)
            kwargs["past_key_values"] = output.past_key_values
            kwargs["cache_position"] = kwargs["cache_position"][size:]
            if (embeds := kwargs.get("inputs_embeds")) is not None and not self.is_encoder_decoder:
                kwargs["inputs_embeds"] = embeds[:, size:]

    @property
    def _columns(self) -> set[str]:
        """Arguments with one column for each position of the text so far."""
        if self.is_encoder_decoder:
            return {"decoder_attention_mask"}
        return {"attention_mask", "position_ids", "token_type_ids", "inputs_embeds"}

    def note(self, output: ModelOutput, logits: Tensor | None = None) -> None:
        """Keep of one step what the caller wants to see: attentions, hidden states, and the
        `logits` (B, V).
        """
        if self._flags:
            self.records.note(output, self.is_encoder_decoder)
        if self.records.logits is not None and logits is not None:
            self.records.logits.append(logits)

    def next_logits(self) -> Tensor:
        """Run the model on what is new; return float32 logits (B, V) of the next token."""
        output, self.model_kwargs = self.forward(self.ids, self.model_kwargs)
        # A kept row must not hold on to the logits of the whole prompt.
        logits = output.logits[:, -1].to(self.ids.device, torch.float32, copy=self._keep_logits)
        self.note(output, logits)
        return logits

    def processed(self, logits: Tensor, **kwargs: Any) -> Tensor:
        """Scores (B, V) after all processors, noted when they are wanted."""
        scores = self.processors(self.ids, logits, **kwargs) if self.processors else logits
        if self.records.scores is not None:
            self.records.scores.append(scores)
        return scores

    def append(self, tokens: Tensor) -> None:
        """Add a token (B,) to each row."""
        self.tokens.append(tokens)
        if self.streamer is not None:
            self.streamer.put(tokens.cpu())

    def reorder(self, rows: Tensor) -> None:
        """Let row ``i`` continue the old row ``rows[i]``: tokens and cache."""
        self.tokens.reorder(rows)
        cache: Any = self.model_kwargs.get("past_key_values")
        if cache is not None:
            self.model_kwargs["past_key_values"] = self.model._reorder_cache(cache, rows)

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Give the streamer, if there is one, the prompt before and the end after."""
        if self.streamer is not None:
            self.streamer.put(self.ids.cpu())
        yield
        if self.streamer is not None:
            self.streamer.end()

    def stopped(self) -> Tensor:
        """Which rows (B,) the stopping criteria call done."""
        scores = None if self.records.scores is None else tuple(self.records.scores)
        return self.stopping(self.ids, scores)

    def others_running(self, finished: bool) -> bool:
        """Whether to go on: because this process has work, or (`synced_gpus`) because another one
        that shares the weights has.
        """
        if not self.synced_gpus:
            return not finished
        running = torch.tensor(float(not finished), device=self.ids.device)
        torch.distributed.all_reduce(running)
        return bool(running)

    def result(self, sequences: Tensor, **fields: Any) -> ModelOutput | Tensor:
        """What ``generate`` returns: the `sequences`, or an output with all that was recorded and
        the further `fields`.
        """
        if not self.config.return_dict_in_generate:
            return sequences
        pair = outputs.ENCODER_DECODER if self.is_encoder_decoder else outputs.DECODER_ONLY
        kind = pair[1] if self.config.num_beams > 1 else pair[0]
        encoder = self.model_kwargs.get("encoder_outputs")
        if self.is_encoder_decoder and encoder is not None:
            if self.config.output_attentions:
                fields["encoder_attentions"] = getattr(encoder, "attentions", None)
            if self.config.output_hidden_states:
                fields["encoder_hidden_states"] = getattr(encoder, "hidden_states", None)
        cache: Any = self.model_kwargs.get("past_key_values")
        if self.config.return_legacy_cache and hasattr(cache, "to_legacy_cache"):
            cache = cache.to_legacy_cache()
        recorded = self.records.fields(self.is_encoder_decoder)
        return kind(sequences=sequences, past_key_values=cache, **recorded, **fields)
