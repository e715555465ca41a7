"""Rotary settings in configs: both spellings are read, one is stored, nonsense is refused.

Files of the 4.x releases hold ``rope_theta`` and ``rope_scaling``; those of 5.x hold
``rope_parameters``, which is either one object or one for each kind of layer. Configs store, and
write, the former: every release reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from dovetail.config_fields import PositiveFloat, Range, Size, fit
from dovetail.errors import ConfigError, near_matches

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "mrope": (),
    "proportional": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "longrope": ("short_factor", "long_factor"),
    "llama3": ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"),
}
"""The scaling types, and the parameters without which each is meaningless."""
OLD_NAMES = {"su": "longrope"}

KINDS: Mapping[str, Any] = {
    "factor": PositiveFloat | None,
    "original_max_position_embeddings": Size | None,
    "low_freq_factor": PositiveFloat,
    "high_freq_factor": PositiveFloat,
    "attention_factor": PositiveFloat | None,
    "beta_fast": PositiveFloat | None,
    "beta_slow": PositiveFloat | None,
    "short_factor": list[PositiveFloat],
    "long_factor": list[PositiveFloat],
    "mrope_section": list[Size],
}
FACTOR_LIMIT = Range(1, 2**20)


def adopt(values: dict[str, Any], known: AbstractSet[str]) -> None:
    """Replace 5.x's ``rope_parameters`` in `values` by the fields and aliases that are `known`."""
    parameters = values.get("rope_parameters")
    if isinstance(parameters, Mapping) and "rope_parameters" not in known and "rope_theta" in known:
        del values["rope_parameters"]
        by_layer = {kind: own for kind, own in parameters.items() if isinstance(own, Mapping)}
        main = by_layer.get(
            "full_attention", parameters if not by_layer else next(iter(by_layer.values()))
        )
        values.update(_split(main, known))
        local = by_layer.get("sliding_attention", {}).get("rope_theta")
        if local is not None and "rope_local_base_freq" in known:
            values["rope_local_base_freq"] = local
    if isinstance(values.get("rope_scaling"), Mapping) and "rope_scaling" in known:
        values["rope_scaling"] = _with_type(values["rope_scaling"])


def _split(parameters: Mapping[str, Any], known: AbstractSet[str]) -> dict[str, Any]:
    scaling = dict(parameters)
    found = {
        name: scaling.pop(name)
        for name in ("rope_theta", "partial_rotary_factor")
        if name in scaling
    }
    if "partial_rotary_factor" in found and "partial_rotary_factor" not in known:
        scaling["partial_rotary_factor"] = found.pop("partial_rotary_factor")
    plain = (
        scaling.keys() <= {"rope_type", "type"} and scaling.get("rope_type", "default") == "default"
    )
    return found | {"rope_scaling": None if plain else scaling}


def _with_type(scaling: Mapping[str, Any]) -> dict[str, Any]:
    named = dict(scaling)
    kind = named.get("rope_type", named.get("type"))
    if isinstance(kind, str):
        named["rope_type"] = OLD_NAMES.get(kind, kind)
    return named


def combined(config: Any) -> dict[str, Any]:
    """What 5.x calls ``rope_parameters``, from ``rope_theta`` and ``rope_scaling``."""
    scaling = dict(getattr(config, "rope_scaling", None) or {})
    scaling.setdefault("rope_type", scaling.pop("type", "default"))
    if hasattr(config, "partial_rotary_factor"):
        scaling.setdefault("partial_rotary_factor", config.partial_rotary_factor)
    return {"rope_theta": config.rope_theta} | scaling


def check(scaling: Mapping[str, Any], owner: str) -> None:
    """Refuse a ``rope_scaling`` of unknown type, or that lacks or garbles a parameter."""
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if not isinstance(kind, str) or kind not in REQUIRED:
        hint = near_matches(kind, REQUIRED) if isinstance(kind, str) else ""
        raise ConfigError(
            f"{owner}: rope_scaling['rope_type']={kind!r} is not one of "
            f"{', '.join(map(repr, REQUIRED))}.{hint}"
        )
    missing = [name for name in REQUIRED[kind] if scaling.get(name) is None]
    if missing:
        raise ConfigError(
            f"{owner}: rope_scaling of type {kind!r} needs {', '.join(map(repr, missing))} as well."
        )
    for name, annotation in KINDS.items():
        if name in scaling:
            fit(scaling[name], annotation, owner=owner, key=f"rope_scaling[{name!r}]")
    factor = scaling.get("factor")
    if factor is not None and factor not in FACTOR_LIMIT:
        raise ConfigError(
            f"{owner}: rope_scaling['factor']={factor} is not allowed, it must be {FACTOR_LIMIT}."
        )
    if kind == "llama3" and scaling["low_freq_factor"] >= scaling["high_freq_factor"]:
        raise ConfigError(
            f"{owner}: rope_scaling['low_freq_factor']={scaling['low_freq_factor']} must be "
            "less than "
            f"rope_scaling['high_freq_factor']={scaling['high_freq_factor']}."
        )
