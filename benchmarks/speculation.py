"""Milliseconds per token of a text that repeats itself: plain greedy decoding, prompt lookup, and a
draft model; beside the reference library's newest release. Llama, 135M parameters, float32.

Random weights repeat nothing, so the models are made to recite: their layers work as always, and
an output layer that knows which token follows which decides alone. The text has a period of 48
tokens; the draft model (21M) is wrong at every tenth.
"""

from __future__ import annotations

import argparse
import statistics

from run import LIBRARIES, collect, require_reference, version

WAYS = {"plain": "plain", "lookup": "prompt lookup, 10 tokens", "draft": "draft model"}


def main() -> None:
    """Measure both libraries and print a line per way to decode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    require_reference()
    for library in LIBRARIES:
        print(f"{library} {version(library)}")
    results = collect("speculation", options.rounds, options.threads)
    print(f"{options.threads} threads; medians of {options.rounds} alternating runs\n")
    for unit, what in (("ms", "time"), ("cpu_ms", "time of processors")):
        print(f"{f'{what}, ms per token':36}" + "".join(f"{library:>22}" for library in LIBRARIES))
        for name, label in WAYS.items():
            line = ""
            for runs in results.values():
                plain, found = (
                    statistics.median(run[f"{way}_{unit}"] for run in runs)
                    for way in ("plain", name)
                )
                line += f"{found:14.1f}{plain / found:7.2f}x"
            print(f"{label:36}{line}")


if __name__ == "__main__":
    main()
