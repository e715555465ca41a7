"""Where the time of one token goes: ``token_profile.py [LIBRARY] [--threads N]``.

Runs the 135M decoder of `fixtures.py` at batch 1 in float32 under torch's profiler, and adds up the
time of each kind of operation. Works with either library, in its environment.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections import Counter
from collections.abc import Callable

import torch
from fixtures import prepare_decoder
from torch.profiler import ProfilerActivity, profile

TOKENS = 24
KINDS = {
    "matrix products": ("mkldnn::_linear", "aten::mm", "aten::addmm", "aten::linear", "aten::bmm"),
    "attention": ("aten::_scaled_dot", "aten::scaled_dot"),
    "memory": ("aten::empty", "aten::copy_", "aten::cat", "aten::_to_copy", "aten::clone"),
    "views": ("aten::view", "aten::transpose", "aten::as_strided", "aten::slice", "aten::split"),
}


def kind_of(operation: str) -> str:
    """The group an operation is counted in."""
    found = (kind for kind, names in KINDS.items() if operation.startswith(names))
    return next(found, "other operations")


def median_step(generate: Callable[[int], None]) -> float:
    """Milliseconds of a step without the profiler."""
    times = []
    for _ in range(5):
        marks = []
        for count in (1, TOKENS + 1):
            start = time.perf_counter()
            generate(count)
            marks.append(time.perf_counter() - start)
        times.append((marks[1] - marks[0]) / TOKENS * 1e3)
    return sorted(times)[2]


def main() -> None:
    """Profile and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", nargs="?", default="dovetail")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    auto = importlib.import_module(options.library).AutoModelForCausalLM
    model = auto.from_pretrained(prepare_decoder("135M"))
    ids = torch.arange(1, 17)[None]

    def generate(count: int) -> None:
        limits = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
        model.generate(ids, attention_mask=torch.ones_like(ids), **limits)

    step = median_step(generate)
    spent: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for sign, count in ((1, TOKENS + 1), (-1, 1)):
        with profile(activities=[ProfilerActivity.CPU]) as record:
            generate(count)
        for row in record.key_averages():
            spent[kind_of(row.key)] += sign * row.self_cpu_time_total / 1e3 / TOKENS
            calls[kind_of(row.key)] += sign * row.count / TOKENS
    print(f"{options.library}, {options.threads} thread(s): {step:.1f} ms per token unobserved")
    print(f"under the profiler:{'calls':>14}{'ms':>10}")
    for name, milliseconds in spent.most_common():
        print(f"  {name:20}{calls[name]:10.0f}{milliseconds:10.2f}")
    print(f"  {'all':20}{sum(calls.values()):10.0f}{sum(spent.values()):10.2f}")


if __name__ == "__main__":
    main()
