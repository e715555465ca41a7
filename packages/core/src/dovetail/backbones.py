"""Picture models as backbones: feature maps of chosen stages, for detectors and segmenters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor

from dovetail.config_backbone import (
    BackboneConfigMixin,
    get_aligned_output_features_output_indices,
    verify_backbone_config_arguments,
    verify_out_features_out_indices,
)
from dovetail.errors import ConfigError
from dovetail.outputs import BackboneOutput
from dovetail.recording import Recorder

__all__ = [
    "BackboneConfigMixin",
    "BackboneMixin",
    "get_aligned_output_features_output_indices",
    "load_backbone",
    "run_stages",
    "verify_backbone_config_arguments",
    "verify_out_features_out_indices",
]


class BackboneMixin:
    """A model that returns the outputs of some of its stages.

    A family sets `num_features`, the channels of each stage, and defines `stages`; it may define
    `feature_map` where a map is more than the output of its stage.
    """

    config: Any
    num_features: list[int]

    @property
    def stage_names(self) -> list[str]:
        """All stages, from the stem on."""
        return self.config.stage_names

    @property
    def out_features(self) -> list[str]:
        """Names of the stages whose outputs are returned; setting it sets `out_indices`."""
        return self.config.out_features

    @out_features.setter
    def out_features(self, out_features: list[str]) -> None:
        self.config.out_features = out_features

    @property
    def out_indices(self) -> list[int]:
        """Indices of the stages whose outputs are returned; setting it sets `out_features`."""
        return self.config.out_indices

    @out_indices.setter
    def out_indices(self, out_indices: list[int]) -> None:
        self.config.out_indices = out_indices

    @property
    def out_feature_channels(self) -> dict[str, int]:
        """Stage to channels."""
        return dict(zip(self.stage_names, self.num_features, strict=True))

    @property
    def channels(self) -> list[int]:
        """Channels of the feature maps that are returned."""
        return [self.out_feature_channels[name] for name in self.out_features]

    def stages(self, pixel_values: Tensor, recorder: Recorder | None) -> Sequence[Tensor]:
        """The output of every stage, that of the stem first."""
        raise ConfigError(f"{type(self).__name__} does not define stages(pixel_values, recorder).")

    def feature_map(self, name: str, states: Tensor) -> Tensor:
        """The map (B, C, H, W) of the stage `name` whose output is `states`."""
        return states

    def norm_of(self, name: str) -> Any:
        """The norm of the stage `name`, where ``hidden_states_norms`` has one for each stage that
        was chosen when the model was built.

        Raises:
            ConfigError: the stage was chosen later.
        """
        norms = self.hidden_states_norms  # type: ignore[attr-defined]
        if name not in norms:
            raise ConfigError(
                f"out_features={self.out_features}: {type(self).__name__} was built without a norm "
                f"for {name!r}, only with those for {list(norms)}. Choose stages when the model is "
                "built or loaded."
            )
        return norms[name]

    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Feature maps of `out_features` for pictures (B, C, H, W)."""
        config = self.config
        wanted = [
            default if given is None else given
            for given, default in (
                (output_hidden_states, config.output_hidden_states),
                (output_attentions, config.output_attentions),
            )
        ]
        recorder = Recorder(*wanted) if any(wanted) else None
        states = self.stages(pixel_values, recorder)
        chosen = set(self.out_features)
        output = BackboneOutput(
            feature_maps=tuple(
                self.feature_map(name, state)
                for name, state in zip(self.stage_names, states, strict=True)
                if name in chosen
            )
        )
        if recorder is not None:
            if recorder.last_hidden_state is None:
                recorder.add_last_hidden_state(states[-1])
            recorder.complete(output)
        as_dict = config.use_return_dict if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()

    def forward_with_filtered_kwargs(self, *args: Any, **kwargs: Any) -> Any:
        """`forward` with those arguments that it knows."""
        known = inspect.signature(self.forward).parameters
        return self(*args, **{name: kwargs[name] for name in kwargs if name in known})  # type: ignore[operator]


def run_stages(
    model: Any,
    stages: Iterable[Callable[[Tensor], Tensor]],
    hidden_states: Tensor,
    recorder: Recorder | None,
) -> list[Tensor]:
    """`hidden_states`, which is what the stem of `model` gives, and the output of each stage.

    Notes the input of each stage for ``output_hidden_states`` and applies gradient checkpointing.
    """
    recompute = model.gradient_checkpointing and model.training
    outputs = [hidden_states]
    for stage in stages:
        if recorder is not None:
            recorder.add_hidden_state(outputs[-1])
        if recompute:
            outputs.append(model._checkpoint(stage, outputs[-1]))
        else:
            outputs.append(stage(outputs[-1]))
    return outputs


def load_backbone(config: Any) -> Any:
    """The backbone that a detector's or segmenter's `config` describes: by ``backbone_config``, or
    by ``backbone``, the name of a checkpoint, whose weights are loaded where
    ``use_pretrained_backbone``. Without either, `config` is the backbone's own.

    Raises:
        ConfigError: the settings contradict each other.
    """
    from dovetail.auto import AutoBackbone, AutoConfig

    own = getattr(config, "backbone_config", None)
    name: Any = getattr(config, "backbone", None)
    timm = getattr(config, "use_timm_backbone", None)
    pretrained = getattr(config, "use_pretrained_backbone", None)
    options = getattr(config, "backbone_kwargs", None) or {}
    verify_backbone_config_arguments(timm, pretrained, name, own, options)
    if own is not None and pretrained:
        raise ConfigError(
            "use_pretrained_backbone=True needs backbone, the name of a checkpoint, where "
            "backbone_config is given: give one of the two."
        )
    if own is None and name is None:
        return AutoBackbone.from_config(config)
    if own is not None:
        return AutoBackbone.from_config(own)
    if pretrained or timm:
        return AutoBackbone.from_pretrained(name, use_timm_backbone=bool(timm), **options)
    return AutoBackbone.from_config(AutoConfig.from_pretrained(name, **options))
