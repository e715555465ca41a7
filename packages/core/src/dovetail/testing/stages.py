"""What holds for picture models that work in stages, each at a lower resolution."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from dovetail import auto
from dovetail.testing.conformance import VisionConformance
from dovetail.testing.subject import BATCH, expect, expect_close


class StagedConformance(VisionConformance):
    """The battery for convolutional and hierarchical models, which have feature maps.

    `attends` says whether they have attention weights to record: one tensor for each stage.
    """

    attends: ClassVar[bool] = False

    def run(self, model: Any, inputs: Any, **changes: Any) -> Any:
        """The output of `model`; feature maps as one row (B, N) for each picture."""
        output = super().run(model, inputs, **changes)
        if "feature_maps" in output:
            output.feature_maps = rows(output.feature_maps)
        elif isinstance(output, tuple) and isinstance(output[0], tuple):
            output = (rows(output[0]), *output[1:])
        return output

    def test_output_is_finite_and_has_one_row_per_text(self, model_class: Any) -> None:
        model = self.build(model_class)
        first = self.run(model, self.inputs(model_class, model.config))[0]
        expect(first.shape[0] == BATCH, f"the first output has {first.shape[0]} rows, not {BATCH}")
        expect(bool(torch.isfinite(first).all()), "the first output is not finite")

    def test_hidden_states_and_attentions_are_recorded(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        output = self.run(model, inputs, output_hidden_states=True, output_attentions=self.attends)
        stages = len(model.config.depths)
        states = output.hidden_states
        expect(len(states) == stages + 1, f"{len(states)} hidden states of {stages} stages")
        expect(self.attends == ("attentions" in output), f"attentions: {not self.attends}")
        for weights in output.get("attentions", ()):
            total = weights.sum(-1)
            expect_close(total, torch.ones_like(total), "rows of attention", 1e-4)

    def test_each_choice_of_stages_gives_its_maps(self) -> None:
        for model_class in self.model_classes:
            if model_class.__name__.endswith("Backbone"):
                self.check_stages(model_class)

    def check_stages(self, model_class: Any) -> None:
        """Every stage alone gives the map which it gives among all."""
        config = self.config()
        names = config.stage_names[1:]
        model = self.build(model_class, out_features=names)
        inputs = self.inputs(model_class, model.config)
        with torch.no_grad():
            maps = model(**inputs).feature_maps
        found = [each.shape[1] for each in maps]
        expect(found == model.channels, f"maps have {found} channels, not {model.channels}")
        for name, expected in zip(names, maps, strict=True):
            alone = self.build(model_class, out_features=[name])
            with torch.no_grad():
                (got,) = alone(**inputs).feature_maps
            expect_close(got, expected, name, self.tolerance)
        picked = auto.AutoBackbone.from_config(config)
        expect(isinstance(picked, model_class), f"AutoBackbone picks {type(picked).__name__}")


def rows(maps: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Feature maps (B, C, H, W) side by side, (B, N)."""
    return torch.cat([each.flatten(1) for each in maps], 1)
