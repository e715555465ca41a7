"""Golden cases of Swin2SR."""

from __future__ import annotations

from cases import EVERYTHING, Family, Inputs, call, floats

family = Family(
    package="models-vision",
    model_type="swin2sr",
    config_class="Swin2SRConfig",
    sizes={
        "image_size": 16,
        "embed_dim": 16,
        "depths": [2, 1],
        "num_heads": [2, 2],
        "window_size": 4,
        "drop_path_rate": 0.0,
    },
    recipes={"logit_scale": (1.0, 0.5)},
)
IMAGES: Inputs = {"pixel_values": floats("images", 2, 3, 16, 16, spread=0.3)}
WIDE: Inputs = {"pixel_values": floats("wide", 1, 3, 8, 20, spread=0.3)}
PLAIN = call("plain", {**IMAGES, **EVERYTHING})
family.case(
    "Swin2SRModel",
    [
        PLAIN,
        call("wide", {**WIDE, **EVERYTHING}),
    ],
)
family.case(
    "Swin2SRModel", [PLAIN], "three", resi_connection="3conv", qkv_bias=False, img_range=255.0,
    hidden_act="relu", layer_norm_eps=0.01,
)  # fmt: skip
family.case("Swin2SRModel", [PLAIN], "one-window", image_size=4)
family.case("Swin2SRForImageSuperResolution", [PLAIN, call("wide", WIDE)])
VARIANTS: dict[str, Inputs] = {
    "three": {"upscale": 3},
    "compressed": {"upsampler": "pixelshuffle_aux", "upscale": 4},
    "direct": {"upsampler": "pixelshuffledirect", "upscale": 3},
    "real": {"upsampler": "nearest+conv", "upscale": 4, "img_range": 2.0},
    "denoised": {"upsampler": "", "upscale": 1},
}
for variant, config in VARIANTS.items():
    family.case("Swin2SRForImageSuperResolution", [PLAIN], variant, **config)
GREY = call("grey", {"pixel_values": floats("grey", 2, 1, 16, 16, spread=0.3)})
family.case("Swin2SRForImageSuperResolution", [GREY], "grey", num_channels=1)
