"""Phi-3 passes the battery for decoders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models_text.llama_sizes import SIZES

from dovetail import (
    Phi3Config,
    Phi3ForCausalLM,
    Phi3ForSequenceClassification,
    Phi3ForTokenClassification,
    Phi3Model,
)
from dovetail.testing.conformance import CausalLMConformance
from dovetail.testing.subject import fill


class TestPhi3(CausalLMConformance):
    config_class = Phi3Config
    model_classes = (
        Phi3Model,
        Phi3ForCausalLM,
        Phi3ForSequenceClassification,
        Phi3ForTokenClassification,
    )
    sizes = SIZES


@pytest.mark.parametrize("beams", [1, 2])
def test_cache_is_filled_anew_where_longrope_changes_its_factors(beams: int) -> None:
    config = Phi3Config(
        **SIZES,
        original_max_position_embeddings=8,
        rope_scaling={
            "type": "longrope",
            "short_factor": [1.0, 1.1, 1.2, 1.3],
            "long_factor": [1.5, 2.0, 3.0, 4.0],
        },
    )
    model = Phi3ForCausalLM(config).eval()
    fill(model)
    text, mask = torch.arange(10, 20).view(2, 5), torch.ones(2, 5, dtype=torch.long)
    mask[1, 0] = 0
    options = {"attention_mask": mask, "max_new_tokens": 8, "num_beams": beams}
    options |= {"do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    plain = model.generate(text, use_cache=False, **options)
    for name in ("dynamic", "static"):
        cached = model.generate(text, cache_implementation=name, **options)
        assert torch.equal(cached.sequences, plain.sequences)
        for ours, theirs in zip(cached.logits, plain.logits, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("name", ["su", "yarn", "longrope"])
def test_old_names_of_longrope_are_read(name: str) -> None:
    factors = {"short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.5, 2.0, 3.0, 4.0]}
    for key in ("type", "rope_type"):
        config = Phi3Config(**SIZES, rope_scaling={key: name, **factors})
        assert config.rope_scaling == {"type": "longrope", **factors}
        assert config.rope_parameters["rope_type"] == "longrope"
        assert Phi3Model(config).rotary_emb.kind == "longrope"


def test_factors_must_fit_the_heads() -> None:
    factors = {"short_factor": [1.0, 1.1], "long_factor": [1.5, 2.0, 3.0, 4.0]}
    with pytest.raises(ValueError, match=r"rope_scaling\['short_factor'\] has 2 factors"):
        Phi3Config(**SIZES, rope_scaling={"type": "longrope", **factors})


def test_a_head_called_as_newer_releases_call_it_is_read(tmp_path: Path) -> None:
    model = Phi3ForTokenClassification(Phi3Config(**SIZES, num_labels=3)).eval()
    fill(model)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert "classifier.bias" in tensors  # the name that the reference's release writes
    save_file(
        {name.replace("classifier.", "score."): tensor for name, tensor in tensors.items()},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    again, report = Phi3ForTokenClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    text = torch.arange(5)[None]
    assert torch.equal(again(text).logits, model(text).logits)
