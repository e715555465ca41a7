"""What ``dovetail doctor`` says about packed weights."""

from __future__ import annotations

from typing import get_args

from dovetail.cli.checks import Finding
from dovetail_quantizers.kernels import Kind, chosen

MEANINGS = {
    "half": "weights of 16-bit checkpoints with float32 arithmetic",
    "int4": "groups of 4-bit weights",
    "int8": "rows of 8-bit weights and activations",
    "rows": "rows of 8-bit weights with float32 activations",
}


def kernels() -> list[Finding]:
    """A note for each kind of packed weight: what multiplies it here, and why."""
    return [_about(kind) for kind in sorted(get_args(Kind))]


def _about(kind: Kind) -> Finding:
    choice, meaning = chosen(kind), MEANINGS[kind]
    if choice.kernel is not None:
        return Finding("note", kind, f"{meaning}: {choice.why}.", "Nothing to do.")
    return Finding(
        "note",
        kind,
        f"{meaning}: no fast kernel ({choice.why}); weights are unpacked for each product.",
        "Results are the same. A torch build with the kernels makes it faster.",
    )
