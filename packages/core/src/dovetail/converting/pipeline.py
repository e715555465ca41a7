"""The storage of Megatron with DeepSpeed: a file for each layer and each tensor-parallel rank."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dovetail.converting.storage import Dim, Original, Source, Storage, joined, part
from dovetail.converting.writing import save_pickled
from dovetail.errors import CheckpointError
from dovetail.mapping import Tensors, match
from dovetail.weights import LazyTensor, read_pickled

NAME = re.compile(r"layer_(\d+)-model_(\d+)-model_states\.pt")
LISTED = 5


@dataclass(frozen=True, kw_only=True)
class PipelineFiles(Storage):
    """``layer_NN-model_RR-model_states.pt``. A tensor's name begins with its layer's number, which
    counts from `first`; what stands before has negative numbers.

    `dims` says along which dimension the ranks' parts are joined, by pattern, else `otherwise`.
    """

    first: int
    dims: tuple[tuple[str, Dim], ...]
    otherwise: int = 0

    def find(self, source: Source) -> list[Path]:
        """The files of all layers and ranks."""
        return [path for path in source.paths("layer_*.pt") if NAME.fullmatch(path.name)]

    def read_tensors(self, source: Source) -> Original:
        """The layers' tensors, joined over the ranks."""
        places = {self._place(path): path for path in self.find(source)}
        layers = sorted({layer for layer, _ in places})
        ranks = range(max(rank for _, rank in places) + 1)
        missing = [
            f"layer_{layer:02d}-model_{rank:02d}-model_states.pt"
            for layer in layers
            for rank in ranks
            if (layer, rank) not in places
        ]
        if missing:
            raise CheckpointError(
                f"{source} lacks {', '.join(missing[:LISTED])}. Every rank's file of a layer is "
                "needed: download it again."
            )
        tensors: Tensors = {}
        for layer in layers:
            parts = [read_pickled(places[layer, rank]) for rank in ranks]
            tensors |= self._joined(layer - self.first, parts)
        return Original(tensors)

    def _place(self, path: Path) -> tuple[int, int]:
        layer, rank = path.name.split("-")[:2]
        return int(layer.removeprefix("layer_")), int(rank.removeprefix("model_"))

    def _joined(self, layer: int, parts: Sequence[dict[str, LazyTensor]]) -> Tensors:
        odd = next((part for part in parts if part.keys() != parts[0].keys()), None)
        if odd is not None:
            names = sorted(odd.keys() ^ parts[0].keys())
            raise CheckpointError(
                f"The ranks' files of layer {layer + self.first} hold different tensors: "
                f"{', '.join(names[:LISTED])}. They are not of one checkpoint."
            )
        return {
            f"{layer}.{name}": joined(name, [one[name] for one in parts], self._dim(name))
            for name in parts[0]
        }

    def _dim(self, name: str) -> int | None:
        dim = next((dim for pattern, dim in self.dims if match(pattern, name)), self.otherwise)
        return dim(None, {}) if callable(dim) else dim

    def write_tensors(self, folder: Path, original: Original, shards: int) -> None:
        """A file for each layer and each of `shards` ranks."""
        layers: dict[int, Tensors] = {}
        for name, tensor in original.tensors.items():
            number, _, rest = name.partition(".")
            layers.setdefault(int(number) + self.first, {})[rest] = tensor
        for layer, tensors in layers.items():
            for rank in range(shards):
                share = {n: part(n, t, self._dim(n), rank, shards) for n, t in tensors.items()}
                file = f"layer_{layer:02d}-model_{rank:02d}-model_states.pt"
                save_pickled(share, folder / file, dict)
