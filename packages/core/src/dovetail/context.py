"""What the layers of one forward pass share.

A model's body makes one `Context` (`PreTrainedModel.decoder_context`, `encoder_context`) and hands
it to every layer, so that layers take two arguments: hidden states and the context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dovetail.caches import (
    Cache,
    EncoderDecoderCache,
    KeyValue,
    PagedCache,
    StateLayer,
    state_layer,
)
from dovetail.layers.attention import attention
from dovetail.layers.packed import packed_attention
from dovetail.masks import Mask, bidirectional_mask
from dovetail.recording import Recorder


@dataclass
class Context:
    """Masks, cache, positions and records of one forward pass.

    `positions` (T,) count from the start of the text, `position_ids` (B or 1, T) are what position
    embeddings see; `rotary` holds cosines and sines (B, T, E); `bias` (1 or B, H, T, S) is added to
    the scores of self-attention; `layer_masks`, where layers differ in what they may see, hold the
    mask of each in place of `mask`; `text` (B, T), for recurrent layers, is False where there is
    padding, None where there is none; head masks are (L, H, 1, 1); `encoder_hidden_states`
    (B, S, D) are what cross-attention reads.
    """

    implementation: str
    position_ids: Tensor
    positions: Tensor
    mask: Mask | None = None
    layer_masks: Sequence[Mask | None] | None = None
    text: Tensor | None = None
    cache: Cache | None = None
    recorder: Recorder | None = None
    rotary: tuple[Tensor, Tensor] | None = None
    bias: Tensor | None = None
    head_mask: Tensor | None = None
    encoder_hidden_states: Tensor | None = None
    encoder_mask: Mask | None = None
    cross_head_mask: Tensor | None = None
    use_cache: bool = True

    def reading(
        self, queries: Tensor, encoded: Tensor | None, attention_mask: Tensor | None = None
    ) -> Context:
        """This context, in which `queries` (B, T, D) also attend to the states `encoded` (B, S, D)
        that an encoder made, where `attention_mask` (B, S) lets them."""
        self.encoder_hidden_states = encoded
        if encoded is not None:
            self.encoder_mask = bidirectional_mask(queries, attention_mask, encoded.shape[1])
        return self

    @property
    def next_cache(self) -> Cache | None:
        """The cache to return: one that was given is read but not returned without `use_cache`."""
        return self.cache if self.use_cache else None

    @property
    def packed_positions(self) -> Tensor | None:
        """Positions (B, T) which start again at 0 with each of several texts in a row; None where
        a row is one text."""
        packed = self.mask is not None and self.mask.segments is not None
        return self.position_ids if packed else None

    def remember(self, key: Tensor, value: Tensor, layer_idx: int) -> KeyValue:
        """Put keys and values (B, K, T, E) of the text into the cache; returns all there are to
        attend to."""
        if self.cache is None:
            return key, value
        cos, sin = self.rotary or (None, None)
        kwargs = {"cache_position": self.positions, "cos": cos, "sin": sin}
        return self.cache.update(key, value, layer_idx, kwargs)

    def states(self, layer_idx: int) -> StateLayer | None:
        """What a recurrent layer remembers of the text, None without a cache."""
        return None if self.cache is None else state_layer(self.cache, layer_idx)

    def keys_and_values(
        self,
        project: Callable[[Tensor], KeyValue],
        hidden_states: Tensor,
        layer_idx: int,
        cross: bool = False,
    ) -> KeyValue:
        """Keys and values (B, K, S, E) by `project` of the text or, for `cross`, of the encoder's
        states (once per text)."""
        if not cross:
            return self.remember(*project(hidden_states), layer_idx)
        encoded = self.encoder_hidden_states
        if encoded is None:
            raise ValueError("Cross-attention needs encoder_hidden_states.")
        if isinstance(self.cache, EncoderDecoderCache):
            return self.cache.cross(layer_idx, lambda: project(encoded))
        return project(encoded)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        layer_idx: int,
        *,
        scale: float | None = None,
        dropout: float = 0.0,
        bias: Tensor | None = None,
        softcap: float | None = None,
        cross: bool = False,
    ) -> Tensor:
        """`dovetail.layers.attention.attention` under this pass's mask, recorded; returns (B, T, H
        * E)."""
        head_mask = self.cross_head_mask if cross else self.head_mask
        run = partial(
            attention,
            scale=scale,
            dropout=dropout,
            softcap=softcap,
            head_mask=None if head_mask is None else head_mask[layer_idx],
            implementation=self.implementation,
            recorder=self.recorder,
            record_as="cross_attentions" if cross else "attentions",
        )
        if cross:
            return run(query, key, value, self.encoder_mask, bias=bias)
        if isinstance(self.cache, PagedCache):
            return packed_attention(run, query, self.cache, layer_idx, bias)
        mask = self.mask if self.layer_masks is None else self.layer_masks[layer_idx]
        return run(query, key, value, mask, bias=bias)


def check_tokens(texts: Tensor) -> None:
    """Raise `ValueError` when `texts` (B, T, ...) have no token: nothing could be made of
    them by a pooler, a scan or a head that reads the last one."""
    if texts.shape[1] == 0:
        raise ValueError(
            f"the inputs hold 0 tokens for each of {len(texts)} texts: give input_ids (B, T) or "
            "inputs_embeds (B, T, D) at least one, for instance the bos token."
        )


def token_positions(hidden_states: Tensor, cache: Cache | None, given: Tensor | None) -> Tensor:
    """Where in their texts the tokens of `hidden_states` (B, T, D) stand: at the `given` positions
    (T,), else behind what `cache` holds. Raises `GenerationError` when there is no room for them.
    """
    if given is None:
        start = 0 if cache is None else cache.get_seq_length()
        end = start + hidden_states.shape[1]
        if cache is not None:
            cache.check_room(end)
        return torch.arange(start, end, device=hidden_states.device)
    # to read a position would make an accelerator wait, and break a graph
    if cache is not None and given.device.type == "cpu" and not torch.compiler.is_compiling():
        cache.check_room(int(given[-1]) + 1)
    return given
