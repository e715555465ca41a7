"""Decoders for ExecuTorch: programs of `torch.export` that carry a cache of fixed size."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from dovetail.caches import StaticCache, StaticCacheConfig, StaticLayer

KEYS, VALUES, SEEN = "key_cache", "value_cache", "seen"


class TorchExportableModuleWithStaticCache(nn.Module):
    """A decoder with the memory of a static cache among its buffers, so that `torch.export` sees
    what each step writes.

    The model's ``generation_config`` says how much to reserve:
    ``cache_implementation="static"`` with a ``cache_config`` of batch size and length.

    Raises:
        AssertionError: it does not say so, as the field's raises.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        size = _size(model)
        self.model = model
        self.static_cache = StaticCache(
            model.config, size.batch_size, size.max_cache_len, model.device, model.dtype
        )
        for index, layer in enumerate(self.static_cache.layers):
            if not isinstance(layer, StaticLayer):
                raise ValueError(
                    f"{type(model).__name__}: layer {index} remembers by a state, and only caches "
                    "of keys and values can be exported."
                )
            for name, tensor in ((KEYS, layer.keys), (VALUES, layer.values), (SEEN, layer.seen)):
                self.register_buffer(f"{name}_{index}", tensor, persistent=False)

    def forward(self, input_ids: Tensor, cache_position: Tensor) -> Tensor:
        """Logits (B, T, V) of tokens (B, T) at the positions `cache_position` (T,) of the text,
        after those that earlier calls have written."""
        for index, layer in enumerate(self.static_cache.layers):
            fixed = cast("StaticLayer", layer)
            fixed.keys = self.get_buffer(f"{KEYS}_{index}")
            fixed.values = self.get_buffer(f"{VALUES}_{index}")
            fixed.seen = self.get_buffer(f"{SEEN}_{index}")
        output = self.model(
            input_ids=input_ids,
            position_ids=cache_position[None],
            cache_position=cache_position,
            past_key_values=self.static_cache,
            use_cache=True,
            return_dict=True,
        )
        return output.logits

    @staticmethod
    def generate(exported_program: Any, prompt_token_ids: Tensor, max_new_tokens: int) -> Tensor:
        """Continue a prompt (1, T) greedily with an exported program; returns ids (1, T'), the
        prompt first. Stops after `max_new_tokens`, or when the cache is full.

        The program's cache is its own: a text that was read before is overwritten.
        """
        step = exported_program.module()
        prompt = prompt_token_ids[0].tolist()
        room = step.get_buffer(f"{KEYS}_0").shape[2]
        if len(prompt) > room:
            raise ValueError(
                f"prompt_token_ids holds {len(prompt)} tokens and the exported cache has room for "
                f"{room}: export the model with a larger max_cache_len."
            )
        ids = list(prompt)
        for position in range(min(len(prompt) + max_new_tokens - 1, room)):
            logits = step(
                input_ids=torch.tensor([[ids[position]]], dtype=torch.long),
                cache_position=torch.tensor([position], dtype=torch.long),
            )
            if position + 1 >= len(prompt) and max_new_tokens > 0:
                ids.append(int(logits[0, -1].argmax()))
        return torch.tensor([ids], dtype=torch.long)


def convert_and_export_with_cache(
    model: Any,
    example_input_ids: Tensor | None = None,
    example_cache_position: Tensor | None = None,
) -> torch.export.ExportedProgram:
    """`model` as a program that reads one token at a time, or as many as the example has.

    The program is called as ``program.module()(input_ids=..., cache_position=...)`` and returns
    logits; its cache, a part of it, goes on from call to call. See
    `TorchExportableModuleWithStaticCache` for what the model's settings must say.
    """
    module = TorchExportableModuleWithStaticCache(model).eval()
    ids = torch.tensor([[1]]) if example_input_ids is None else example_input_ids
    positions = torch.tensor([0]) if example_cache_position is None else example_cache_position
    with torch.no_grad():
        return torch.export.export(
            module, (), {"input_ids": ids, "cache_position": positions}, strict=False
        )


def _size(model: Any) -> StaticCacheConfig:
    """What the model's settings reserve."""
    settings = getattr(model, "generation_config", None)
    name = type(model).__name__
    if settings is None:
        raise AssertionError(
            f"{name} has no generation_config, which says how large the cache is: give it one with "
            "cache_implementation='static' and a cache_config"
        )
    if not settings.use_cache:
        raise AssertionError(
            f"{name}: generation_config.use_cache is False, and only a model with a cache can be "
            "exported with one: set use_cache=True"
        )
    if settings.cache_implementation != "static":
        raise AssertionError(
            f"{name}: generation_config.cache_implementation={settings.cache_implementation!r}: "
            "set it to 'static', the one cache that can be exported"
        )
    size = settings.cache_config
    if isinstance(size, dict):
        size = StaticCacheConfig.from_dict(size)
    if not isinstance(size, StaticCacheConfig):
        raise AssertionError(
            f"{name}: generation_config.cache_config={size!r}: give batch_size and max_cache_len"
        )
    return size
