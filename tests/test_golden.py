"""Every golden file: the checkpoint loads and saves back the same, and every call agrees."""

from __future__ import annotations

import inspect
import json
import re
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import dovetail
from dovetail.testing.golden import Golden, GoldenMismatch, golden_files

GOLDEN = Path(__file__).parent / "golden"
FILES = [path for folder in sorted(GOLDEN.glob("models-*")) for path in golden_files(folder)]
INVISIBLE = ("key.bias", "k_proj.bias")
"""Adds the same to the scores of all keys, which the softmax takes away again."""
UNUSED = re.compile(
    r"BitBackbone-bit\.norm\."  # a norm of what no map is made of
    r"|Dinov2(ForImageClassification|Backbone)-.*mask_token$"  # no argument hides a patch
    r"|DPTFor.*-(dpt\.layernorm|neck\.fusion_stage\.layers\.0\.residual_layer1)"  # not read
    r"|Detr.*decoder\.layers\.0\.self_attn\.v_proj\.weight$"  # the first layer's values are 0
    r"|DetrForSegmentation-mask_head\.lay[345]\.bias$"  # a norm of single channels removes it
    r"|Mask2Former.*\.input_projections\.\d\.0\.bias$"  # so here
    r"|RTDetrModel-denoising_class_embed"  # objects are noised in training
    r"|OmDetTurbo.*-vision_backbone\.layer_norms"  # for maps of timm in the reference
    r"|OmDetTurbo.*-decoder\.decoder_class_head\.0\."  # all but the last are read in training
    r"|Llava.*-vision_tower\.vision_model\.post_layernorm"  # features are taken before it
    r"|CLIPForImageClassification-vision_model\.post_layernorm"  # it averages patches
    r"|OwlViTForObjectDetection-owlvit\.(logit_scale|visual_projection)"  # a patch has its own
    r"|ViltForMaskedLM-vilt\.pooler"
    r"|SiglipForImageClassification-vision_model\.head\."
    r"|(Vision)?EncoderDecoderModel-encoder\.pooler"  # the decoder reads tokens
    r"|Blip2TextModelWithProjection-(query_tokens|qformer.*(crossattention|_query\.))"  # no picture
    r"|BlipModel-text_model.*crossattention"  # a method of its own looks at pictures
    r"|LayoutLMFor(MaskedLM|QuestionAnswering|TokenClassification)-layoutlm\.pooler"
)
"""What a class has, as checkpoints do, and cannot use, or not in the sizes of golden files."""
CALLS = [(path, name) for path in FILES for name in Golden.read(path).calls]


def identify(value: Any) -> str:
    return f"{value.parent.name}/{value.stem}" if isinstance(value, Path) else str(value)


@lru_cache(maxsize=1)
def loaded(path: Path) -> Any:
    with TemporaryDirectory() as folder:
        return Golden.read(path).load(folder)


@pytest.mark.parametrize(("path", "call"), CALLS, ids=identify)
def test_outputs_equal_the_reference(path: Path, call: str):
    Golden.read(path).check_call(loaded(path), call)


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_checkpoints_load_completely_and_are_saved_the_same(path: Path, tmp_path: Path):
    golden = Golden.read(path)
    model, report = golden.load(tmp_path / "theirs", output_loading_info=True)
    computed = {
        name for name, shape in golden.content["tensors"].items() if not isinstance(shape, list)
    }
    assert set(report["missing_keys"]) <= computed
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    golden.check_saved(model, tmp_path / "ours")


def notices(golden: Golden, model: Any) -> bool:
    """Whether any recorded forward pass tells `model` from the reference."""
    for call in golden.content["calls"]:
        if "method" not in call:
            try:
                golden.check_call(model, call["name"])
            except GoldenMismatch:
                return True
    return False


@pytest.mark.parametrize("path", [path for path in FILES if "-" not in path.stem], ids=identify)
def test_no_weight_can_be_forgotten(path: Path, tmp_path: Path):
    golden = Golden.read(path)
    model = golden.load(tmp_path)
    unnoticed = []
    for name, parameter in model.named_parameters():
        kept = parameter.detach().clone()
        parameter.data.fill_(1.0 if kept.dim() == 1 and name.endswith("weight") else 0.0)
        visible = not (name.endswith(INVISIBLE) or UNUSED.match(f"{path.stem}-{name}"))
        if visible and not notices(golden, model):
            unnoticed.append(name)
        parameter.data.copy_(kept)
    assert unnoticed == []


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("models-*/*/config.json")), ids=identify)
def test_config_defaults_equal_the_reference(path: Path):
    content = json.loads(path.read_text())
    config_class, theirs = getattr(dovetail, content["config_class"]), content["defaults"]
    if theirs is None:  # a config that cannot be made of nothing
        with pytest.raises(ValueError, match="lacks"):
            config_class()
        return
    ours = json.loads(json.dumps(config_class().to_dict()))
    for key, value in theirs.items():
        expected = pytest.approx(value) if isinstance(value, float) else value
        found = ours.get(key, "absent")
        if isinstance(value, dict) and isinstance(found, dict):  # a part may know further fields
            found = {name: found.get(name, "absent") for name in value}
        assert found == expected, key


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("models-*/*/config.json")), ids=identify)
def test_config_arguments_equal_the_reference(path: Path):
    content = json.loads(path.read_text())
    parameters = inspect.signature(getattr(dovetail, content["config_class"])).parameters
    ours = {name: each.default for name, each in parameters.items() if name != "kwargs"}
    assert list(ours) == list(content["arguments"])
    assert json.loads(json.dumps(ours)) == content["arguments"]
