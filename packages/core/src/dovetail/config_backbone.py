"""Configs of backbones: which stages of a picture model give feature maps, by name or by index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError, ConfigTypeError, near_matches

Stages = tuple[list[str], list[int]]
"""Names of stages and their indices."""
SELECTIONS = ("out_features", "out_indices")


class BackboneConfigMixin(PretrainedConfig):
    """A config whose model can be a backbone; it goes in place of `PretrainedConfig`.

    A subclass declares ``out_features: list[str] | None = None`` and ``out_indices: list[int] |
    None = None`` as its last fields. Both name the same stages: setting one sets the other, and the
    last stage is chosen when neither is given. `stage_names` are ``stem``, ``stage1`` and so on;
    there are as many stages as `depths` lists, else ``num_hidden_layers``.
    """

    def derive(self) -> None:
        """Name the stages and choose among them."""
        super().derive()
        depths = getattr(self, "depths", None)
        count = self.num_hidden_layers if depths is None else len(depths)  # type: ignore[attr-defined]
        self.stage_names = ["stem", *(f"stage{number}" for number in range(1, count + 1))]
        self._choose(self.__dict__.get("out_features"), self.__dict__.get("out_indices"))

    def validate(self) -> None:
        """Check the chosen stages, too."""
        super().validate()
        features, indices = (self.__dict__[name] for name in SELECTIONS)
        verify_out_features_out_indices(features, indices, self.stage_names)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in SELECTIONS and all(key in self.__dict__ for key in ("stage_names", *SELECTIONS)):
            self._choose(**{key: self.__dict__[key] if key == name else None for key in SELECTIONS})

    def _choose(self, out_features: list[str] | None, out_indices: list[int] | None) -> None:
        chosen = get_aligned_output_features_output_indices(
            out_features, out_indices, self.stage_names
        )
        self.__dict__.update(zip(SELECTIONS, chosen, strict=True))


def verify_out_features_out_indices(
    out_features: Sequence[str] | None,
    out_indices: Sequence[int] | None,
    stage_names: Sequence[str] | None,
) -> None:
    """Raise `ConfigError` unless both name the same of `stage_names`, once each and in order;
    indices may count from the end."""
    if stage_names is None:
        raise ConfigError("stage_names is None: a backbone must name its stages.")
    names, count = list(stage_names), len(stage_names)
    by_name = {name: position for position, name in enumerate(names)}
    by_index = {index: index % count for index in range(-count, count)}
    features = _positions("out_features", out_features, by_name, names)
    indices = _positions("out_indices", out_indices, by_index, names)
    if features is not None and indices is not None and features != indices:
        raise ConfigError(
            f"out_features={out_features} and out_indices={out_indices} name different stages of "
            f"{names}; give one of them, or make them equal."
        )


def _positions(
    key: str, chosen: Any, known: Mapping[Any, int], names: list[str]
) -> list[int] | None:
    """Where the `chosen` stages are among `names`."""
    if chosen is None:
        return None
    if not isinstance(chosen, list | tuple):
        raise ConfigTypeError(f"{key}={chosen!r} must be a list of some of the stages {names}.")
    for stage in chosen:
        if stage not in known:
            hint = near_matches(stage, names) if isinstance(stage, str) else ""
            raise ConfigError(f"{key}={chosen}: {stage!r} is none of the stages {names}.{hint}")
    positions = [known[stage] for stage in chosen]
    if positions != sorted(set(positions)):
        raise ConfigError(
            f"{key}={chosen} must name stages once each, in the order of {names}: sort it and "
            "leave out what comes twice."
        )
    return positions


def get_aligned_output_features_output_indices(
    out_features: list[str] | None,
    out_indices: list[int] | tuple[int, ...] | None,
    stage_names: Sequence[str],
) -> Stages:
    """Names and indices of the chosen stages from whichever is given; the last stage without.

    Raises:
        ConfigError: they name no stages, or different ones.
    """
    verify_out_features_out_indices(out_features, out_indices, stage_names)
    if out_features is None and out_indices is None:
        return [stage_names[-1]], [len(stage_names) - 1]
    if out_features is None:
        indices = list(out_indices or ())
        return [stage_names[index] for index in indices], indices
    features = list(out_features)
    if out_indices is None:
        return features, [list(stage_names).index(name) for name in features]
    return features, list(out_indices)


def verify_backbone_config_arguments(
    use_timm_backbone: bool | None,
    use_pretrained_backbone: bool | None,
    backbone: str | None,
    backbone_config: Any,
    backbone_kwargs: Mapping[str, Any] | None,
) -> None:
    """Raise `ConfigError` where a config describes its backbone twice."""
    if backbone_config is None:
        return
    for key, value in (
        ("backbone", backbone),
        ("use_timm_backbone", use_timm_backbone),
        ("backbone_kwargs", backbone_kwargs),
    ):
        if value:
            raise ConfigError(
                f"{key}={value!r} and backbone_config both describe the backbone: leave out one."
            )
