"""ViLT's original checkpoints: those of PyTorch Lightning, one for each task; heads are 64 wide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dovetail.converting import Layout, Renames, Shapes, TorchFiles
from dovetail_models_vision.vit.conversion import (
    layer_names,
    split_fused,
    tower_names,
    tower_sizes,
)

THEIRS = "transformer."
WORDS = "text_embeddings.word_embeddings.weight"
BODY = (
    tower_names(THEIRS, "vilt.")
    | layer_names(THEIRS, "vilt.")
    | {
        "text_embeddings.**": "vilt.embeddings.text_embeddings.**",
        "token_type_embeddings.weight": "vilt.embeddings.token_type_embeddings.weight",
        "pooler.dense.*": "vilt.pooler.dense.*",
    }
)
HEADS = ("mlm_score", "itm_score", "rank_output", "vqa_classifier", "nlvr2_classifier")
Infer = Callable[[Mapping[str, Any], Shapes, Mapping[str, Any]], Mapping[str, Any]]


def _infer(classifier: str, **known: Any) -> Infer:
    def infer(
        settings: Mapping[str, Any], shapes: Shapes, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        sizes = tower_sizes(shapes, THEIRS) | {
            "intermediate_size": shapes[f"{THEIRS}blocks.0.mlp.fc1.weight"][0],
            "vocab_size": shapes[WORDS][0],
            "max_position_embeddings": shapes["text_embeddings.position_embeddings.weight"][0],
            "type_vocab_size": shapes["text_embeddings.token_type_embeddings.weight"][0],
            "modality_type_vocab_size": shapes["token_type_embeddings.weight"][0],
        }
        if classifier:
            sizes["num_labels"] = shapes[f"{classifier}.3.weight"][0]
        return sizes | known

    return infer


def _layout(
    architecture: str,
    head: Mapping[str, str],
    classifier: str = "",
    **known: Any,
) -> Layout:
    """The layout of a task; what belongs to other tasks' heads is ignored."""
    own = {name.partition(".")[0] for name in head}
    others = (*(f"{name}.**" for name in HEADS if name not in own),)
    return Layout(
        architecture=architecture,
        storage=TorchFiles(pattern="*.ckpt", name="vilt.ckpt", state=("state_dict",)),
        steps=(*split_fused(THEIRS), Renames({**BODY, **head})),
        infer=_infer(classifier, **known),
        marks=(WORDS, f"{THEIRS}blocks.*.attn.qkv.weight", next(iter(own)) + ".**"),
        ignored=(*others, "text_embeddings.position_ids", "**.relative_position_index"),
    )


MASKED = _layout("ViltForMaskedLM", {"mlm_score.**": "mlm_score.**"})
RETRIEVAL = _layout("ViltForImageAndTextRetrieval", {"rank_output.*": "rank_output.*"})
ANSWERING = _layout(
    "ViltForQuestionAnswering", {"vqa_classifier.**": "classifier.**"}, "vqa_classifier"
)
REASONING = _layout(
    "ViltForImagesAndTextClassification",
    {"nlvr2_classifier.**": "classifier.**"},
    "nlvr2_classifier",
    num_images=2,
)
