"""Checkpoints to measure with: random weights at real sizes; a tokenizer trained on the spot."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "out" / "benchmarks"
TEXT = ROOT / "examples" / "data" / "alice.txt"

DECODER = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "torch_dtype": "float32",
}
LARGE_DECODER = DECODER | {
    "vocab_size": 128256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rope_theta": 500000.0,
}
DECODERS = {"135M": ("decoder", DECODER), "1B": ("decoder-1B", LARGE_DECODER)}
"""Folder and config by size: the shapes of SmolLM-135M and Llama-3.2-1B."""
ENCODER = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": 2000,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "torch_dtype": "float32",
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def decoder_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Tensors of a decoder with tied embeddings."""
    width, inner, vocabulary = (
        config[key] for key in ("hidden_size", "intermediate_size", "vocab_size")
    )
    keys = width // config["num_attention_heads"] * config["num_key_value_heads"]
    layer = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }
    shapes = {"model.embed_tokens.weight": (vocabulary, width), "model.norm.weight": (width,)}
    for index in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    return shapes


def encoder_shapes() -> dict[str, tuple[int, ...]]:
    """Tensors of the encoder: that of MiniLM with a small vocabulary."""
    width, inner = ENCODER["hidden_size"], ENCODER["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (ENCODER["vocab_size"], width),
        "embeddings.position_embeddings.weight": (ENCODER["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (2, width),
    }
    linear = {"pooler.dense": (width, width)}
    norms = ["embeddings.LayerNorm"]
    for index in range(ENCODER["num_hidden_layers"]):
        prefix = f"encoder.layer.{index}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear[f"{prefix}attention.{part}"] = (width, width)
        linear[f"{prefix}intermediate.dense"] = (inner, width)
        linear[f"{prefix}output.dense"] = (width, inner)
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return shapes


def write_checkpoint(folder: Path, config: dict, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write a checkpoint of random weights, unless it is there."""
    if (folder / "model.safetensors").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.ones(shape)
        if len(shape) == 1
        else torch.randn(shape, generator=generator) / math.sqrt(shape[-1])
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / "part", metadata={"format": "pt"})
    (folder / "part").rename(folder / "model.safetensors")


def write_tokenizer(folder: Path) -> None:
    """Train BERT's kind of tokenizer on the text that comes with the repository."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=ENCODER["vocab_size"], special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT.read_text().splitlines(), trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(
        zip(
            ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True
        )
    )
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 512, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def prepare_decoder(size: str) -> Path:
    """The folder of a decoder's checkpoint, written when it is missing."""
    name, config = DECODERS[size]
    write_checkpoint(FOLDER / name, config, decoder_shapes(config))
    return FOLDER / name


def prepare() -> None:
    """Write whatever is missing."""
    prepare_decoder("135M")
    write_checkpoint(FOLDER / "encoder", ENCODER, encoder_shapes())
    write_tokenizer(FOLDER / "encoder")
