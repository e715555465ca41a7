"""The original layouts from which and to which checkpoints are converted."""

from __future__ import annotations

from dovetail.declarations import ConverterDeclaration
from dovetail_models_text.declarations.family import PACKAGE


def _layout(key: str, constant: str, summary: str) -> ConverterDeclaration:
    model_type, _, name = key.partition("/")
    target = f"{PACKAGE}.{model_type}.conversion:{constant}"
    return ConverterDeclaration(model_type, name, target, summary)


CONVERTERS = (
    _layout("bart/fairseq", "FAIRSEQ", "fairseq's model.pt"),
    _layout("bart/fairseq-mnli", "MNLI", "fairseq's model.pt, with a head for MNLI"),
    _layout("bert/keras", "KERAS", "TensorFlow Model Garden's checkpoint of the encoder"),
    _layout("bert/token-dropping", "TOKEN_DROPPING", "TensorFlow Model Garden's checkpoint"),
    _layout("bert/tensorflow", "TENSORFLOW", "Google's TensorFlow checkpoint"),
    _layout("bloom/megatron", "MEGATRON", "Megatron-DeepSpeed's layer_NN-model_RR files"),
    _layout("falcon/refinedweb", "REFINED_WEB", "the Hub's files with a RefinedWeb config"),
    _layout("gemma/checkpoint", "SINGLE", "PyTorch release, one .ckpt"),
    _layout("gemma/sharded", "SHARDED", "PyTorch release, .bin files with an index"),
    _layout("gemma2/checkpoint", "SINGLE", "PyTorch release, one .ckpt"),
    _layout("gemma2/sharded", "SHARDED", "PyTorch release, .bin files with an index"),
    _layout("gpt2/openai", "OPENAI", "OpenAI's TensorFlow checkpoint and hparams.json"),
    _layout("gpt_neo/mesh", "MESH", "EleutherAI's Mesh TensorFlow checkpoint"),
    _layout("llama/meta", "META", "Meta's consolidated.NN.pth and params.json"),
    _layout("m2m_100/fairseq", "FAIRSEQ", "fairseq's model.pt"),
    _layout("mamba/state-spaces", "STATE_SPACES", "pytorch_model.bin of its authors"),
    _layout("mamba2/codestral", "CODESTRAL", "consolidated.safetensors and params.json"),
    _layout("mamba2/state-spaces", "STATE_SPACES", "pytorch_model.bin of its authors"),
    _layout("marian/npz", "NPZ", "Marian's .npz archive"),
    _layout("mbart/fairseq", "FAIRSEQ", "fairseq's model.pt"),
    _layout("mistral/consolidated", "CONSOLIDATED", "consolidated.safetensors and params.json"),
    _layout("mistral/shards", "SHARDS", "consolidated.NN.pth and params.json"),
    _layout("mixtral/blocks", "BLOCK_FILES", "consolidated.NN.pt with fused experts"),
    _layout("mixtral/consolidated", "CONSOLIDATED", "consolidated.safetensors and params.json"),
    _layout("opt/metaseq", "METASEQ", "metaseq's restored.pt"),
    _layout("opt/metaseq-fused", "FUSED", "metaseq's restored.pt with fused projections"),
    _layout("pegasus/tensorflow", "TENSORFLOW", "Google's TensorFlow checkpoint"),
    _layout("recurrent_gemma/griffin", "GRIFFIN", "Google's PyTorch release, one .pt"),
    _layout("rwkv/blinkdl", "BLINKDL", "BlinkDL's .pth"),
    _layout("t5/mesh", "MESH", "Google's Mesh TensorFlow checkpoint"),
)
