"""Whisper passes the batteries for models that read sound and, its decoder alone, for decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dovetail import (
    WhisperConfig,
    WhisperForAudioClassification,
    WhisperForCausalLM,
    WhisperModel,
)
from dovetail.testing import seeded
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.conformance import CausalLMConformance
from dovetail.testing.converting import check_layout
from dovetail.testing.forward import ForwardTests
from dovetail.testing.subject import BATCH, LENGTH, expect_close, fill
from dovetail.testing.training import TrainingTests

SIZES = {
    "vocab_size": 99,
    "num_mel_bins": 6,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "max_source_positions": 9,
    "max_target_positions": 64,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 3,
    "begin_suppress_tokens": None,
    "classifier_proj_size": 11,
}


class SoundTests(ForwardTests, CheckpointTests, TrainingTests):
    """The battery for models that read sound, and maybe tokens."""

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = LENGTH
    ) -> dict[str, Any]:
        """Energies (B, M, F) and, for the decoder, token ids (B, T)."""
        shape = (batch, config.num_mel_bins, 2 * config.max_source_positions)
        inputs = {"input_features": torch.from_numpy(seeded.noise("energies", shape))}
        if not model_class.__name__.endswith("ForAudioClassification"):
            inputs["decoder_input_ids"] = self.tokens(config, batch, length - 2, seed="target")
        return inputs


class TestWhisper(SoundTests):
    config_class = WhisperConfig
    model_classes = (WhisperModel,)
    sizes = SIZES


class TestWhisperClassifier(SoundTests):
    config_class = WhisperConfig
    model_classes = (WhisperForAudioClassification,)
    sizes = SIZES

    def test_a_head_loads_its_body_and_a_body_its_head(
        self, task_class: Any, tmp_path: Path
    ) -> None:
        body = self.build(WhisperModel)
        body.save_pretrained(tmp_path)
        loaded = task_class.from_pretrained(tmp_path)
        expect_close(loaded.encoder.state_dict(), body.encoder.state_dict(), "encoder", 0.0)


class TestWhisperDecoder(CausalLMConformance):
    config_class = WhisperConfig
    model_classes = (WhisperForCausalLM,)
    sizes = SIZES | {"is_encoder_decoder": False, "is_decoder": True}
    unused = (r"encoder_attn",)  # there is no encoder


@pytest.mark.parametrize("shape", [(1, 6, 17), (1, 6, 19), (1, 18, 6), (6, 18)])
def test_energies_of_another_shape_are_refused(shape: tuple[int, ...]):
    model = WhisperModel(WhisperConfig(**SIZES)).eval()
    with pytest.raises(ValueError, match=r"must be \(batch, 6, 18\), mel bins by frames"):
        model(torch.zeros(shape), decoder_input_ids=torch.tensor([[3]]))


def test_nothing_to_hear_is_refused():
    model = WhisperModel(WhisperConfig(**SIZES)).eval()
    with pytest.raises(ValueError, match="Give input_features, or encoder_outputs"):
        model(decoder_input_ids=torch.tensor([[3]]))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"encoder_attention_heads": 5}, "encoder_attention_heads=5 does not divide d_model=32"),
        ({"d_model": 33, "encoder_attention_heads": 3, "decoder_attention_heads": 3}, "is odd"),
    ],
)
def test_impossible_sizes_are_refused(setting: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        WhisperConfig(**{**SIZES, **setting})


def test_training_hides_spans_of_what_is_heard():
    sizes = {"apply_spec_augment": True, "mask_time_prob": 0.3, "mask_time_length": 3}
    spans = {"mask_feature_prob": 0.2, "mask_feature_length": 2, "mask_feature_min_masks": 1}
    model = WhisperModel(WhisperConfig(**SIZES, **sizes, **spans)).train()
    heard: list[torch.Tensor] = []
    model.encoder.conv1.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    mask = torch.ones(2, 18).long()
    mask[1, 9:] = 0
    given = {"decoder_input_ids": torch.tensor([[3], [3]]), "attention_mask": mask}
    model(torch.ones(2, 6, 18), **given)
    model.eval()(torch.ones(2, 6, 18), **given)
    hidden = heard[0] == 0
    bins = hidden.all(2).sum(1)
    assert ((bins >= 2) & (bins < 6)).all()
    frames = hidden.all(1)
    assert (frames.sum(1) >= 4).all()
    assert not frames[1, 9:].any()
    assert (heard[1] == 1).all()


def test_spans_longer_than_the_sound_are_refused():
    config = WhisperConfig(**SIZES, apply_spec_augment=True, mask_time_length=19)
    with pytest.raises(ValueError, match="Spans of 19 positions do not fit into 18"):
        WhisperModel(config).train()(torch.ones(1, 6, 18), decoder_input_ids=torch.tensor([[3]]))


@pytest.mark.parametrize(("vocabulary", "end"), [(51864, 50256), (51865, 50257)])
def test_original_and_back(vocabulary: int, end: int, tmp_path: Path):
    ends = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), end)
    sizes = {**SIZES, "vocab_size": vocabulary, "decoder_layers": 3, "max_target_positions": 20}
    model = WhisperModel(WhisperConfig(**{**sizes, **ends, "decoder_start_token_id": end + 1}))
    fill(model.eval())
    original = check_layout("whisper/openai", model, tmp_path)
    content = torch.load(original / "model.pt", weights_only=True)
    assert content["dims"] == {
        "n_mels": 6,
        "n_vocab": vocabulary,
        "n_audio_ctx": 9,
        "n_audio_state": 32,
        "n_audio_head": 4,
        "n_audio_layer": 2,
        "n_text_ctx": 20,
        "n_text_state": 32,
        "n_text_head": 4,
        "n_text_layer": 3,
    }
    key = content["model_state_dict"]["decoder.blocks.2.cross_attn.key.weight"]
    assert torch.equal(key, model.decoder.layers[2].encoder_attn.k_proj.weight)
    assert "decoder.blocks.2.cross_attn.key.bias" not in content["model_state_dict"]
    back = WhisperConfig.from_pretrained(tmp_path / "back")
    for name in ("decoder_ffn_dim", "decoder_start_token_id", *ends):
        assert getattr(back, name) == getattr(model.config, name)
