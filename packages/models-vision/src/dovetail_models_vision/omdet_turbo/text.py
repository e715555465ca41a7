"""OmDet-Turbo's text half: classes and tasks through CLIP's text encoder, remembered.

N texts, T tokens, D width of texts, E width in which classes and queries meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.auto import AutoModel

Encode = Callable[[Tensor, Tensor], list[Any]]
"""From ids and mask (N, T) to what is made of each text."""


class TextMemory:
    """What was made of the `capacity` texts that were used last, for as long as the weights that
    made it stay as they are."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.made: dict[tuple[int, ...], Any] = {}
        self.state: tuple[Any, ...] = ()

    def recall(self, input_ids: Tensor, mask: Tensor, encode: Encode, by: nn.Module) -> list[Any]:
        """What `encode` makes with the weights of `by` of each text; of known ones it is not made
        again, of equal ones once."""
        state = tuple(map(identity_of, by.parameters()))
        if state != self.state:
            self.made, self.state = {}, state
        texts = zip(input_ids.tolist(), mask.tolist(), strict=True)
        keys = [tuple(i for i, kept in zip(*text, strict=True) if kept) for text in texts]
        new = {key: row for row, key in enumerate(keys) if key not in self.made}
        used = {key: self.made.pop(key) for key in dict.fromkeys(keys) if key not in new}
        if new:
            rows = list(new.values())
            used |= zip(new, encode(input_ids[rows], mask[rows]), strict=True)
        self.made |= used
        for forgotten in list(self.made)[: max(len(self.made) - self.capacity, 0)]:
            del self.made[forgotten]
        return [used[key] for key in keys]


def identity_of(weight: Tensor) -> tuple[int, int]:
    """What changes when `weight` is replaced or changed in place."""
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version


class LanguageBackbone(nn.Module):
    """The text encoder, and the projection of classes. Without gradients texts are remembered."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.model = AutoModel.from_config(config.text_config)
        size = config.text_projection_in_dim, config.text_projection_out_dim
        self.text_projection = nn.Parameter(torch.zeros(size))
        self.known_classes = TextMemory(config.cache_size)
        self.known_tasks = TextMemory(config.cache_size)

    def classes(self, input_ids: Tensor, mask: Tensor) -> list[Tensor]:
        """An embedding (E) of each text (N, T), which is read at its end."""
        if torch.is_grad_enabled():
            return self._embed(input_ids, mask)
        return self.known_classes.recall(input_ids, mask, self._embed, self)

    def tasks(self, input_ids: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """States (T, D) and mask (T) of each text (N, T), as far as the longest goes."""
        if torch.is_grad_enabled():
            return self._read(input_ids, mask)
        return self.known_tasks.recall(input_ids, mask, self._read, self)

    def _embed(self, input_ids: Tensor, mask: Tensor) -> list[Tensor]:
        states = self.model(input_ids, return_dict=True).last_hidden_state
        rows = torch.arange(len(states), device=states.device)
        return list((states[rows, input_ids.argmax(-1)] @ self.text_projection).unbind())

    def _read(self, input_ids: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        states = self.model(input_ids, return_dict=True).last_hidden_state
        longest = int((mask != 0).sum(1).max())
        return list(zip(states[:, :longest], mask[:, :longest], strict=True))
