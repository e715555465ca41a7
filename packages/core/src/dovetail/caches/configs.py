"""Settings of caches, as ``cache_config`` of `GenerationConfig` holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import Any, ClassVar, Self

import torch

from dovetail.atomic import atomic_write
from dovetail.errors import GenerationError, near_matches


@dataclass
class CacheConfig:
    """Settings of the cache that `cache_implementation` names."""

    cache_implementation: str | None = None

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Self:
        """Settings of a dictionary, overridden by `kwargs`.

        Raises `GenerationError` for a name that is no setting.
        """
        given = {**config_dict, **kwargs}
        given.pop("cache_implementation", None)
        known = [item.name for item in fields(cls) if item.init]
        for name in given:
            if name not in known:
                raise GenerationError(
                    f"cache_config: {cls.__name__} has no setting {name!r}."
                    f"{near_matches(name, known)} It has {', '.join(known)}."
                )
        try:
            return cls(**given)
        except TypeError as error:  # one without a default is missing
            missing = ", ".join(repr(name) for name in known if name not in given)
            raise GenerationError(
                f"cache_config={dict(config_dict)!r}: {cls.__name__} needs more of {missing}"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The settings, ready for JSON."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.init}
        return {
            name: str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else value
            for name, value in values.items()
        }

    def to_json_string(self) -> str:
        """The settings as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_json_file(self, json_file_path: str | PathLike[str]) -> None:
        """Write the settings to a file, which is replaced in one step."""
        atomic_write(json_file_path, self.to_json_string())

    def update(self, **kwargs: Any) -> dict[str, Any]:
        """Set those `kwargs` that are settings; returns the others."""
        known = {name: value for name, value in kwargs.items() if hasattr(self, name)}
        for name, value in known.items():
            setattr(self, name, value)
        self.validate()
        return {name: value for name, value in kwargs.items() if name not in known}

    def validate(self) -> None:
        """Raise `GenerationError` for a value that cannot be."""


def _refuse(name: str, value: object, allowed: str) -> GenerationError:
    return GenerationError(f"cache_config: {name}={value!r}: it must be {allowed}")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


@dataclass
class QuantizedCacheConfig(CacheConfig):
    """How keys and values are quantized.

    Numbers of `nbits` bits stand for the steps between the least and the greatest value of a group
    of `q_group_size` values. What a group is, `axis_key` and `axis_value` say in the words of the
    `backend`: neighbouring channels of one position (``"quanto"``: 0, ``"HQQ"``: 1), or
    neighbouring positions of one channel (-1 and 0). The last `residual_length` positions, at
    least, are kept as they are. Least value and step of a group are kept in `compute_dtype`, or in
    the type of the keys where that one is more exact. `device` is kept for the field's files:
    everything stays on the device of the keys.
    """

    cache_implementation: str | None = field(default="quantized", init=False, repr=False)
    backend: str = "quanto"
    nbits: int | None = 4
    axis_key: int | None = 0
    axis_value: int | None = 0
    q_group_size: int | None = 64
    residual_length: int | None = 128
    compute_dtype: torch.dtype | None = torch.float16
    device: str | None = "cpu"

    AXES: ClassVar[Mapping[str, tuple[int, int]]] = {"quanto": (0, -1), "HQQ": (1, 0)}
    """For each backend, the axis of groups of channels, and that of groups of positions."""

    def __post_init__(self) -> None:
        if isinstance(self.compute_dtype, str):
            self.compute_dtype = getattr(torch, self.compute_dtype.removeprefix("torch."), None)
        self.validate()

    def validate(self) -> None:
        if self.nbits not in (1, 2, 4, 8):
            raise _refuse("nbits", self.nbits, "1, 2, 4 or 8, so that numbers fill bytes")
        if not _is_whole(self.q_group_size, 1):
            raise _refuse("q_group_size", self.q_group_size, "a positive integer")
        if not _is_whole(self.residual_length, 0):
            raise _refuse("residual_length", self.residual_length, "an integer of at least 0")
        self._check_axes((0, 1, -1))
        if not isinstance(self.compute_dtype, torch.dtype) or (
            not self.compute_dtype.is_floating_point
        ):
            raise _refuse("compute_dtype", self.compute_dtype, "a floating point type of torch")

    def check_backend(self) -> None:
        """Raise `GenerationError` for an axis that the backend does not know."""
        self._check_axes(self.AXES.get(self.backend, (0, 1, -1)))

    def _check_axes(self, axes: tuple[int, ...]) -> None:
        for name in ("axis_key", "axis_value"):
            if getattr(self, name) not in axes:
                allowed = " or ".join(map(str, axes))
                raise _refuse(name, getattr(self, name), f"{allowed} for backend={self.backend!r}")

    def by_position(self, axis: int | None) -> bool:
        """Whether `axis` asks for groups of positions, and not of channels."""
        return axis == self.AXES.get(self.backend, self.AXES["quanto"])[1]


@dataclass
class StaticCacheConfig(CacheConfig):
    """The size of a cache that is reserved at once: rows, and positions of each."""

    cache_implementation: str | None = field(default="static", init=False, repr=False)
    batch_size: int
    max_cache_len: int
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        for name in ("batch_size", "max_cache_len"):
            if not _is_whole(getattr(self, name), 1):
                raise _refuse(name, getattr(self, name), "a positive integer")


CONFIGS: Mapping[str, type[CacheConfig]] = {
    "quantized": QuantizedCacheConfig,
    "static": StaticCacheConfig,
}
"""The class of the settings for each ``cache_implementation`` that has some."""
