"""Google's release of BERT: a TensorFlow 1 checkpoint, ``bert_config.json`` and ``vocab.txt``."""

from __future__ import annotations

from dovetail.converting import Layout, Renames, TensorFlowFiles
from dovetail.mapping import Transpose

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
