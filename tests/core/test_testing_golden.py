"""Golden files are read and compared so that nothing slips through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dovetail.caches import DynamicCache
from dovetail.testing import seeded
from dovetail.testing.golden import (
    Golden,
    GoldenMismatch,
    blank_padding,
    close,
    compare,
    decode,
    golden_files,
)

TENSOR = torch.arange(12.0).view(3, 4)


def stored(tensor: torch.Tensor, name: str) -> dict[str, Any]:
    return json.loads(json.dumps(seeded.fingerprint(tensor.numpy(), name)))


def test_equal_outputs_have_no_differences():
    golden = {"logits": stored(TENSOR, "logits"), "past": [[stored(TENSOR, "past.0.0")]]}
    assert list(compare({"logits": TENSOR, "past": ((TENSOR,),)}, golden, "")) == []


def test_rounding_is_no_difference():
    golden = {"logits": stored(TENSOR, "logits")}
    assert list(compare({"logits": TENSOR + 1e-6}, golden, "")) == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"logits": TENSOR + 0.001}, "logits: first is"),
        ({"logits": TENSOR.T}, r"logits: shape \[4, 3\], expected \[3, 4\]"),
        ({"logits": (TENSOR,)}, "logits: got tuple, expected a tensor"),
        ({"loss": TENSOR, "logits": TENSOR}, "fields are"),
        ({}, r"fields are \[\], expected \['logits'\]"),
    ],
)
def test_each_kind_of_difference_is_told(output: dict[str, Any], message: str):
    with pytest.raises(AssertionError, match=message):
        raise AssertionError("\n".join(compare(output, {"logits": stored(TENSOR, "logits")}, "")))


def test_the_order_of_fields_counts():
    golden = {"loss": stored(TENSOR, "loss"), "logits": stored(TENSOR, "logits")}
    assert list(compare({"logits": TENSOR, "loss": TENSOR}, golden, ""))


def test_tokens_must_be_equal():
    golden = {"ints": [[1, 2, 3]]}
    assert list(compare(torch.tensor([[1, 2, 3]]), golden, "sequences")) == []
    assert list(compare(torch.tensor([[1, 2, 4]]), golden, "sequences"))
    assert list(compare(None, golden, "sequences"))


def test_lists_must_be_of_one_length():
    golden = [stored(TENSOR, "hidden.0")]
    assert list(compare((TENSOR,), golden, "hidden")) == []
    assert list(compare((TENSOR, TENSOR), golden, "hidden")) == [
        "hidden: got 2 items, expected 1 items"
    ]


def test_closeness_is_absolute_or_relative():
    assert close(0.0, 9e-5)
    assert close(1000.0, 1000.05)
    assert not close(1.0, 1.001)
    assert not close([1.0, 2.0], [1.0, 2.1])


def test_void_positions_are_blanked():
    mask = torch.tensor([[0, 1, 1], [1, 1, 1]])
    states = torch.ones(2, 3, 4)
    blanked = blank_padding("last_hidden_state", states, mask)
    assert blanked.sum(-1).tolist() == [[0, 4, 4], [4, 4, 4]]
    newest = blank_padding("last_hidden_state", states[:, -1:], mask)
    assert newest.sum() == 8
    cache = DynamicCache()
    cache.update(torch.ones(2, 1, 3, 4), torch.ones(2, 1, 3, 4), 0)
    ((keys, _),) = blank_padding("past_key_values", cache, mask)
    assert keys.sum((1, 3)).tolist() == [[0, 4, 4], [4, 4, 4]]
    assert blank_padding("loss", torch.tensor(3.0), mask) == 3.0


def test_inputs_come_back_as_they_were_meant():
    assert decode({"ints": [[1, 2]]}, None).tolist() == [[1, 2]]
    assert decode({"values": [0.5]}, None).dtype == torch.float32
    recipe = {"floats": [2, 3], "seed": "embeds", "spread": 1.0}
    assert torch.equal(decode(recipe, None), torch.from_numpy(seeded.noise("embeds", (2, 3))))
    assert decode({"tuple": [{"ints": [1]}, 2]}, None)[1] == 2
    assert decode({"output": "past"}, {"past": "kept"}) == "kept"
    assert decode(True, None) is True


def test_a_golden_writes_the_checkpoint_it_describes(tmp_path: Path):
    content = {
        "model": "Tiny",
        "config": {"model_type": "tiny"},
        "arguments": {},
        "recipes": {"special": [7.0, 0.0]},
        "tensors": {
            "a.weight": [3, 2],
            "special": [2],
            "index": {"shape": [4], "dtype": "int64"},
        },
        "calls": [{"name": "plain", "steps": [], "outputs": {}}],
    }
    path = tmp_path / "tiny" / "Tiny.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    (tmp_path / "tiny" / "config.json").write_text("{}")
    assert golden_files(tmp_path) == [path]
    golden = Golden.read(path)
    assert golden.calls == ["plain"]
    golden.write_checkpoint(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text()) == {"model_type": "tiny"}
    assert golden.weights()["special"].tolist() == [7.0, 7.0]
    assert set(golden.weights()) == {"a.weight", "special"}
    with pytest.raises(GoldenMismatch, match=r"tiny/Tiny\.json, call 'plain':\n  logits differ"):
        golden.report("call 'plain'", ["logits differ"])
