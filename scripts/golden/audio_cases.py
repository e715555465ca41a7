"""Sounds and calls whose results are golden: the audio functions and the feature extractors.

The producer and the tests both import this file; it knows neither library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Calls = Iterator[tuple[str, Any]]
Noise = Callable[..., np.ndarray]


def sound(noise: Noise, name: str, samples: int) -> np.ndarray:
    """A rising tone in noise that swells, after a silence: float32 (samples,)."""
    time = np.arange(samples) / 16000.0
    tone = 0.3 * np.sin(2 * np.pi * (200.0 + 400.0 * time) * time)
    swell = np.clip(time / max(float(time[-1]), 1e-3) - 0.05, 0.0, None)
    return (swell * (tone + 0.2 * noise(name, (samples,)))).astype(np.float32)


def bank_calls(library: Any) -> Calls:
    """Scales and filter banks."""
    for scale in ("htk", "slaney", "kaldi"):
        yield f"mel {scale}", library.hertz_to_mel(np.linspace(1.0, 8000.0, 40), scale)
        yield f"hertz {scale}", library.mel_to_hertz(np.linspace(0.0, 40.0, 40), scale)
        for norm in (None, "slaney"):
            for in_mel in (False, True):
                bank = library.mel_filter_bank(257, 40, 20, 7600, 16000, norm, scale, in_mel)
                yield f"bank {scale} {norm} {in_mel}", bank
    octaves = library.hertz_to_octave(np.linspace(1.0, 8000.0, 40), 0.1, 24)
    yield "octaves", octaves
    for count in (12, 24, 7):
        yield f"chroma {count}", library.chroma_filter_bank(512, count, 16000)
        plain = library.chroma_filter_bank(513, count, 16000, 0.3, None, None, False)
        yield f"chroma plain {count}", plain
    for name in ("boxcar", "hamming", "hann_window", "povey"):
        for periodic in (True, False):
            yield f"{name} {periodic}", library.window_function(400, name, periodic)
            wide = library.window_function(401, name, periodic, 512, periodic)
            yield f"{name} {periodic} in a frame", wide


def spectrogram_calls(library: Any, noise: Noise) -> Calls:
    """Spectrograms with every option, and decibels."""
    wave = sound(noise, "spectrogram", 5000)
    window = library.window_function(400, "hann")
    bank = library.mel_filter_bank(257, 40, 20, 8000, 16000)
    mel = {"mel_filters": bank, "power": 2.0}
    options: list[dict[str, Any]] = [
        {},
        {"power": 2.0},
        {"power": 3.0},
        {"power": None},
        {"power": None, "onesided": False},
        {"center": False},
        {"pad_mode": "constant"},
        {"preemphasis": 0.97},
        {"remove_dc_offset": True},
        {**mel, "log_mel": "log", "preemphasis": 0.97, "remove_dc_offset": True},
        {**mel, "log_mel": "log10", "dtype": np.float64},
        {**mel, "log_mel": "dB", "reference": 0.5, "min_value": 1e-4, "db_range": 20.0},
        {"mel_filters": bank, "log_mel": "dB"},
        {"mel_filters": bank, "mel_floor": 1e-3},
    ]
    for index, chosen in enumerate(options):
        yield f"spectrogram {index}", library.spectrogram(wave, window, 400, 160, 512, **chosen)
        both = library.spectrogram_batch([wave, wave[:2000]], window, 400, 77, 512, **chosen)
        yield f"short {index}", both[1]
    yield "longer than its mirror", library.spectrogram(wave[3000:3100], window, 400, 160)
    batch = np.abs(wave).reshape(5, 10, 100)
    yield "power", library.power_to_db(batch, 2.0, 1e-3, 20.0)
    yield "amplitude", library.amplitude_to_db(batch, 2.0, 1e-3, 20.0)
    yield "power batch", library.power_to_db_batch(batch, 2.0, 1e-5, 20.0)
    yield "amplitude batch", library.amplitude_to_db_batch(batch)


def extractor_calls(library: Any, noise: Noise) -> Calls:
    """Every output of every extractor, by a name of its own."""
    short, long = sound(noise, "short", 12345), sound(noise, "long", 24000)
    stereo = np.stack([short, long[: len(short)]])
    batch = [short, long]
    padded = {"padding": True, "return_tensors": "np"}
    cut = {**padded, "padding": "max_length", "max_length": 16000, "truncation": True}
    plan: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
        (
            "Whisper",
            {},
            [
                {"raw_speech": short, "return_tensors": "np", "return_attention_mask": True},
                {"raw_speech": batch, "return_tensors": "np", "return_token_timestamps": True},
                {"raw_speech": batch, "do_normalize": True, "return_attention_mask": True},
                {"raw_speech": batch, "truncation": False, "padding": "longest"},
                {"raw_speech": batch, "max_length": 16000, "return_tensors": "np"},
            ],
        ),
        ("Whisper", {"feature_size": 128, "chunk_length": 2}, [{"raw_speech": batch}]),
        (
            "Wav2Vec2",
            {},
            [{"raw_speech": batch, **padded}, {"raw_speech": batch, **cut}, {"raw_speech": short}],
        ),
        (
            "Wav2Vec2",
            {"return_attention_mask": True},
            [{"raw_speech": batch, **padded, "pad_to_multiple_of": 1000}],
        ),
        ("Wav2Vec2", {"do_normalize": False}, [{"raw_speech": batch, **padded}]),
        ("AST", {}, [{"raw_speech": batch, "return_tensors": "np"}]),
        ("AST", {"max_length": 100, "do_normalize": False}, [{"raw_speech": batch}]),
        (
            "Speech2Text",
            {},
            [
                {"raw_speech": batch, **padded},
                {"raw_speech": batch, **padded, "max_length": 90, "truncation": True},
            ],
        ),
        ("Speech2Text", {"normalize_vars": False}, [{"raw_speech": short}]),
        ("Clap", {"max_length_s": 1}, clap_calls(noise)),
        (
            "SpeechT5",
            {},
            [
                {"audio": batch, **padded},
                {"audio_target": batch, **padded},
                {"audio": batch, "audio_target": batch, **padded},
            ],
        ),
        (
            "SpeechT5",
            {"do_normalize": True},
            [
                {"audio": batch, **padded},
                {"audio": batch, **padded, "return_attention_mask": False},
                {"audio": batch, **cut},
            ],
        ),
        ("Encodec", {}, [{"raw_audio": batch, **padded}, {"raw_audio": short}]),
        (
            "Encodec",
            {"chunk_length_s": 0.1, "overlap": 0.25},
            [
                {"raw_audio": batch, "return_tensors": "np"},
                {"raw_audio": batch, "padding": False, "truncation": True, "return_tensors": "np"},
            ],
        ),
        ("Encodec", {"feature_size": 2}, [{"raw_audio": [stereo], **padded}]),
    ]
    for number, (prefix, settings, calls) in enumerate(plan):
        extractor = getattr(library, f"{prefix}FeatureExtractor")(**settings)
        for index, call in enumerate(calls):
            np.random.seed(7)
            outputs = extractor(sampling_rate=extractor.sampling_rate, **call)
            for key, value in outputs.items():
                # A list of rows of several lengths has no shape of its own.
                parts = value if isinstance(value, list) else [value]
                for part, row in enumerate(parts):
                    yield f"{prefix} {number}.{index} {key}.{part}", row


def clap_calls(noise: Noise) -> list[dict[str, Any]]:
    """Sounds below and above a second, by every way to fill and to cut."""
    short, long = sound(noise, "clap", 20000), sound(noise, "clap long", 100000)
    kinds = [
        {"truncation": truncation, "padding": padding}
        for truncation in ("fusion", "rand_trunc")
        for padding in ("repeatpad", "repeat", "pad")
    ]
    return [
        *({"raw_speech": [short, long], "return_tensors": "np", **kind} for kind in kinds),
        {"raw_speech": short, "return_tensors": "np"},
    ]
