"""Tokens per second of 16 ragged requests, in a padded batch and batched continuously, beside the
reference library's newest release: a Llama of 135M parameters, float32, greedy.
"""

from __future__ import annotations

import argparse
import os
import statistics

from fixtures import prepare
from run import LIBRARIES, collect, version

FIGURES = {
    "padded_per_s": "padded batch, tokens per second",
    "continuous_per_s": "continuous batching, tokens per second",
    "padded_cpu_s": "padded batch, seconds of processors",
    "continuous_cpu_s": "continuous batching, seconds of processors",
}


def main() -> None:
    """Measure both libraries and print a line per figure, and how the two ways compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    prepare()
    for library in LIBRARIES:
        print(f"{library} {version(library)}")
    print(f"{options.threads} threads; medians of {options.rounds} alternating runs\n")
    results = collect("continuous", options.rounds)
    medians = {
        library: {name: statistics.median(run[name] for run in runs) for name in FIGURES}
        for library, runs in results.items()
    }
    print(f"{'':46}" + "".join(f"{library:>14}" for library in medians))
    for name, label in FIGURES.items():
        print(f"{label:46}" + "".join(f"{of[name]:14.4g}" for of in medians.values()))
    for label, name in (("time", "per_s"), ("processors", "cpu_s")):
        gains = (of[f"continuous_{name}"] / of[f"padded_{name}"] for of in medians.values())
        ratios = (gain if name == "per_s" else 1 / gain for gain in gains)
        line = "".join(f"{ratio:13.2f}x" for ratio in ratios)
        print(f"{f'continuous over padded, by {label}':46}{line}")


if __name__ == "__main__":
    main()
