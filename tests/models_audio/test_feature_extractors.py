"""The feature extractors with what users really pass: bad input, files, the auto class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dovetail
from dovetail import AutoFeatureExtractor
from dovetail.errors import ProcessorError, UnknownNameError
from dovetail.testing import seeded

NAMES = ("AST", "Clap", "Encodec", "Speech2Text", "SpeechT5", "Wav2Vec2", "Whisper")
SOUND = seeded.noise("sound", (8000,))


def extractor(name: str, **settings: Any) -> Any:
    """The extractor of a family."""
    return getattr(dovetail, f"{name}FeatureExtractor")(**settings)


@pytest.mark.parametrize("name", NAMES)
def test_settings_survive_a_save(name: str, tmp_path: Path) -> None:
    """A saved extractor is found by the auto class and gives the same features."""
    made = extractor(name, padding_value=0.5)
    made.save_pretrained(tmp_path)
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert type(loaded) is type(made)
    assert loaded.to_dict() == made.to_dict()
    np.random.seed(0)
    first = made(SOUND, sampling_rate=made.sampling_rate, return_tensors="pt")
    np.random.seed(0)
    second = loaded(SOUND, sampling_rate=made.sampling_rate, return_tensors="pt")
    assert set(first) == set(second)
    for key, value in first.items():
        assert torch.equal(value, second[key])


@pytest.mark.parametrize("name", NAMES)
def test_bad_sound_is_refused(name: str) -> None:
    """Another rate, no samples, NaN, two channels, no sound, no numbers."""
    made = extractor(name)
    rate = made.sampling_rate
    with pytest.raises(ProcessorError, match="Resample it"):
        made(SOUND, sampling_rate=11025)
    wrong = {
        "no samples": SOUND[:0],
        "NaN": np.array([0.0, np.nan] * 4000),
        "one channel|a sound is": [np.zeros((2, 8000))],
        "empty list": [],
        "list of numbers": "speech.flac",
    }
    for message, sound in wrong.items():
        with pytest.raises(ProcessorError, match=message):
            made(sound, sampling_rate=rate)


@pytest.mark.parametrize("name", NAMES)
def test_forms_of_a_sound(name: str) -> None:
    """Lists, arrays, tensors and batches of one are the same sound."""
    made = extractor(name)
    key = made.model_input_names[0]
    sounds = (SOUND, SOUND.tolist(), torch.from_numpy(SOUND), [SOUND], [SOUND.tolist()])
    found = [made(s, sampling_rate=made.sampling_rate, return_tensors="np")[key] for s in sounds]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_a_file_that_names_another_class(tmp_path: Path) -> None:
    """Public names that are no feature extractors are not picked."""
    for name in ("resample", "LlamaForCausalLM"):
        (tmp_path / "preprocessor_config.json").write_text(
            json.dumps({"feature_extractor_type": name})
        )
        with pytest.raises(UnknownNameError):
            AutoFeatureExtractor.from_pretrained(tmp_path)


def test_whisper_ignores_stored_filters() -> None:
    """Old files hold the filter bank: it is made anew."""
    made = extractor("Whisper", mel_filters=[[1.0]])
    assert made.mel_filters.shape == (201, 80)
    assert "mel_filters" not in made.to_dict()


@pytest.mark.parametrize("samples", [1, 7000, 15700, 15999, 16000])
def test_whisper_knows_silence_without_a_transform(samples: int) -> None:
    """Padding gives what its transform would: the shortcut is exact."""
    sound = np.zeros(16000, dtype=np.float32)
    sound[:samples] = seeded.noise("short", (samples,))
    quick = extractor("Whisper", chunk_length=1)
    noisy = sound.copy()
    noisy[-1] = noisy[-1] or 1e-30  # no longer silent at the end, though nobody hears it
    found = quick([sound, noisy], sampling_rate=16000)["input_features"]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    nothing = quick(np.zeros(100), sampling_rate=16000)["input_features"]
    assert (nothing == nothing.flat[0]).all()


def test_wav2vec2_pads_on_the_left_what_it_standardized() -> None:
    """With a mask only real samples count, whichever side the padding is on."""
    made = extractor("Wav2Vec2", return_attention_mask=True, padding_side="left")
    found = made([SOUND, SOUND[:3000]], padding=True, sampling_rate=16000, return_tensors="np")
    row = found["input_values"][1]
    assert found["attention_mask"][1].sum() == 3000
    assert not row[:5000].any()
    assert row[5000:].mean() == pytest.approx(0.0, abs=1e-6)
    assert row[5000:].std() == pytest.approx(1.0, abs=1e-4)


def test_speech2text_keeps_what_does_not_vary() -> None:
    """A single frame has no variance: zero and not NaN."""
    found = extractor("Speech2Text")(SOUND[:400], sampling_rate=16000, return_tensors="np")
    assert np.isfinite(found["input_features"]).all()


def test_contradictions_are_refused() -> None:
    """Truncation that is unknown, padding with truncation, nothing to do, too short sound."""
    with pytest.raises(ProcessorError, match="fusion"):
        extractor("Clap")(SOUND, truncation="cut", sampling_rate=48000)
    with pytest.raises(ProcessorError, match="contradict"):
        extractor("Encodec")(SOUND, padding=True, truncation=True, sampling_rate=24000)
    with pytest.raises(ProcessorError, match="audio_target"):
        extractor("SpeechT5")(sampling_rate=16000)
    with pytest.raises(ProcessorError, match="half a frame"):
        extractor("Whisper")(SOUND[:100], padding=None, sampling_rate=16000)
