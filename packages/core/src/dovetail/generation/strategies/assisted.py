"""Assisted decoding (arXiv:2211.17192) and prompt lookup: several guessed tokens are read in one
forward pass, and as many kept as the model would have chosen itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.assistants import (
    check_assistant,
    has_other_vocabulary,
    refuse_without_way_back,
)
from dovetail.generation.candidates import CandidateSource, Draft, PromptLookup
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.decoding import Decoding
from dovetail.generation.early_exit import EarlyExit
from dovetail.generation.inputs import Prompt, forward_parameters
from dovetail.generation.retokenized import RetokenizedDraft
from dovetail.generation.strategies import Strategy
from dovetail.generation.tokens import draw
from dovetail.outputs import ModelOutput

ADVANCING = ("cache_position", "position_ids", "token_type_ids")


class AssistedGeneration(Strategy):
    """Greedy search or sampling in longer strides, with candidates of ``assistant_model``, of the
    text itself with ``prompt_lookup_num_tokens``, or of the model's first layers with
    ``assistant_early_exit``.

    An assistant with another vocabulary also needs ``tokenizer`` and ``assistant_tokenizer``.
    Greedy texts are those of greedy search; sampled ones have the model's own distribution.
    """

    arguments = ("assistant_model", "assistant_encoder_outputs", "assistant_tokenizer")
    needs_growing_cache = True

    def check(
        self, config: GenerationConfig, arguments: Mapping[str, Any], streamer: Any = None
    ) -> None:
        """As of every strategy; a cache that can go back is needed."""
        super().check(config, arguments, streamer)
        helpers = {
            "assistant_model": arguments.get("assistant_model"),
            "prompt_lookup_num_tokens": config.prompt_lookup_num_tokens,
            "assistant_early_exit": config.assistant_early_exit,
        }
        asked = [name for name, value in helpers.items() if value is not None]
        if len(asked) != 1:
            raise GenerationError(
                f"assisted generation has {' and '.join(asked) or 'nothing'} to assist it: pass "
                "assistant_model, or set prompt_lookup_num_tokens or assistant_early_exit"
            )
        if config.num_return_sequences > 1:
            raise GenerationError(
                f"num_return_sequences={config.num_return_sequences}: assisted generation follows "
                "one text; call generate() once for each"
            )
        if not config.use_cache or config.cache_implementation not in (None, "dynamic"):
            raise GenerationError(
                f"use_cache={config.use_cache}, "
                f"cache_implementation={config.cache_implementation!r}: assisted generation takes "
                "wrong guesses back, which needs use_cache=True and a dynamic cache"
            )

    def check_prompt(self, model: Any, prompt: Prompt, arguments: Mapping[str, Any]) -> None:
        """Raise `GenerationError` for several prompts, models that cannot take guesses back, or an
        assistant that reads or writes other tokens.
        """
        if len(prompt.input_ids) > 1:
            raise GenerationError(
                f"the batch has {len(prompt.input_ids)} prompts: assisted generation follows one "
                "text; call generate() once for each"
            )
        refuse_without_way_back(model)
        if arguments.get("assistant_model") is not None:
            check_assistant(model, arguments)
        elif arguments.get("assistant_tokenizer") is not None:
            raise GenerationError("assistant_tokenizer has no use without assistant_model")

    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """Propose, read, keep what is right and one token more, until a criterion stops the row."""
        source = self._source(decoding)
        finished = False
        while decoding.others_running(finished):
            candidates, drawn_from = source.propose(decoding)
            if "inputs_embeds" in decoding.model_kwargs or finished:
                candidates, drawn_from = candidates[:, :0], None
            output, logits = self._read(decoding, candidates)
            if finished:
                continue  # only to keep step with other processes
            scores = self._scores(decoding, candidates, logits)
            count = candidates.shape[1]
            if drawn_from is not None and decoding.config.do_sample:
                matches, token = _speculate(candidates, drawn_from, scores)
            else:
                matches, token = _compare(candidates, scores, decoding.config.do_sample)
            text = torch.cat((decoding.ids, candidates), dim=-1)
            if matches == count and count and bool(decoding.stopping(text, None).all()):
                matches, token = count - 1, candidates[:, -1]
            kept = torch.cat((candidates[:, :matches], token[None]), dim=-1)
            finished = self._keep(decoding, kept, output, logits, scores)
            source.learn(count, matches)
        return decoding.result(decoding.ids.clone())

    @staticmethod
    def _source(decoding: Decoding) -> CandidateSource:
        assistant = decoding.arguments.get("assistant_model")
        if decoding.config.assistant_early_exit is not None:
            return EarlyExit(decoding)
        if assistant is None:
            return PromptLookup(decoding)
        kind = RetokenizedDraft if has_other_vocabulary(decoding.arguments) else Draft
        return kind(assistant, decoding)

    @staticmethod
    def _read(decoding: Decoding, candidates: Tensor) -> tuple[ModelOutput, Tensor]:
        """The model's output on what is new and `candidates` (1, L), and logits (1, L + 1, V)."""
        count = candidates.shape[1]
        kwargs = _advanced(decoding, count) if count else dict(decoding.model_kwargs)
        if "num_logits_to_keep" in forward_parameters(decoding.model):
            kwargs["num_logits_to_keep"] = count + 1
        ids = torch.cat((decoding.ids, candidates), dim=-1)
        output, kwargs = decoding.forward(ids, kwargs)
        decoding.model_kwargs["past_key_values"] = kwargs["past_key_values"]
        return output, output.logits[:, -count - 1 :].to(ids.device, torch.float32)

    @staticmethod
    def _scores(decoding: Decoding, candidates: Tensor, logits: Tensor) -> Tensor:
        """Processed scores (1, L + 1, V), each given the candidates before it."""
        if not decoding.processors:
            return logits
        text = torch.cat((decoding.ids, candidates), dim=-1)
        start = len(decoding.tokens)
        steps = range(candidates.shape[1] + 1)
        return torch.stack(
            [decoding.processors(text[:, : start + step], logits[:, step]) for step in steps], dim=1
        )

    @staticmethod
    def _keep(
        decoding: Decoding, tokens: Tensor, output: ModelOutput, logits: Tensor, scores: Tensor
    ) -> bool:
        """Add `tokens` (1, N) until a criterion stops the row, and take back what the cache holds
        beyond; whether it was stopped.
        """
        fresh = decoding.model_kwargs["cache_position"]
        first, past = len(fresh), int(fresh[0])
        kept, stopped = 0, False
        while kept < tokens.shape[1] and not stopped:
            queries = slice(0, first) if kept == 0 else slice(first + kept - 1, first + kept)
            decoding.note(_part(output, queries, past + first + kept), logits[:, kept])
            if decoding.records.scores is not None:
                decoding.records.scores.append(scores[:, kept])
            decoding.append(tokens[:, kept])
            kept += 1
            stopped = bool(decoding.stopped().all())
        kwargs = _advanced(decoding, kept)
        for name in ADVANCING:
            if kwargs.get(name) is not None:
                kwargs[name] = kwargs[name][..., -1:]
        kwargs.pop("inputs_embeds", None)
        kwargs["past_key_values"].crop(int(kwargs["cache_position"]))
        decoding.model_kwargs = kwargs
        return stopped


def _advanced(decoding: Decoding, count: int) -> dict[str, Any]:
    """The arguments of a pass that reads `count` tokens more than the next one would."""
    return decoding.model._update_model_kwargs_for_generation(
        ModelOutput(),
        dict(decoding.model_kwargs),
        is_encoder_decoder=decoding.is_encoder_decoder,
        num_new_tokens=count,
    )


def _compare(candidates: Tensor, scores: Tensor, sampled: bool) -> tuple[int, Tensor]:
    """How many of `candidates` (1, L) are what the model chooses by `scores` (1, L + 1, V), and its
    choice (1,) after those.
    """
    chosen = draw(scores[0], 1).squeeze(1) if sampled else scores[0].argmax(dim=-1)  # (L + 1,)
    right = candidates[0] == chosen[:-1]
    matches = int(right.cumprod(dim=0).sum())
    return matches, chosen[matches : matches + 1]


def _speculate(candidates: Tensor, drawn_from: Tensor, scores: Tensor) -> tuple[int, Tensor]:
    """The same when candidates were drawn from other scores (1, L, V): each is accepted with
    probability ``min(1, p / q)``, and where one is not, the next token is drawn from the positive
    part of ``p - q``. So texts are distributed as if drawn from `scores` alone.
    """
    count = candidates.shape[1]
    wanted, drafted = scores[0].softmax(dim=-1), drawn_from[0].softmax(dim=-1)
    index = candidates[0][:, None]
    ratio = (wanted[:count].gather(1, index) / drafted.gather(1, index)).squeeze(1)  # (L,)
    matches = int((torch.rand_like(ratio) <= ratio).long().cumprod(dim=0).sum())
    rest = wanted[matches]
    if matches < count:
        rest = (rest - drafted[matches]).clamp(min=0)
        rest = rest / rest.sum()
    return matches, torch.multinomial(rest, 1)


def _part(output: ModelOutput, queries: slice, keys: int) -> ModelOutput:
    """Attentions and hidden states of some `queries` alone, which saw the first `keys`."""
    kept: dict[str, Any] = {}
    for name, layers in output.items():
        if name in ("cross_attentions",):
            kept[name] = tuple(layer[:, :, queries] for layer in layers)
        elif name in ("attentions", "decoder_attentions"):
            kept[name] = tuple(layer[:, :, queries, :keys] for layer in layers)
        elif name in ("hidden_states", "decoder_hidden_states"):
            kept[name] = tuple(layer[:, queries] for layer in layers)
    return ModelOutput(**kept)
