"""What the audio functions promise beyond the reference: inverses, errors, torchaudio."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dovetail import (
    chroma_filter_bank,
    istft,
    mel_filter_bank,
    optimal_fft_length,
    power_to_db,
    resample,
    spectrogram,
    window_function,
)
from dovetail.errors import ProcessorError
from dovetail.testing import seeded
from dovetail_models_audio.audio.cepstra import mel_cepstrum
from dovetail_models_audio.audio.kaldi import fbank, mfcc
from dovetail_models_audio.audio.resampling import plain_resample

CHILD = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch, torchaudio
from torchaudio.compliance import kaldi
from torchaudio.functional import resample
from dovetail_models_audio.audio.kaldi import FbankOptions, mfcc, plain_fbank
from dovetail_models_audio.audio.resampling import plain_resample
from dovetail_models_audio.audio.torchaudio import torchaudio_module

assert torchaudio_module("functional") is torchaudio.functional
torch.manual_seed(0)
sound = torch.randn(2, 8000, dtype=torch.float64)
worst = {}
for old, new in ((44100, 16000), (16000, 44100), (48000, 16000), (8000, 16000)):
    for method in ("sinc_interp_hann", "sinc_interp_kaiser"):
        for kind in (torch.float64, torch.float32):
            theirs = resample(sound.to(kind), old, new, resampling_method=method)
            ours = plain_resample(sound.to(kind), old, new, resampling_method=method)
            assert ours.shape == theirs.shape
            worst[f"{old} {new} {method} {kind}"] = float((ours - theirs).abs().max())
for options in (
    {}, {"num_mel_bins": 80}, {"use_energy": True}, {"use_energy": True, "raw_energy": False},
    {"snip_edges": False, "num_mel_bins": 40, "sample_frequency": 8000.0},
    {"window_type": "hanning", "subtract_mean": True},
    {"window_type": "hamming", "use_power": False}, {"window_type": "blackman"},
    {"window_type": "rectangular", "round_to_power_of_two": False, "high_freq": -400.0},
    {"preemphasis_coefficient": 0.0, "channel": 1, "remove_dc_offset": False},
):
    ours = plain_fbank(sound.float(), FbankOptions(**options))
    gap = ours - kaldi.fbank(sound.float(), **options)
    worst[f"fbank {options}"] = float(gap.abs().max())
for options in ({}, {"use_energy": True}, {"num_ceps": 20, "num_mel_bins": 40}):
    gap = mfcc(sound.float(), **options) - kaldi.mfcc(sound.float(), **options)
    worst[f"mfcc {options}"] = float(gap.abs().max())
print(json.dumps(worst))
"""


@pytest.mark.parametrize("hop", [100, 160, 200])
@pytest.mark.parametrize("center", [True, False])
def test_istft_undoes_the_spectrogram(hop: int, center: bool) -> None:
    """Overlap and add gives the samples back, but for those of which no window knows."""
    sound = seeded.noise("istft", (4000,))
    window = window_function(400, "hann")
    spectrum = spectrogram(sound, window, 400, hop, 512, power=None, center=center)
    back = istft(spectrum, window, hop, center=center)
    edge = 0 if center else 20  # where windows begin they hear next to nothing
    inside = slice(edge, len(back) - edge)
    np.testing.assert_allclose(back[inside], sound[inside], atol=1e-5)
    assert len(istft(spectrum, window, hop, center=center, length=4321)) == 4321


def test_istft_refuses_windows_with_gaps() -> None:
    """Sound between two windows is lost."""
    spectrum = np.ones((201, 5), dtype=np.complex64)
    with pytest.raises(ProcessorError, match="leave gaps"):
        istft(spectrum, window_function(400), 500)


def test_blocks_leave_no_trace() -> None:
    """Thousands of frames are transformed as a few are."""
    sound = seeded.noise("blocks", (60000,))
    window = window_function(64)
    whole = spectrogram(sound, window, 64, 16, power=2.0, center=False)
    part = spectrogram(sound[16 * 1500 :][:640], window, 64, 16, power=2.0, center=False)
    np.testing.assert_allclose(whole[:, 1500 : 1500 + part.shape[1]], part, rtol=1e-9)


def test_cepstra_are_the_cosine_transform() -> None:
    """Against the sum that defines it."""
    mels = seeded.noise("mels", (20, 3)).astype(np.float64)
    found = mel_cepstrum(mels, 5)
    for k in range(5):
        angle = np.cos(math.pi / 20 * (np.arange(20) + 0.5) * k)
        expected = (angle[:, None] * mels).sum(axis=0) * math.sqrt((1 if k == 0 else 2) / 20)
        np.testing.assert_allclose(found[k], expected, atol=1e-12)
    assert not np.allclose(mel_cepstrum(mels, 5, lifter=22.0), found)


def test_resampling_keeps_a_tone() -> None:
    """A sine is the same sine at another rate; lengths are rounded up; gradients flow."""
    tone = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    found = resample(tone, 8000, 16000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=2e-3)
    assert resample(np.zeros(1001), 44100, 16000).shape == (364,)
    assert resample(np.zeros((2, 3, 100), dtype=np.int16), 8000, 4000).shape == (2, 3, 50)
    assert plain_resample(torch.zeros(100), 8000, 8000).shape == (100,)
    sound = torch.zeros(100, requires_grad=True)
    resample(sound, 8000, 16000).sum().backward()
    assert sound.grad is not None


def test_torchaudio_gives_the_same(tmp_path: Path) -> None:
    """A copy of the installed package without its compiled part: its functions in Python."""
    spec = importlib.util.find_spec("torchaudio")
    if spec is None or spec.origin is None:
        pytest.skip("torchaudio is not installed; `make setup` installs it")
    ignored = shutil.ignore_patterns("*.so", "*.dylib", "*.pyd", "lib", "__pycache__")
    shutil.copytree(Path(spec.origin).parent, tmp_path / "torchaudio", ignore=ignored)
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for name, gap in json.loads(result.stdout).items():
        limit = 1e-6 if "float64" in name else 5e-4
        assert gap < limit, f"{name}: {gap}"


def test_the_plain_path_needs_no_torchaudio() -> None:
    """Neither an absent package nor one that does not load is an error."""
    code = (
        "import sys; sys.modules['torchaudio'] = None\n"
        "import numpy as np, torch, dovetail\n"
        "from dovetail_models_audio.audio.kaldi import fbank\n"
        "assert dovetail.resample(np.zeros(100), 8000, 16000).shape == (200,)\n"
        "assert fbank(torch.randn(1600)).shape == (8, 23)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_impossible_settings_are_refused() -> None:
    """One sentence for each, and always a ValueError."""
    sound, window = np.zeros(1000), window_function(400)
    bank = mel_filter_bank(201, 20, 0, 8000, 16000)
    wrong = [
        lambda: spectrogram(sound, window, 400, 0),
        lambda: spectrogram(sound, window, 512, 160),
        lambda: spectrogram(sound, window, 400, 160, fft_length=300),
        lambda: spectrogram(sound[None], window, 400, 160),
        lambda: spectrogram(sound + 0j, window, 400, 160),
        lambda: spectrogram(sound[:0], window, 400, 160),
        lambda: spectrogram(sound[:100], window, 400, 160, center=False),
        lambda: spectrogram(sound, window, 400, 160, power=None, mel_filters=bank),
        lambda: spectrogram(sound, window, 400, 160, log_mel="decibel"),
        lambda: spectrogram(sound, window, 400, 160, power=3.0, log_mel="dB"),
        lambda: window_function(400, "hanning"),
        lambda: window_function(400, frame_length=300),
        lambda: mel_filter_bank(201, 20, 0, 8000, 16000, norm="area"),
        lambda: mel_filter_bank(201, 20, 0, 8000, 16000, mel_scale="bark"),
        lambda: mel_filter_bank(1, 20, 0, 8000, 16000),
        lambda: chroma_filter_bank(512, 0, 16000),
        lambda: power_to_db(sound, reference=0.0),
        lambda: power_to_db(sound, db_range=-1.0),
        lambda: optimal_fft_length(0),
        lambda: mel_cepstrum(sound[:, None], 0),
        lambda: resample(sound, 8000, 0),
        lambda: resample(sound, 8000, 16000, resampling_method="linear"),
        lambda: resample(sound, 8000, 16000, lowpass_filter_width=0),
        lambda: fbank(torch.zeros(100)),
        lambda: fbank(torch.zeros(1600), num_bins=80),
        lambda: fbank(torch.zeros(1, 1, 1600)),
        lambda: mfcc(torch.zeros(1600), num_ceps=24),
    ]
    for call in wrong:
        with pytest.raises(ProcessorError):
            call()
    with pytest.warns(UserWarning, match="mel filters lie between"):
        mel_filter_bank(20, 80, 0, 8000, 16000)
