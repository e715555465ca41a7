"""What the reference's conversion scripts make of small originals: names, shapes and digests.

Run in the reference's environment; for the layouts of TensorFlow (``--tensorflow``) in one that
holds TensorFlow as well. Writes ``tests/golden/conversions/KEY.json``.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
SEEDED = ROOT / "packages/core/src/dovetail/testing/seeded.py"
ORIGINALS = ROOT / "tests/models_text/originals.py"
TARGET = ROOT / "tests/golden/conversions"
MODELS = "transformers.models"

Shapes = dict[str, list[int]]
State = Mapping[str, torch.Tensor]


def _by_path(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


seeded = _by_path("seeded", SEEDED)
originals = _by_path("originals", ORIGINALS)

V, D, F, H, K, L = 96, 32, 48, 4, 2, 2
"""Vocabulary, width, width of the MLP, heads, heads of keys and values, layers."""


def _layers(pattern: Shapes, count: int = L) -> Shapes:
    return {name.format(n): shape for n in range(count) for name, shape in pattern.items()}


META_LAYER: Shapes = {
    "layers.{}.attention.wq.weight": [D, D],
    "layers.{}.attention.wk.weight": [D // 2, D],
    "layers.{}.attention.wv.weight": [D // 2, D],
    "layers.{}.attention.wo.weight": [D, D],
    "layers.{}.attention_norm.weight": [D],
    "layers.{}.ffn_norm.weight": [D],
}
META_MLP: Shapes = {
    "layers.{}.feed_forward.w1.weight": [F, D],
    "layers.{}.feed_forward.w2.weight": [D, F],
    "layers.{}.feed_forward.w3.weight": [F, D],
}
META_ENDS: Shapes = {
    "tok_embeddings.weight": [V, D],
    "norm.weight": [D],
    "output.weight": [V, D],
}
META = {"dim": D, "n_layers": L, "n_heads": H, "n_kv_heads": K, "norm_eps": 1e-5, "vocab_size": V}


def _meta() -> dict[str, Any]:
    """Llama in two ranks."""
    width = 256  # the reference computes it from multiple_of
    layer = META_LAYER | {
        "layers.{}.feed_forward.w1.weight": [width, D],
        "layers.{}.feed_forward.w2.weight": [D, width],
        "layers.{}.feed_forward.w3.weight": [width, D],
    }
    whole = {**META_ENDS, **_layers(layer)}
    along_input = ("wo.weight", "w2.weight", "tok_embeddings.weight")

    def part(name: str, shape: list[int]) -> list[int]:
        if len(shape) == 1:
            return shape
        dim = 1 if name.endswith(along_input) else 0
        return [size // 2 if axis == dim else size for axis, size in enumerate(shape)]

    split = {name: part(name, shape) for name, shape in whole.items()}
    files = {
        f"consolidated.{rank:02d}.pth": {"seed": f"{rank}:", "tensors": split} for rank in range(2)
    }
    return {"settings": {"params.json": META | {"multiple_of": 256}}, "files": files}


MISTRAL = META | {"vocab_size": 32000, "hidden_dim": F, "head_dim": D // H, "sliding_window": 16}
GEMMA_LAYER: Shapes = {
    "model.layers.{}.self_attn.o_proj.weight": [D, 4 * 16],
    "model.layers.{}.mlp.gate_proj.weight": [F, D],
    "model.layers.{}.mlp.up_proj.weight": [F, D],
    "model.layers.{}.mlp.down_proj.weight": [D, F],
    "model.layers.{}.input_layernorm.weight": [D],
    "model.layers.{}.post_attention_layernorm.weight": [D],
}
GEMMA2_LAYER = GEMMA_LAYER | {
    "model.layers.{}.pre_feedforward_layernorm.weight": [D],
    "model.layers.{}.post_feedforward_layernorm.weight": [D],
}
GEMMA_ENDS: Shapes = {"embedder.weight": [V, D], "model.norm.weight": [D]}
GEMMA_SIZES = {
    "vocab_size": V,
    "hidden_size": D,
    "intermediate_size": F,
    "num_hidden_layers": L,
    "num_attention_heads": 4,
    "head_dim": 16,
}


def _gemma(layer: Shapes, keys: int) -> dict[str, Any]:
    layer = layer | {"model.layers.{}.self_attn.qkv_proj.weight": [(4 + 2 * keys) * 16, D]}
    tensors = {**GEMMA_ENDS, **_layers(layer), "freqs_cis": [4, 8]}
    return {"files": {"model.ckpt": {"under": "model_state_dict", "tensors": tensors}},
            "config": {"head_dim": 16}}  # fmt: skip


FAIRSEQ_BLOCK: Shapes = {
    **{f"self_attn.{p}_proj.weight": [D, D] for p in ("k", "v", "q", "out")},
    **{f"self_attn.{p}_proj.bias": [D] for p in ("k", "v", "q", "out")},
    **{f"{n}_layer_norm.{p}": [D] for n in ("self_attn", "final") for p in ("weight", "bias")},
    "fc1.weight": [F, D],
    "fc1.bias": [F],
    "fc2.weight": [D, F],
    "fc2.bias": [D],
}


def _metaseq() -> dict[str, Any]:
    tensors: Shapes = {
        "decoder.embed_tokens.weight": [V, D],
        "decoder.embed_positions.weight": [42, D],
        "decoder.layer_norm.weight": [D],
        "decoder.layer_norm.bias": [D],
        "decoder.version": [1],
    }
    for n in range(L):
        for name, shape in FAIRSEQ_BLOCK.items():
            if "q_proj" in name:
                part = name.rpartition(".")[2]
                fused = f"decoder.layers.{n}.self_attn.qkv_proj.{part}"
                tensors[fused] = [3 * shape[0], *shape[1:]]
            elif "k_proj" not in name and "v_proj" not in name:
                tensors[f"decoder.layers.{n}.{name}"] = shape
    return {"files": {"restored.pt": {"under": "model", "tensors": tensors}},
            "config": {"num_attention_heads": H}}  # fmt: skip


CROSS: Shapes = {
    **{f"encoder_attn.{p}_proj.weight": [D, D] for p in ("k", "v", "q", "out")},
    **{f"encoder_attn.{p}_proj.bias": [D] for p in ("k", "v", "q", "out")},
    **{f"encoder_attn_layer_norm.{p}": [D] for p in ("weight", "bias")},
}
FAIRSEQ_ARGS: dict[str, Any] = {
    "max_source_positions": 40,
    "activation_fn": "relu",
    "share_decoder_input_output_embed": True,
    "no_scale_embedding": False,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.0,
    **{f"{stack}_{name}": value
       for stack in ("encoder", "decoder")
       for name, value in (("layers", L), ("embed_dim", D), ("ffn_embed_dim", F),
                           ("attention_heads", H), ("layerdrop", 0.0))},
}  # fmt: skip


def _fairseq(learned: bool) -> dict[str, Any]:
    """mBART with learned positions and normalised embeddings, M2M-100 without either."""
    tensors: Shapes = {}
    for stack in ("encoder", "decoder"):
        block = FAIRSEQ_BLOCK | (CROSS if stack == "decoder" else {})
        for n in range(L):
            tensors |= {f"{stack}.layers.{n}.{name}": shape for name, shape in block.items()}
        tensors |= {f"{stack}.layer_norm.{p}": [D] for p in ("weight", "bias")}
        tensors[f"{stack}.version"] = [1]
        if learned:
            tensors |= {f"{stack}.layernorm_embedding.{p}": [D] for p in ("weight", "bias")}
            tensors[f"{stack}.embed_positions.weight"] = [42, D]
        else:
            tensors[f"{stack}.embed_positions._float_tensor"] = [1]
    tensors["encoder.embed_tokens.weight"] = [V, D]
    copies = ["decoder.embed_tokens.weight"]
    file = {"under": "model", "tensors": tensors, "args": FAIRSEQ_ARGS,
            "copies": dict.fromkeys(copies, "encoder.embed_tokens.weight")}  # fmt: skip
    return {"files": {"model.pt": file}}


MEGATRON_BLOCK: Shapes = {
    "input_layernorm.weight": [D],
    "input_layernorm.bias": [D],
    "self_attention.query_key_value.weight": [3 * D // 2, D],
    "self_attention.query_key_value.bias": [3 * D // 2],
    "self_attention.dense.weight": [D, D // 2],
    "self_attention.dense.bias": [D],
    "post_attention_layernorm.weight": [D],
    "post_attention_layernorm.bias": [D],
    "mlp.dense_h_to_4h.weight": [2 * D, D],
    "mlp.dense_h_to_4h.bias": [2 * D],
    "mlp.dense_4h_to_h.weight": [D, 2 * D],
    "mlp.dense_4h_to_h.bias": [D],
}


def _megatron() -> dict[str, Any]:
    layers = {1: {"word_embeddings.weight": [V // 2, D], "word_embeddings.norm.weight": [D],
                  "word_embeddings.norm.bias": [D]},
              3: MEGATRON_BLOCK, 4: MEGATRON_BLOCK,
              6: {"weight": [D], "bias": [D]}}  # fmt: skip
    files = {
        f"layer_{layer:02d}-model_{rank:02d}-model_states.pt": {
            "seed": f"{layer}.{rank}:",
            "tensors": tensors,
        }
        for layer, tensors in layers.items()
        for rank in range(2)
    }
    sizes = {"vocab_size": V, "hidden_size": D, "n_layer": L, "n_head": H}
    return {"settings": {"config.json": sizes}, "files": files}


def _marian() -> dict[str, Any]:
    tensors: Shapes = {"Wemb": [V, D], "decoder_ff_logit_out_b": [1, V]}
    for stack, kinds in (("encoder", ("self",)), ("decoder", ("self", "context"))):
        for n in range(1, L + 1):
            for kind in kinds:
                for letter in "qkvo":
                    tensors[f"{stack}_l{n}_{kind}_W{letter}"] = [D, D]
                    tensors[f"{stack}_l{n}_{kind}_b{letter}"] = [1, D]
                for part in ("scale", "bias"):
                    tensors[f"{stack}_l{n}_{kind}_Wo_ln_{part}"] = [1, D]
            for part in ("scale", "bias"):
                tensors[f"{stack}_l{n}_ffn_ffn_ln_{part}"] = [1, D]
            tensors |= {f"{stack}_l{n}_ffn_W1": [D, F], f"{stack}_l{n}_ffn_b1": [1, F],
                        f"{stack}_l{n}_ffn_W2": [F, D], f"{stack}_l{n}_ffn_b2": [1, D]}  # fmt: skip
    text = MARIAN_YAML.format(V=V, D=D, F=F, H=H, L=L)
    return {"files": {"model.npz": {"text": text, "tensors": tensors}}}


MARIAN_YAML = """bert-train-type-embeddings: true
dec-cell: gru
dec-cell-base-depth: 2
dec-cell-high-depth: 1
dec-depth: {L}
dim-emb: {D}
dim-vocabs:
  - {V}
  - {V}
enc-depth: {L}
enc-cell-depth: 1
enc-type: bidirectional
layer-normalization: false
lemma-dim-emb: 0
right-left: false
skip: false
tied-embeddings: false
tied-embeddings-all: true
tied-embeddings-src: false
transformer-aan-activation: swish
transformer-aan-depth: 2
transformer-aan-nogate: false
transformer-decoder-autoreg: self-attention
transformer-dim-aan: 2048
transformer-dim-ffn: {F}
transformer-ffn-activation: swish
transformer-ffn-depth: 2
transformer-guided-alignment-layer: last
transformer-heads: {H}
transformer-no-projection: false
transformer-postprocess: dan
transformer-postprocess-emb: d
transformer-preprocess: ""
transformer-tied-layers:
  []
transformer-train-position-embeddings: false
type: transformer
ulr: false
ulr-dim-emb: 0
version: v1.9
"""

RWKV: Shapes = {
    "emb.weight": [V, D],
    "ln_out.weight": [D],
    "ln_out.bias": [D],
    "head.weight": [V, D],
    "blocks.0.ln0.weight": [D],
    "blocks.0.ln0.bias": [D],
    **_layers(
        {
            **{f"blocks.{{}}.ln{n}.{p}": [D] for n in (1, 2) for p in ("weight", "bias")},
            "blocks.{}.att.time_decay": [D],
            "blocks.{}.att.time_first": [D],
            **{f"blocks.{{}}.att.time_mix_{x}": [1, 1, D] for x in "kvr"},
            **{f"blocks.{{}}.ffn.time_mix_{x}": [1, 1, D] for x in "kr"},
            **{f"blocks.{{}}.att.{x}.weight": [D, D] for x in ("key", "value", "receptance")},
            "blocks.{}.att.output.weight": [D, D],
            "blocks.{}.ffn.key.weight": [4 * D, D],
            "blocks.{}.ffn.receptance.weight": [D, D],
            "blocks.{}.ffn.value.weight": [D, 4 * D],
        }
    ),
}


def _module(name: str) -> Any:
    return importlib.import_module(f"{MODELS}.{name}")


def _read(folder: Path) -> State:
    from safetensors.torch import load_file

    return {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}


def _run_llama(source: Path, target: Path) -> State:
    module = _module("llama.convert_llama_weights_to_hf")
    module.write_model(
        str(target), str(source), "7B", llama_version="2", vocab_size=V, num_shards=2
    )
    return _read(target)


def _run_mistral(source: Path, target: Path) -> State:
    module = _module("mistral.convert_mistral_weights_to_hf")
    module.write_model(str(target), str(source), "7B", is_v3=True)
    return _read(target)


def _run_mixtral(source: Path, target: Path) -> State:
    module = _module("mixtral.convert_mixtral_weights_to_hf")
    module.write_model(str(target), str(source), "7B")
    return _read(target)


def _run_gemma(name: str, keys: int) -> Callable[[Path, Path], State]:
    def run(source: Path, target: Path) -> State:
        import transformers

        config = getattr(transformers, f"{name.title()}Config")(
            **GEMMA_SIZES, num_key_value_heads=keys
        )
        module = _module(f"{name}.convert_{name}_weights_to_hf")
        module.write_model(str(target), str(source / "model.ckpt"), config)
        return _read(target)

    return run


def _run_bloom(source: Path, target: Path) -> State:
    target.mkdir()
    module = _module("bloom.convert_bloom_original_checkpoint_to_pytorch")
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder)
        for file in source.glob("layer_*"):
            (weights / file.name).symlink_to(file)
        module.convert_bloom_checkpoint_to_pytorch(
            str(weights), str(source / "config.json"), str(target), False, 2
        )
    state = torch.load(target / "pytorch_model.bin", weights_only=True)
    return {f"transformer.{name}": tensor for name, tensor in state.items()}


def _run_marian(source: Path, target: Path) -> State:
    vocabulary = {"</s>": 0, "<unk>": 1} | {f"t{n}": n for n in range(2, V)}
    (source / "opus.spm.vocab.yml").write_text(
        "".join(f'"{token}": {number}\n' for token, number in vocabulary.items())
    )
    (source / "decoder.yml").write_text("beam-size: 6\n")
    module = _module("marian.convert_marian_to_pytorch")
    tokenizer = SimpleNamespace(vocab_size=V + 1, pad_token_id=V, eos_token_id=0)
    module.OpusState.load_tokenizer = lambda self: tokenizer
    state = module.OpusState(source)
    return state.load_marian_model().state_dict()


def _run_opt(source: Path, target: Path) -> State:
    from transformers import OPTConfig

    config = OPTConfig(vocab_size=V, hidden_size=D, ffn_dim=F, num_hidden_layers=L,
                       num_attention_heads=H, max_position_embeddings=40)  # fmt: skip
    target.mkdir()
    config.save_pretrained(target)
    module = _module("opt.convert_opt_original_pytorch_checkpoint_to_pytorch")
    module.OPTModel.half = lambda self: self
    module.convert_opt_checkpoint(str(source / "restored.pt"), str(target), str(target))
    return {f"model.{name}": tensor for name, tensor in _read(target).items()}


def _run_m2m_100(source: Path, target: Path) -> State:
    module = _module("m2m_100.convert_m2m100_original_checkpoint_to_pytorch")
    _trust_own_file(module)
    state = module.convert_fairseq_m2m100_checkpoint_from_disk(str(source / "model.pt"))
    return state.state_dict()


def _run_mbart(source: Path, target: Path) -> State:
    from transformers import MBartConfig

    args = FAIRSEQ_ARGS
    sizes = {"d_model": D, "max_position_embeddings": 40}
    for stack in ("encoder", "decoder"):
        sizes |= {f"{stack}_layers": L, f"{stack}_ffn_dim": args[f"{stack}_ffn_embed_dim"],
                  f"{stack}_attention_heads": H}  # fmt: skip
    MBartConfig(**sizes).save_pretrained(target)
    module = _module("mbart.convert_mbart_original_checkpoint_to_pytorch")
    _trust_own_file(module)
    path = str(source / "model.pt")
    model = module.convert_fairseq_mbart_checkpoint_from_disk(path, str(target), finetuned=True)
    return model.state_dict()


def _trust_own_file(module: Any) -> None:
    """Let the reference unpickle the settings that this script has written."""
    load = torch.load
    module.torch = SimpleNamespace(
        load=lambda path, **options: load(path, **options, weights_only=False),
        **{name: getattr(torch, name) for name in ("no_grad", "nn", "Tensor")},
    )


def _run_rwkv(source: Path, target: Path) -> State:
    state = torch.load(source / "model.pth", weights_only=True)
    return _module("rwkv.convert_rwkv_checkpoint_to_hf").convert_state_dict(state)


def _run_tensorflow(
    class_name: str, prefix: str = "", **sizes: Any
) -> Callable[[Path, Path], State]:
    def run(source: Path, target: Path) -> State:
        import transformers

        cls = getattr(transformers, class_name)
        model = cls(cls.config_class(**sizes))
        loader = importlib.import_module(cls.__module__)
        load = next(getattr(loader, name) for name in dir(loader) if name.startswith("load_tf_"))
        load(model, model.config, str(next(source.glob("*.index")).with_suffix("")))
        return {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}

    return run


def _mixtral() -> dict[str, Any]:
    layer = META_LAYER | {
        "layers.{}.block_sparse_moe.gate.weight": [8, D],
        **{f"layers.{{}}.block_sparse_moe.w{n}": [8 * F, D] for n in (1, 2, 3)},
    }
    whole = list({**META_ENDS, **_layers(layer)}.items())
    files = {f"consolidated.{rank:02d}.pt": {"tensors": dict(whole[rank::8])} for rank in range(8)}
    theirs = {"num_hidden_layers": L, "num_attention_heads": H, "num_key_value_heads": K,
              "hidden_size": D, "intermediate_size": F, "num_local_experts": 8,
              "num_experts_per_tok": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
              "rope_theta": 1e6}  # fmt: skip
    settings = theirs | META | {"hidden_dim": F, "head_dim": D // H,
                       "moe": {"num_experts": 8, "num_experts_per_tok": 2}}  # fmt: skip
    return {"settings": {"params.json": settings}, "files": files}


def _bundle_case(name: str, tensors: Shapes, **more: Any) -> dict[str, Any]:
    return {"files": {name: {"tensors": tensors}}, **more}


def _gpt2() -> dict[str, Any]:
    layer: Shapes = {
        **{f"model/h{{}}/ln_{n}/{p}": [D] for n in (1, 2) for p in "gb"},
        "model/h{}/attn/c_attn/w": [1, D, 3 * D],
        "model/h{}/attn/c_attn/b": [3 * D],
        "model/h{}/attn/c_proj/w": [1, D, D],
        "model/h{}/attn/c_proj/b": [D],
        "model/h{}/mlp/c_fc/w": [1, D, 4 * D],
        "model/h{}/mlp/c_fc/b": [4 * D],
        "model/h{}/mlp/c_proj/w": [1, 4 * D, D],
        "model/h{}/mlp/c_proj/b": [D],
    }
    tensors = {"model/wte": [V, D], "model/wpe": [40, D], "model/ln_f/g": [D],
               "model/ln_f/b": [D], **_layers(layer)}  # fmt: skip
    sizes = {"n_vocab": V, "n_ctx": 40, "n_embd": D, "n_head": H, "n_layer": L}
    return _bundle_case("model.ckpt", tensors, settings={"hparams.json": sizes})


def _bert() -> dict[str, Any]:
    dense = {"attention/self/query": (D, D), "attention/self/key": (D, D),
             "attention/self/value": (D, D), "attention/output/dense": (D, D),
             "intermediate/dense": (D, F), "output/dense": (F, D)}  # fmt: skip
    layer: Shapes = {}
    for name, (rows, columns) in dense.items():
        layer[f"bert/encoder/layer_{{}}/{name}/kernel"] = [rows, columns]
        layer[f"bert/encoder/layer_{{}}/{name}/bias"] = [columns]
    for name in ("attention/output", "output"):
        layer |= {f"bert/encoder/layer_{{}}/{name}/LayerNorm/{p}": [D] for p in ("gamma", "beta")}
    tensors: Shapes = {
        "bert/embeddings/word_embeddings": [V, D],
        "bert/embeddings/position_embeddings": [40, D],
        "bert/embeddings/token_type_embeddings": [2, D],
        **{f"bert/embeddings/LayerNorm/{p}": [D] for p in ("gamma", "beta")},
        **{f"{n}/kernel": [D, D] for n in ("bert/pooler/dense", "cls/predictions/transform/dense")},
        **{f"{n}/bias": [D] for n in ("bert/pooler/dense", "cls/predictions/transform/dense")},
        **{f"cls/predictions/transform/LayerNorm/{p}": [D] for p in ("gamma", "beta")},
        "cls/predictions/output_bias": [V],
        "cls/seq_relationship/output_weights": [2, D],
        "cls/seq_relationship/output_bias": [2],
        "bert/pooler/dense/bias/adam_m": [D],
        **_layers(layer),
    }
    return _bundle_case("bert_model.ckpt", tensors, settings={"bert_config.json": BERT_SIZES})


BERT_SIZES = {"vocab_size": V, "hidden_size": D, "num_hidden_layers": L, "num_attention_heads": H,
              "intermediate_size": F, "max_position_embeddings": 40}  # fmt: skip
T5_SIZES = {"vocab_size": V, "d_model": D, "d_kv": 8, "d_ff": F, "num_layers": L, "num_heads": H}
GPT2_SIZES = {"vocab_size": V, "n_embd": D, "n_layer": L, "n_head": H, "n_positions": 40}
NEO_SIZES = {"vocab_size": V, "hidden_size": D, "num_layers": L, "num_heads": H,
             "attention_types": [[["global", "local"], 1]],
             "max_position_embeddings": 40}  # fmt: skip


def _t5() -> dict[str, Any]:
    tensors: Shapes = {"shared/embedding": [V, D]}
    for stack, kinds in (("encoder", ["Self"]), ("decoder", ["Self", "EncDec"])):
        tensors[f"{stack}/final_layer_norm/scale"] = [D]
        for block in range(L):
            here = f"{stack}/block_{block:03d}"
            for n, kind in enumerate(kinds):
                attention = f"{here}/layer_{n:03d}/{kind}Attention"
                tensors |= {f"{attention}/{x}": [D, D] for x in "qkvo"}
                tensors[f"{here}/layer_{n:03d}/layer_norm/scale"] = [D]
            n = len(kinds)
            tensors[f"{here}/layer_{n:03d}/layer_norm/scale"] = [D]
            tensors[f"{here}/layer_{n:03d}/DenseReluDense/wi/kernel"] = [D, F]
            tensors[f"{here}/layer_{n:03d}/DenseReluDense/wo/kernel"] = [F, D]
        bias = f"{stack}/block_000/layer_000/SelfAttention/relative_attention_bias"
        tensors[bias] = [H, 32]
    return _bundle_case("model.ckpt", tensors)


def _gpt_neo() -> dict[str, Any]:
    layer: Shapes = {
        **{f"gpt2/h{{}}/norm_{n}/{p}": [D] for n in (1, 2) for p in "gb"},
        **{f"gpt2/h{{}}/attn/{x}": [D, D] for x in "qkvo"},
        "gpt2/h{}/attn/compute_output_bias/o_b": [D],
        "gpt2/h{}/mlp/conv1d_main/c_fc/kernel": [D, 4 * D],
        "gpt2/h{}/mlp/conv1d_main/c_fc/bias": [4 * D],
        "gpt2/h{}/mlp/conv1d_main/c_proj/kernel": [4 * D, D],
        "gpt2/h{}/mlp/conv1d_main/c_proj/bias": [D],
    }
    tensors = {"gpt2/wte": [V + 8, D], "gpt2/wpe": [40, D], "gpt2/ln_f/g": [D],
               "gpt2/ln_f/b": [D], **_layers(layer)}  # fmt: skip
    sizes = {"n_vocab": V, "n_ctx": 40, "n_embd": D, "n_head": H, "n_layer": L,
             "attention_types": [[["global", "local"], 1]]}  # fmt: skip
    return _bundle_case("model.ckpt", tensors, settings={"config.json": sizes})


GARDEN_ENDING = "/.ATTRIBUTES/VARIABLE_VALUE"


def _garden(attention_output: str) -> Shapes:
    layer: Shapes = {
        f"{attention_output}/kernel": [H, D // H, D],
        f"{attention_output}/bias": [D],
        "_intermediate_dense/kernel": [D, F],
        "_intermediate_dense/bias": [F],
        "_output_dense/kernel": [F, D],
        "_output_dense/bias": [D],
    }
    for name in ("query", "key", "value"):
        layer[f"_attention_layer/_{name}_dense/kernel"] = [D, H, D // H]
        layer[f"_attention_layer/_{name}_dense/bias"] = [H, D // H]
    for name in ("_attention_layer_norm", "_output_layer_norm"):
        layer |= {f"{name}/{part}": [D] for part in ("gamma", "beta")}
    return layer


def _objects(tensors: Shapes) -> dict[str, Any]:
    named = {f"{name}{GARDEN_ENDING}": shape for name, shape in tensors.items()}
    return _bundle_case("bert_model.ckpt", named, settings={"bert_config.json": BERT_SIZES})


def _keras() -> dict[str, Any]:
    part = "model/layer_with_weights-"
    tensors: Shapes = {f"{part}{n}/embeddings": [size, D] for n, size in enumerate((V, 40, 2))}
    tensors |= {f"{part}3/gamma": [D], f"{part}3/beta": [D],
                f"{part}{L + 4}/kernel": [D, D], f"{part}{L + 4}/bias": [D]}  # fmt: skip
    for n in range(L):
        layer = _garden("_attention_output_dense")
        tensors |= {f"{part}{n + 4}/{name}": shape for name, shape in layer.items()}
    return _objects(tensors)


def _token_dropping() -> dict[str, Any]:
    # The reference reads the embeddings from the head, where TensorFlow has them once more.
    tensors: Shapes = {
        "masked_lm/embedding_table": [V, D],
        "encoder/_position_embedding_layer/embeddings": [40, D],
        "encoder/_type_embedding_layer/embeddings": [2, D],
        "encoder/_embedding_norm_layer/gamma": [D],
        "encoder/_embedding_norm_layer/beta": [D],
        "encoder/_pooler_layer/kernel": [D, D],
        "encoder/_pooler_layer/bias": [D],
        "masked_lm/dense/kernel": [D, D],
        "masked_lm/dense/bias": [D],
        "masked_lm/layer_norm/gamma": [D],
        "masked_lm/layer_norm/beta": [D],
    }
    for n in range(L):
        layer = _garden("_attention_layer/_output_dense")
        here = f"encoder/_transformer_layers/{n}"
        tensors |= {f"{here}/{name}": shape for name, shape in layer.items()}
    return _objects(tensors)


def _run_keras(source: Path, target: Path) -> State:
    from transformers import BertConfig, BertModel

    module = _module("bert.convert_bert_original_tf2_checkpoint_to_pytorch")
    model = BertModel(BertConfig(**BERT_SIZES))
    module.load_tf2_weights_in_bert(model, str(source / "bert_model.ckpt"), model.config)
    return model.state_dict()


def _run_token_dropping(source: Path, target: Path) -> State:
    module = _module("bert.convert_bert_token_dropping_original_tf2_checkpoint_to_pytorch")
    config = str(source / "bert_config.json")
    module.convert_checkpoint_to_pytorch(str(source / "bert_model.ckpt"), config, str(target))
    return _read(target)


Case = tuple[Callable[[], dict[str, Any]], Callable[[Path, Path], State]]

TORCH: dict[str, Case] = {
    "llama/meta": (_meta, _run_llama),
    "mistral/consolidated": (
        lambda: {
            "settings": {"params.json": MISTRAL},
            "files": {
                "consolidated.safetensors": {
                    "tensors": {
                        **META_ENDS,
                        **_layers(META_LAYER | META_MLP),
                        "tok_embeddings.weight": [32000, D],
                        "output.weight": [32000, D],
                    }
                }
            },
        },
        _run_mistral,
    ),
    "mixtral/blocks": (_mixtral, _run_mixtral),
    "gemma/checkpoint": (lambda: _gemma(GEMMA_LAYER, 1), _run_gemma("gemma", 1)),
    "gemma2/checkpoint": (lambda: _gemma(GEMMA2_LAYER, 2), _run_gemma("gemma2", 2)),
    "bloom/megatron": (_megatron, _run_bloom),
    "marian/npz": (_marian, _run_marian),
    "m2m_100/fairseq": (lambda: _fairseq(learned=False), _run_m2m_100),
    "mbart/fairseq": (lambda: _fairseq(learned=True), _run_mbart),
    "opt/metaseq-fused": (_metaseq, _run_opt),
    "rwkv/blinkdl": (lambda: {"files": {"model.pth": {"tensors": RWKV}}}, _run_rwkv),
}
TENSORFLOW: dict[str, Case] = {
    "bert/tensorflow": (_bert, _run_tensorflow("BertForPreTraining", **BERT_SIZES)),
    "bert/keras": (_keras, _run_keras),
    "bert/token-dropping": (_token_dropping, _run_token_dropping),
    "gpt2/openai": (_gpt2, _run_tensorflow("GPT2Model", "transformer.", **GPT2_SIZES)),
    "gpt_neo/mesh": (_gpt_neo, _run_tensorflow("GPTNeoForCausalLM", **NEO_SIZES)),
    "t5/mesh": (_t5, _run_tensorflow("T5ForConditionalGeneration", **T5_SIZES)),
}


def _bundle(tensors: Mapping[str, torch.Tensor], prefix: Path) -> None:
    import tensorflow as tf

    names = list(tensors)
    values = [tf.constant(tensors[name].numpy()) for name in names]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names,
                      shape_and_slices=[""] * len(names), tensors=values)  # fmt: skip


def produce(key: str, case: dict[str, Any], run: Callable[[Path, Path], State]) -> None:
    """Write the golden file of one layout."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "original"
        originals.write_original(source, case, seeded.weight, _bundle)
        state = run(source, Path(folder) / "hub")
        result = {name: originals.digest(tensor) for name, tensor in state.items()}
    path = TARGET / f"{key.replace('/', '-')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    dtype = str(next(iter(state.values())).dtype).removeprefix("torch.")
    content = {"layout": key, "original": case, "dtype": dtype, "result": result}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(path.name, len(result), "tensors")


def main() -> None:
    """Produce what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layouts", nargs="*")
    parser.add_argument("--tensorflow", action="store_true")
    arguments = parser.parse_args()
    for key, (case, run) in (TENSORFLOW if arguments.tensorflow else TORCH).items():
        if not arguments.layouts or key in arguments.layouts:
            produce(key, case(), run)


if __name__ == "__main__":
    main()
