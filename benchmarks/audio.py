"""Log-mel extraction beside the reference library's: CPU time on one thread, in alternating runs.

usage: python benchmarks/audio.py [--rounds 5]

Each library runs in a process of its own and answers with its fastest call: ``spectrogram`` with a
mel bank, ``mel_filter_bank``, and the extractors of Whisper, AST and CLAP, of 30 seconds of sound
and of 11.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = {"dovetail": Path(sys.executable), "transformers": ROOT / ".venv-latest/bin/python"}
CALLS = 5
RATE, CLAP_RATE = 16000, 48000


def actions(library: str) -> dict[str, Callable[[], Any]]:
    """What is measured, by description."""
    import numpy as np

    names = importlib.import_module(library)
    tools = names if library == "dovetail" else importlib.import_module(f"{library}.audio_utils")
    sound = np.random.default_rng(0).standard_normal(30 * RATE).astype(np.float32)
    short, clap = sound[: 11 * RATE], sound[: 10 * CLAP_RATE]
    window = tools.window_function(400, "hann")
    bank = tools.mel_filter_bank(201, 80, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    whisper = names.WhisperFeatureExtractor()
    ast, fusion = names.ASTFeatureExtractor(), names.ClapFeatureExtractor()
    mel = {"power": 2.0, "mel_filters": bank, "log_mel": "log10"}
    return {
        "log-mel spectrogram(), 30 s": lambda: tools.spectrogram(sound, window, 400, 160, **mel),
        "mel_filter_bank()": lambda: tools.mel_filter_bank(201, 80, 0.0, 8000.0, RATE),
        "WhisperFeatureExtractor, 30 s": lambda: whisper(sound, sampling_rate=RATE),
        "WhisperFeatureExtractor, 11 s": lambda: whisper(short, sampling_rate=RATE),
        "ASTFeatureExtractor, 11 s": lambda: ast(short, sampling_rate=RATE),
        "ClapFeatureExtractor, 10 s": lambda: fusion(clap, sampling_rate=CLAP_RATE),
    }


def work(library: str) -> None:
    """Measure every action: the least CPU time, in milliseconds, of a few calls."""
    warnings.simplefilter("ignore")
    figures = {}
    for name, action in actions(library).items():
        action()
        times = []
        for _ in range(CALLS):
            start = time.process_time()
            action()
            times.append(time.process_time() - start)
        figures[name] = 1000 * min(times)
    print(json.dumps(figures))


def measured(library: str) -> dict[str, float]:
    """The figures of one process."""
    command = [str(PYTHONS[library]), __file__, "--worker", library]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{library} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    """Print a line for each action."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", choices=sorted(PYTHONS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    if not PYTHONS["transformers"].exists():
        raise SystemExit("There is nothing to compare with: `make bench` makes its environment.")
    turns = [{name: measured(name) for name in PYTHONS} for _ in range(options.rounds)]
    print(f"{'CPU time on one thread, ms':36}{'dovetail':>12}{'transformers':>14}{'ratio':>10}")
    for figure in turns[0]["dovetail"]:
        ours, theirs = (
            statistics.median(turn[library][figure] for turn in turns) for library in PYTHONS
        )
        print(f"{figure:36}{ours:12.4g}{theirs:14.4g}{theirs / ours:9.2f}x")


if __name__ == "__main__":
    main()
