"""Milliseconds per decoding step beside the reference library's newest release: two sizes, batches
of 1, 4 and 16, float32 and bfloat16, one and two threads, greedy, random weights.
"""

from __future__ import annotations

import argparse
import statistics

from fixtures import prepare_decoder
from run import LIBRARIES, collect, require_reference, version
from worker import BATCHES, DTYPES, SIZES


def compare(size: str, dtype: str, threads: int, rounds: int) -> None:
    """Measure both libraries and print a line per batch size."""
    results = collect(f"decode-{size}-{dtype}", rounds, threads)
    for batch in BATCHES:
        ours, theirs = (
            statistics.median(result[f"ms_{batch}"] for result in results[library])
            for library in LIBRARIES
        )
        setting = f"{size:6}{dtype:10}{threads:8}{batch:7}"
        print(f"{setting}{ours:12.1f}{theirs:14.1f}{theirs / ours:9.2f}x", flush=True)


def main() -> None:
    """Parse the command line, run what it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=SIZES, choices=SIZES)
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--threads", nargs="+", default=(1, 2), type=int)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    require_reference()
    for library in LIBRARIES:
        print(f"{library} {version(library)}")
    print("milliseconds per step; ratio above 1: dovetail is quicker\n")
    print(f"size  dtype     threads  batch{'dovetail':>12}{'transformers':>14}{'ratio':>10}")
    for size in options.sizes:
        prepare_decoder(size)
        for dtype in options.dtypes:
            for threads in options.threads:
                compare(size, dtype, threads, options.rounds)


if __name__ == "__main__":
    main()
