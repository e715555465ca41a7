"""Contrastive search (arXiv:2202.06417): of the likeliest tokens the one whose hidden state repeats
the text least.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail.errors import GenerationError
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.decoding import Decoding
from dovetail.generation.inputs import expand
from dovetail.generation.strategies import Strategy
from dovetail.generation.strategies.sampling import padding_token
from dovetail.outputs import ModelOutput


class ContrastiveSearch(Strategy):
    """At each step the ``top_k`` likeliest tokens are tried. A candidate's value is ``(1 - alpha) *
    probability - alpha * similarity``, where ``alpha`` is ``penalty_alpha`` and the similarity is
    the greatest cosine between its hidden state and one of the text.
    """

    needs_growing_cache = True

    def check(
        self, config: GenerationConfig, arguments: Mapping[str, Any], streamer: Any = None
    ) -> None:
        """As of every strategy; a cache that grows is needed to try candidates."""
        super().check(config, arguments, streamer)
        if not config.use_cache:
            raise GenerationError("contrastive search needs use_cache=True: it tries tokens on it")
        if config.cache_implementation not in (None, "dynamic"):
            raise GenerationError(
                f"cache_implementation={config.cache_implementation!r}: contrastive search repeats "
                "the rows of its cache for each candidate, so leave it out"
            )
        if not config.penalty_alpha or not config.top_k or config.top_k < 2:
            raise GenerationError(
                f"penalty_alpha={config.penalty_alpha}, top_k={config.top_k}: contrastive search "
                "needs a penalty_alpha above 0 and a top_k of at least 2"
            )

    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """Choose tokens until every row is done; rows that end early are padded."""
        pad = padding_token(decoding)
        done = torch.zeros(decoding.rows, dtype=torch.bool, device=decoding.ids.device)
        output, decoding.model_kwargs = decoding.forward(
            decoding.ids, decoding.model_kwargs, output_hidden_states=True
        )
        context = _last_hidden(output)  # (B, T, D)
        visible = _visible(decoding, context)  # (B, T)
        finished = False
        while decoding.others_running(finished):
            logits = output.logits[:, -1].to(decoding.ids.device, torch.float32, copy=True)
            decoding.note(output, logits)
            probabilities = decoding.processed(logits).softmax(dim=-1)
            tokens, output = self._try(decoding, probabilities, context, visible)
            if finished:
                continue  # only to keep step with other processes
            context = torch.cat((context, _last_hidden(output)), dim=1)
            visible = F.pad(visible, (0, 1), value=True)
            if pad is not None:
                tokens = tokens.masked_fill(done, pad)
            decoding.append(tokens)
            done = done | decoding.stopped()
            finished = bool(done.all())
        return decoding.result(decoding.ids.clone())

    @staticmethod
    def _try(
        decoding: Decoding, probabilities: Tensor, context: Tensor, visible: Tensor
    ) -> tuple[Tensor, ModelOutput]:
        """The best tokens (B,) by `probabilities` (B, V), and the model's output for them; the
        cache goes on with them.
        """
        alpha, count = decoding.config.penalty_alpha or 0.0, decoding.config.top_k or 1
        likely, candidates = probabilities.topk(min(count, probabilities.shape[-1]))
        count = likely.shape[-1]
        ids = torch.cat(
            (decoding.ids.repeat_interleave(count, dim=0), candidates.view(-1, 1)), dim=-1
        )
        repeated = expand(decoding.model_kwargs, count)
        output, _ = decoding.forward(ids, repeated, output_hidden_states=True)
        tried = _last_hidden(output).view(*likely.shape, -1)  # (B, k, D)
        cosines = F.normalize(tried, dim=-1) @ F.normalize(context, dim=-1).mT  # (B, k, T)
        similarity = cosines.masked_fill(~visible[:, None], float("-inf")).amax(dim=-1)
        best = ((1 - alpha) * likely - alpha * similarity).argmax(dim=-1)  # (B,)
        rows = best + count * torch.arange(len(best), device=best.device)
        output.past_key_values.batch_select_indices(rows)
        decoding.model_kwargs = decoding.model._update_model_kwargs_for_generation(
            output, decoding.model_kwargs, is_encoder_decoder=decoding.is_encoder_decoder
        )
        return candidates.gather(1, best[:, None]).squeeze(1), _selected(output, rows)


def _last_hidden(output: ModelOutput) -> Tensor:
    """The last layer's hidden states (B, T, D) of a decoder's output."""
    states = output.get("decoder_hidden_states") or output["hidden_states"]
    return states[-1]


def _visible(decoding: Decoding, context: Tensor) -> Tensor:
    """Which positions (B, T) of `context` are text and no padding."""
    name = "decoder_attention_mask" if decoding.is_encoder_decoder else "attention_mask"
    mask = decoding.model_kwargs.get(name)
    if mask is None:
        return torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
    return mask[:, -1 - context.shape[1] : -1].bool()  # it covers the next token already


def _selected(output: ModelOutput, rows: Tensor) -> ModelOutput:
    """`rows` of all that the decoder computed; the encoder read each prompt once."""
    kept: dict[str, Any] = {}
    for name, value in output.items():
        if name.startswith("encoder_"):
            continue
        if isinstance(value, Tensor):
            kept[name] = value[rows]
        elif isinstance(value, tuple):
            kept[name] = tuple(layer[rows] for layer in value)
    return type(output)(**kept)
