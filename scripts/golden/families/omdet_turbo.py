"""Golden cases of OmDet-Turbo."""

from __future__ import annotations

from cases import EVERYTHING, Family, Inputs, call, floats, ints, seeded

SIZE = (64, 96)
SWIN: Inputs = {
    "model_type": "swin",
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "window_size": 2,
    "image_size": 64,
    "out_indices": [2, 3, 4],
}
TEXT: Inputs = {
    "model_type": "clip_text_model",
    "hidden_size": 16,
    "intermediate_size": 24,
    "projection_dim": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 60,
    "max_position_embeddings": 12,
}
END = 59


def texts(name: str, count: int, length: int, *lengths: int) -> Inputs:
    """Ids and mask of texts, each of which ends before its padding."""
    ids = seeded.integers(name, (count, length), 3, 58).tolist()
    sizes = lengths or (length,) * count
    rows = [
        [*row[: size - 1], END, *[1] * (length - size)]
        for row, size in zip(ids, sizes, strict=True)
    ]
    mask = [[1] * size + [0] * (length - size) for size in sizes]
    return {"input_ids": ints(rows), "attention_mask": ints(mask)}


def inputs(**named: Inputs) -> Inputs:
    """Texts by the names of the model's arguments."""
    return {f"{kind}_{key}": value for kind, text in named.items() for key, value in text.items()}


PLAIN: Inputs = {
    "pixel_values": floats("pictures", 2, 3, *SIZE),
    **inputs(classes=texts("classes", 5, 7, 7, 4, 5, 7, 3), tasks=texts("tasks", 2, 9, 9, 6)),
    "classes_structure": ints([3, 2]),
}
family = Family(
    package="models-vision",
    model_type="omdet-turbo",
    config_class="OmDetTurboConfig",
    sizes={
        "use_timm_backbone": False,
        "backbone": None,
        "backbone_config": SWIN,
        "apply_layernorm_after_vision_backbone": False,
        "text_config": TEXT,
        "image_size": 64,
        "text_projection_in_dim": 16,
        "text_projection_out_dim": 16,
        "task_encoder_hidden_dim": 20,
        "class_embed_dim": 16,
        "num_queries": 5,
        "vision_features_channels": [32] * 3,
        "encoder_hidden_dim": 32,
        "encoder_in_channels": [16, 32, 64],
        "encoder_attention_heads": 2,
        "encoder_dim_feedforward": 24,
        "decoder_hidden_dim": 32,
        "decoder_num_heads": 2,
        "decoder_num_layers": 2,
        "decoder_dim_feedforward": 24,
        "cache_size": 4,
    },
)
family.recipes[r"sampling_offsets\.weight"] = (0.0, 0.005)
family.recipes[r"bbox_head\..*layers\.2\.weight"] = (0.0, 0.05)
family.recipes[r"value_proj\.weight"] = (0.0, 0.05)
family.case("OmDetTurboForObjectDetection", [call("plain", {**PLAIN, **EVERYTHING})])
family.case(
    "OmDetTurboForObjectDetection", [call("plain", PLAIN)], "dot", class_distance_type="dot",
    learn_initial_query=True, hidden_expansion=0.5, encoder_projection_indices=[1, 2],
    csp_activation="relu", conv_norm_activation="silu", layer_norm_eps=1e-3, batch_norm_eps=1e-3,
)  # fmt: skip
