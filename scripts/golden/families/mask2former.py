"""Golden cases of Mask2Former."""

from __future__ import annotations

from typing import Any

from cases import EVERYTHING, Family, call, floats, ints, seeded
from detection_cases import resnet


def draw_no_chances() -> None:
    """The reference draws a number for each layer, to leave it out with probability 0; the points
    of the loss come after it."""
    import torch

    drawn = torch.rand

    def rand(*size: Any, **options: Any) -> torch.Tensor:
        return torch.ones(()) if size == ([],) else drawn(*size, **options)

    torch.rand = rand


SWIN = {
    "model_type": "swin",
    "image_size": 64,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [2, 2, 2, 2],
    "window_size": 3,
    "drop_path_rate": 0.0,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
family = Family(
    package="models-vision",
    model_type="mask2former",
    config_class="Mask2FormerConfig",
    sizes={
        "backbone_config": SWIN,
        "feature_size": 32,
        "mask_feature_size": 12,
        "hidden_dim": 32,
        "encoder_feedforward_dim": 20,
        "encoder_layers": 2,
        "decoder_layers": 5,
        "num_attention_heads": 4,
        "dim_feedforward": 24,
        "num_queries": 6,
        "train_num_points": 40,
    },
    prepare=draw_no_chances,
    recipes={r"mask_(projection|embedder).*weight": (0.0, 0.08)},
)
PICTURES = {"pixel_values": floats("pictures", 2, 3, 64, 48)}
PLAIN = [call("plain", {**PICTURES, **EVERYTHING})]
RESNET = {"backbone_config": resnet(out_features=["stage1", "stage2", "stage3", "stage4"])}


LABELS = {
    "class_labels": [ints([1, 0, 2]), ints([2])],
    "mask_labels": [
        {"values": seeded.integers("masks.0", (3, 32, 24), 0, 2).astype(float).tolist()},
        {"values": seeded.integers("masks.1", (1, 24, 28), 0, 2).astype(float).tolist()},
    ],
}
LOSS = call("training", {**PICTURES, **LABELS, **EVERYTHING}, gradients=True, training=True)
family.case(
    "Mask2FormerModel", [*PLAIN, call("small", {"pixel_values": floats("s", 1, 3, 32, 40)})]
)
family.case(
    "Mask2FormerModel", PLAIN, "pre-norm", pre_norm=True, decoder_layers=3,
    activation_function="gelu", **RESNET,
)  # fmt: skip
family.case("Mask2FormerModel", PLAIN, "coarse", common_stride=8)
family.case("Mask2FormerForUniversalSegmentation", [*PLAIN, LOSS], num_labels=3)
family.case(
    "Mask2FormerForUniversalSegmentation",
    [call("auxiliary", {**PICTURES, **EVERYTHING, "output_auxiliary_logits": True}), LOSS],
    "weights",
    num_labels=3,
    class_weight=1.5,
    mask_weight=3.0,
    dice_weight=2.0,
    importance_sample_ratio=0.5,
    oversample_ratio=2.0,
)
