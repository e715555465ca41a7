"""Google's releases of BERT: TensorFlow checkpoints, ``bert_config.json`` and ``vocab.txt``.

The first is of TensorFlow 1. In those of the Model Garden (TensorFlow 2) heads are a dimension of
their own: `KERAS` is its encoder alone, `TOKEN_DROPPING` the one that drops tokens in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dovetail.converting import Layout, Renames, Reshape, TensorFlowFiles, Zeros
from dovetail.mapping import Step, Transpose

NORM = {"gamma": "weight", "beta": "bias"}
DENSE = {"kernel": "weight", "bias": "bias"}
BLOCKS = {
    "attention.output.LayerNorm": NORM,
    "output.LayerNorm": NORM,
    **dict.fromkeys(
        (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
        ),
        DENSE,
    ),
}
OUTSIDE = {
    "bert.embeddings.LayerNorm": NORM,
    "bert.pooler.dense": DENSE,
    "cls.predictions.transform.dense": DENSE,
    "cls.predictions.transform.LayerNorm": NORM,
}
FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)
OPTIONAL = (
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "type_vocab_size",
    "initializer_range",
)

TENSORFLOW = Layout(
    architecture="BertForPreTraining",
    storage=TensorFlowFiles(name="bert_model.ckpt", settings_file="bert_config.json"),
    steps=(
        Transpose("kernel"),
        Renames(
            {
                **{
                    f"bert.encoder.layer_*.{block}.{old}": f"bert.encoder.layer.*.{block}.{new}"
                    for block, parts in BLOCKS.items()
                    for old, new in parts.items()
                },
                **{
                    f"{block}.{old}": f"{block}.{new}"
                    for block, parts in OUTSIDE.items()
                    for old, new in parts.items()
                },
                "bert.embeddings.*_embeddings": "bert.embeddings.*_embeddings.weight",
                "cls.predictions.output_bias": "cls.predictions.bias",
                "cls.seq_relationship.output_weights": "cls.seq_relationship.weight",
                "cls.seq_relationship.output_bias": "cls.seq_relationship.bias",
            }
        ),
    ),
    fields={name: name for name in FIELDS},
    optional={name: name for name in OPTIONAL},
    marks=("bert.embeddings.word_embeddings", "bert.encoder.layer_*.attention.self.query.kernel"),
    ignored=("global_step", "**.adam_m", "**.adam_v"),
    files={"vocab.txt": "vocab.txt"},
)


HEADED = tuple(f"_{name}_dense" for name in ("query", "key", "value"))
NORMS = {"_attention_layer_norm": "attention.output", "_output_layer_norm": "output"}
MLP = {"_intermediate_dense": "intermediate", "_output_dense": "output"}
EMBEDDINGS = ("word", "position", "token_type")


def _heads(output: str) -> tuple[Step, ...]:
    """Steps that undo the dimension of heads; `output` is what projects their results."""

    def split(config: Any) -> tuple[int, int]:
        return config.num_attention_heads, config.hidden_size // config.num_attention_heads

    def rows(config: Any, shape: Sequence[int]) -> Sequence[int]:
        return (shape[0], config.hidden_size)

    def bias(config: Any, shape: Sequence[int]) -> Sequence[int]:
        return (config.hidden_size,)

    def columns(config: Any, shape: Sequence[int]) -> Sequence[int]:
        return (config.hidden_size, shape[-1])

    return (
        *(Reshape(f"{name}.kernel", rows, lambda c, s: (s[0], *split(c))) for name in HEADED),
        *(Reshape(f"{name}.bias", bias, lambda c, s: split(c)) for name in HEADED),
        Reshape(f"{output}.kernel", columns, lambda c, s: (*split(c), s[-1])),
        Transpose("kernel"),
    )


def _garden(theirs: str, ours: str, output: str) -> dict[str, str]:
    """The names within a layer."""
    table = {
        f"{theirs}.{output}.{old}": f"{ours}.attention.output.dense.{new}"
        for old, new in DENSE.items()
    }
    for old, new in DENSE.items():
        table[f"{theirs}._attention_layer._*_dense.{old}"] = f"{ours}.attention.self.*.{new}"
        for block, name in MLP.items():
            table[f"{theirs}.{block}.{old}"] = f"{ours}.{name}.dense.{new}"
    for old, new in NORM.items():
        for block, name in NORMS.items():
            table[f"{theirs}.{block}.{old}"] = f"{ours}.{name}.LayerNorm.{new}"
    return table


def _keras_steps(config: Any) -> Sequence[Step]:
    parts, output = "model.layer_with_weights-", "_attention_output_dense"
    pooler = config.num_hidden_layers + len(EMBEDDINGS) + 1
    table = {
        **{f"{parts}{n}.embeddings": f"embeddings.{name}_embeddings.weight"
           for n, name in enumerate(EMBEDDINGS)},
        **{f"{parts}3.{old}": f"embeddings.LayerNorm.{new}" for old, new in NORM.items()},
        **{f"{parts}{pooler}.{old}": f"pooler.dense.{new}" for old, new in DENSE.items()},
        **_garden(f"{parts}*", "encoder.layer.*", output),
    }  # fmt: skip
    return (*_heads(output), Renames(table, first=len(EMBEDDINGS) + 1))


def _token_dropping_table() -> dict[str, str]:
    own = ("_embedding_layer", "_position_embedding_layer", "_type_embedding_layer")
    return {
        **{f"encoder.{layer}.embeddings": f"bert.embeddings.{name}_embeddings.weight"
           for layer, name in zip(own, EMBEDDINGS, strict=True)},
        **{f"encoder._embedding_norm_layer.{old}": f"bert.embeddings.LayerNorm.{new}"
           for old, new in NORM.items()},
        **_garden("encoder._transformer_layers.*", "bert.encoder.layer.*",
                  "_attention_layer._output_dense"),
        **{f"masked_lm.dense.{old}": f"cls.predictions.transform.dense.{new}"
           for old, new in DENSE.items()},
        **{f"masked_lm.layer_norm.{old}": f"cls.predictions.transform.LayerNorm.{new}"
           for old, new in NORM.items()},
        "masked_lm.embedding_table": "cls.predictions.decoder.weight",
        "masked_lm.bias": "cls.predictions.bias",
    }  # fmt: skip


KERAS = replace(
    TENSORFLOW,
    architecture="BertModel",
    storage=TensorFlowFiles(name="bert_model.ckpt", settings_file="bert_config.json", objects=True),
    steps=_keras_steps,
    marks=("model.layer_with_weights-0.embeddings",),
    ignored=("save_counter", "global_step", "**optimizer**", "**.OPTIMIZER_SLOT.**"),
)
TOKEN_DROPPING = replace(
    KERAS,
    architecture="BertForMaskedLM",
    steps=(
        *_heads("_attention_layer._output_dense"),
        Renames(_token_dropping_table()),
        Zeros(lambda config: {"cls.predictions.bias": (config.vocab_size,)}, optional=True),
    ),
    marks=("encoder._embedding_norm_layer.gamma", "masked_lm.dense.kernel"),
    copies={
        "bert.embeddings.word_embeddings.weight": (
            "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.weight",
        )
    },
    ignored=(*KERAS.ignored, "encoder._pooler_layer.*", "next_sentence.**"),
)
