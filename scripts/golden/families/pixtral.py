"""Golden cases of Pixtral's image encoder, and of LLaVA around it."""

from __future__ import annotations

from cases import Family, Inputs, call, floats

SIZES: Inputs = {
    "hidden_size": 24,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 48,
    "patch_size": 8,
}
family = Family("models-vision", "pixtral", "PixtralVisionConfig", SIZES)
SHAPES = [(16, 24), (48, 8), (40, 40)]
LAST = ("hidden_states",)
"""Of these the reference gives the last alone, whether they are wanted or not."""
several = [floats(f"picture-{n}", 3, *shape) for n, shape in enumerate(SHAPES)]
family.case(
    "PixtralVisionModel",
    [
        call("one", {"pixel_values": several[:1]}, without=LAST),
        call("several", {"pixel_values": several}, without=LAST),
        call("batch", {"pixel_values": floats("batch", 2, 3, 24, 16)}, without=LAST),
    ],
)
family.case(
    "PixtralVisionModel",
    [call("several", {"pixel_values": several}, without=LAST)],
    "other",
    rope_theta=100.0,
    hidden_act="silu",
    num_attention_heads=2,
    num_channels=3,
)
