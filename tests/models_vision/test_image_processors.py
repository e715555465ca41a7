"""Image processors against what the reference library gives, and their settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden.image_cases import call, call_after, cases, outputs, picture, record

import dovetail
from dovetail.errors import ProcessorError
from dovetail_models_vision.bit.image_processing import BitImageProcessor
from dovetail_models_vision.blip.image_processing import BlipImageProcessor
from dovetail_models_vision.clip.image_processing import CLIPImageProcessor
from dovetail_models_vision.convnext.image_processing import ConvNextImageProcessor
from dovetail_models_vision.deformable_detr.image_processing import DeformableDetrImageProcessor
from dovetail_models_vision.detr.image_processing import DetrImageProcessor
from dovetail_models_vision.dpt.image_processing import DPTImageProcessor
from dovetail_models_vision.idefics2.image_processing import Idefics2ImageProcessor
from dovetail_models_vision.idefics3.image_processing import Idefics3ImageProcessor
from dovetail_models_vision.llava_next.image_processing import LlavaNextImageProcessor
from dovetail_models_vision.llava_next_video.image_processing import LlavaNextVideoImageProcessor
from dovetail_models_vision.mask2former.image_processing import Mask2FormerImageProcessor
from dovetail_models_vision.mllama.image_processing import MllamaImageProcessor
from dovetail_models_vision.owlvit.image_processing import OwlViTImageProcessor
from dovetail_models_vision.pixtral.image_processing import PixtralImageProcessor
from dovetail_models_vision.qwen2_vl.image_processing import Qwen2VLImageProcessor
from dovetail_models_vision.rt_detr.image_processing import RTDetrImageProcessor
from dovetail_models_vision.segformer.image_processing import SegformerImageProcessor
from dovetail_models_vision.siglip.image_processing import SiglipImageProcessor
from dovetail_models_vision.swin2sr.image_processing import Swin2SRImageProcessor
from dovetail_models_vision.videomae.image_processing import VideoMAEImageProcessor
from dovetail_models_vision.vilt.image_processing import ViltImageProcessor
from dovetail_models_vision.vit.image_processing import ViTImageProcessor

GOLDEN = Path(__file__).parent.parent / "golden" / "images"
CLASSES: dict[str, Any] = {
    made.__name__: made
    for made in (
        BitImageProcessor,
        BlipImageProcessor,
        CLIPImageProcessor,
        ConvNextImageProcessor,
        DeformableDetrImageProcessor,
        DetrImageProcessor,
        DPTImageProcessor,
        Idefics2ImageProcessor,
        Idefics3ImageProcessor,
        LlavaNextImageProcessor,
        LlavaNextVideoImageProcessor,
        MllamaImageProcessor,
        OwlViTImageProcessor,
        PixtralImageProcessor,
        Qwen2VLImageProcessor,
        RTDetrImageProcessor,
        Mask2FormerImageProcessor,
        SegformerImageProcessor,
        SiglipImageProcessor,
        Swin2SRImageProcessor,
        VideoMAEImageProcessor,
        ViltImageProcessor,
        ViTImageProcessor,
    )
}
STORED = {name: json.loads((GOLDEN / f"{name}.json").read_text()) for name in CLASSES}
CASES = [case for stored in STORED.values() for case in stored["cases"]]
AFTER = json.loads((GOLDEN / "after.json").read_text())


def differences(ours: Any, theirs: Any, shade: float, path: str = "") -> list[str]:
    """Where two records differ: pixels by more than `shade`, others by more than rounding."""
    if isinstance(theirs, dict) and "values" not in theirs:
        if set(ours) != set(theirs):
            return [f"{path}: {sorted(ours)} and not {sorted(theirs)}"]
        pairs = [(ours[name], theirs[name], f"{path}.{name}") for name in theirs]
    elif isinstance(theirs, list):
        if len(ours) != len(theirs):
            return [f"{path}: {len(ours)} and not {len(theirs)}"]
        pairs = [(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    elif not isinstance(theirs, dict):
        return [] if ours == pytest.approx(theirs, abs=2e-5) else [f"{path}: {ours}, not {theirs}"]
    else:
        if (ours["shape"], ours["dtype"]) != (theirs["shape"], theirs["dtype"]):
            return [f"{path}: {ours['shape']} {ours['dtype']}, {theirs['shape']} {theirs['dtype']}"]
        allowed = shade if "pixel_values" in path else 1e-5
        close = np.allclose(ours["values"], theirs["values"], rtol=1e-5, atol=allowed + 1e-6)
        close &= bool(np.isclose(ours["mean"], theirs["mean"], rtol=1e-4, atol=allowed / 4 + 2e-6))
        return [] if close else [f"{path}: other values"]
    return [line for a, b, where in pairs for line in differences(a, b, shade, where)]


def shade_of(processor: Any) -> float:
    """How far apart two neighbouring of 256 shades are in the result."""
    spread = np.min(processor.image_std) if processor.do_normalize else 1.0
    return float(1 / 255 / spread)


def identify(case: dict[str, Any]) -> str:
    if "method" in case:
        return f"{case['class']}-{case['method']}-{case['sized']}"
    return f"{case['class']}-{'-'.join(map(str, case['pictures']))}"


def test_every_recorded_case_is_described():
    keys = ("class", "settings", "pictures", "annotated")
    described, recorded = (
        sorted(json.dumps([case[key] for key in keys], sort_keys=True) for case in listed)
        for listed in (cases(), CASES)
    )
    assert described == recorded


@pytest.mark.parametrize("use_fast", [False, True], ids=["exact", "fast"])
@pytest.mark.parametrize("case", CASES, ids=identify)
def test_results_equal_the_reference(case: dict[str, Any], use_fast: bool):
    processor = CLASSES[case["class"]](**case["settings"], use_fast=use_fast)
    result = record(call(processor, case))
    shade = shade_of(processor) if use_fast else 0.0
    assert differences(result, case["result"], shade) == []


@pytest.mark.parametrize("case", AFTER, ids=identify)
def test_outputs_mean_what_they_mean_in_the_reference(case: dict[str, Any]):
    result = record(call_after(CLASSES[case["class"]](), case))
    assert differences(result, case["result"], 0.0) == []


@pytest.mark.parametrize("name", CLASSES)
def test_settings_are_saved_as_the_reference_saves_them(name: str, tmp_path: Path):
    processor = CLASSES[name]()
    saved = json.loads(processor.to_json_string())
    assert saved == STORED[name]["saved"]
    processor.save_pretrained(tmp_path)
    assert CLASSES[name].from_pretrained(tmp_path).to_dict() == processor.to_dict()


def test_the_exact_path_can_be_asked_for_when_loading(tmp_path: Path):
    ViTImageProcessor().save_pretrained(tmp_path)
    assert ViTImageProcessor.from_pretrained(tmp_path).is_fast
    assert not ViTImageProcessor.from_pretrained(tmp_path, use_fast=False).is_fast
    assert not dovetail.AutoImageProcessor.from_pretrained(tmp_path, use_fast=False).is_fast
    assert dovetail.AutoImageProcessor.from_pretrained(tmp_path, use_fast=True).is_fast
    assert dovetail.AutoImageProcessor.from_pretrained(tmp_path).is_fast


def test_slow_fast_and_old_names_are_one_class(tmp_path: Path):
    assert dovetail.ViTImageProcessorFast is dovetail.ViTImageProcessor is ViTImageProcessor
    assert dovetail.ViTFeatureExtractor is ViTImageProcessor
    for name in ("ViTImageProcessorFast", "ViTImageProcessor"):
        content = {"image_processor_type": name, "size": {"height": 8, "width": 8}}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
        loaded = dovetail.AutoImageProcessor.from_pretrained(tmp_path)
        assert isinstance(loaded, ViTImageProcessor)
        assert loaded(picture(20, 30), return_tensors="pt")["pixel_values"].shape == (1, 3, 8, 8)


def test_an_old_file_calls_it_a_feature_extractor(tmp_path: Path):
    content = {"feature_extractor_type": "ViTFeatureExtractor", "size": 16, "resample": 2}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    assert dovetail.AutoImageProcessor.from_pretrained(tmp_path).size == {"height": 16, "width": 16}


@pytest.mark.parametrize("use_fast", [False, True])
def test_every_type_of_input_gives_the_same(use_fast: bool):
    processor = CLIPImageProcessor(size=24, crop_size=20, use_fast=use_fast)
    image = picture(40, 50)
    array = np.asarray(image)
    expected = processor(image, return_tensors="np")["pixel_values"]
    first = array.transpose(2, 0, 1)
    for given in (array, first, torch.from_numpy(array.copy()), torch.from_numpy(first.copy())):
        assert np.array_equal(processor(given, return_tensors="np")["pixel_values"], expected)
    batch = processor(np.stack([array, array]), return_tensors="pt")["pixel_values"]
    assert np.array_equal(batch.numpy(), np.concatenate([expected, expected]))


@pytest.mark.parametrize("use_fast", [False, True])
def test_channels_go_where_they_are_wanted(use_fast: bool):
    processor = ViTImageProcessor(size=6, use_fast=use_fast)
    first = processor(picture(8, 9), return_tensors="np")["pixel_values"]
    last = processor(picture(8, 9), return_tensors="np", data_format="channels_last")
    assert np.array_equal(last["pixel_values"], first.transpose(0, 2, 3, 1))
    listed = processor([picture(8, 9)])["pixel_values"]
    assert isinstance(listed, list)
    assert np.array_equal(listed[0], first[0])


def test_other_sizes_in_one_call_need_no_resize_or_no_tensor():
    processor = ViTImageProcessor(do_resize=False)
    images = [picture(8, 9), picture(5, 7)]
    assert [p.shape for p in processor(images)["pixel_values"]] == [(3, 8, 9), (3, 5, 7)]
    with pytest.raises(ProcessorError, match="'pixel_values' cannot become one tensor"):
        processor(images, return_tensors="pt")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": {"height": 0, "width": 8}}, r"size\['height'\]=0"),
        ({"size": {"tall": 8}}, "a size has the keys"),
        ({"do_resize": "yes"}, "do_resize='yes'"),
        ({"resample": 9}, "a filter is one of 0"),
        ({"image_std": [0.5, 0.0, 0.5]}, "deviation of 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ProcessorError, match=message):
        ViTImageProcessor(**settings)
    with pytest.raises(ProcessorError, match=message):
        ViTImageProcessor().preprocess(picture(4, 4), **settings)


def test_means_must_fit_the_channels():
    with pytest.raises(ProcessorError, match=r"image_mean=.* has 2 values, the images have 3"):
        ViTImageProcessor(image_mean=[0.5, 0.5])(picture(4, 4))


def test_a_switch_needs_its_setting():
    processor = ViTImageProcessor()
    processor.size = None
    with pytest.raises(ProcessorError, match="do_resize=True needs size"):
        processor(picture(4, 4))


@pytest.mark.parametrize("reduce", [False, True])
def test_maps_of_labels_follow_their_pictures(reduce: bool):
    processor = SegformerImageProcessor(size=4, do_reduce_labels=reduce)
    labels = np.array([[0, 1], [2, 255]], dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    made = processor(picture(8, 8), labels, return_tensors="pt")["labels"][0]
    small = torch.tensor([[0, 1], [2, 255]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
    expected = torch.tensor([255, 0, 1])[small.clamp(max=2)] if reduce else small
    assert torch.equal(made, torch.where(small == 255, 255, expected))
    with pytest.raises(ProcessorError, match="2 maps for 1 images"):
        processor(picture(8, 8), [labels, labels])


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"annotations": []}, r"annotations\[0\]: COCO's detection format"),
        ({"image_id": 1, "annotations": [{"bbox": [0, 0, 1, 1]}]}, "no 'category_id'"),
        (
            {
                "image_id": 1,
                "annotations": [{"bbox": [50, 0, 5, 5], "category_id": 1, "area": 25}],
            },
            "outside its image of 20 x 10",
        ),
        (
            {"image_id": 1, "annotations": [{"bbox": [0, 5], "category_id": 1, "area": 25}]},
            "a box is",
        ),
    ],
)
def test_annotations_that_cannot_be_are_refused(annotation: dict[str, Any], message: str):
    with pytest.raises(ProcessorError, match=message):
        DetrImageProcessor()(images=picture(10, 20), annotations=[annotation])


def test_annotations_are_as_many_as_images():
    with pytest.raises(ProcessorError, match="2 for 1 images"):
        RTDetrImageProcessor()(images=picture(10, 20), annotations=[{}, {}])


def test_target_sizes_are_as_many_as_images():
    made = outputs(AFTER[0])
    with pytest.raises(ProcessorError, match="3 sizes for 2 images"):
        DetrImageProcessor().post_process_object_detection(made, target_sizes=[(1, 1)] * 3)


SEVERAL = ("Idefics2ImageProcessor", "Idefics3ImageProcessor", "PixtralImageProcessor")


@pytest.mark.parametrize("use_fast", [False, True])
@pytest.mark.parametrize("name", SEVERAL)
def test_pictures_stay_with_their_texts(name: str, use_fast: bool):
    processor = CLASSES[name](size={"longest_edge": 40}, use_fast=use_fast)
    processor.max_image_size = {"longest_edge": 20}
    texts = [[picture(20, 30), picture(30, 20)], [], [picture(8, 9)]]
    made = processor(texts, return_tensors="pt")["pixel_values"]
    alone = processor([texts[2]], return_tensors="pt")["pixel_values"]
    assert len(made) == 3
    if name == "PixtralImageProcessor":
        assert [len(group) for group in made] == [2, 0, 1]
        assert torch.equal(made[2][0], alone[0][0])
        return
    assert not made[1].any()
    assert torch.equal(made[2][: alone.shape[1], :, : alone.shape[3], : alone.shape[4]], alone[0])
    plain = processor(texts, do_pad=False)["pixel_values"]
    assert [len(group) > 0 for group in plain] == [True, False, True]
    with pytest.raises(ProcessorError, match="'pixel_values' cannot become one tensor"):
        processor(texts, do_pad=False, return_tensors="pt")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "the list is empty"),
        ([[], []], "no text has any"),
        ([[picture(8, 8)], picture(8, 8)], "some items are lists"),
        ([["picture.jpg"]], "a str is no image"),
    ],
)
def test_texts_without_pictures_are_refused(images: Any, message: str):
    with pytest.raises(ProcessorError, match=message):
        Idefics2ImageProcessor()(images)


def test_what_is_transparent_is_white():
    image = picture(20, 20).convert("RGBA")
    image.putalpha(0)
    made = Idefics3ImageProcessor(do_image_splitting=False, max_image_size=8)(image)
    assert np.all(made["pixel_values"][0][0] == 1.0)


def test_rows_and_columns_of_tiles():
    processor = Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size=24)
    made = processor([[picture(30, 20), picture(100, 31)]], return_row_col_info=True)
    assert (made["rows"], made["cols"]) == ([[3, 3]], [[2, 1]])
    assert len(made["pixel_values"][0]) == 3 * 2 + 1 + 3 * 1 + 1
    whole = processor(picture(9, 9), return_row_col_info=True, do_image_splitting=False)
    assert (whole["rows"], whole["cols"]) == ([[0]], [[0]])


def test_pixtral_needs_an_edge_it_knows():
    with pytest.raises(ProcessorError, match="PixtralImageProcessor needs 'longest_edge'"):
        PixtralImageProcessor(size={"shortest_edge": 32})
