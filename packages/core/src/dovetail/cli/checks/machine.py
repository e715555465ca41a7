"""Checks of the machine's settings: threads that will be slow, a graphics card that torch cannot
use.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dovetail.cli.checks import Finding
from dovetail.cli.env import usable_cores

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def threads() -> list[Finding]:
    """Thread settings of this process that waste cores or fight over them."""
    return thread_findings(os.environ, usable_cores(), cpu_quota(CGROUP_LIMIT))


def thread_findings(settings: Mapping[str, str], cores: int, quota: float | None) -> list[Finding]:
    """What is slow about `settings` on a machine of `cores`, of which a container may use
    `quota`.
    """
    found = [
        finding
        for name in THREAD_VARIABLES
        if name in settings
        for finding in _count(name, settings[name], cores)
    ]
    chosen = any(name in settings for name in THREAD_VARIABLES)
    if quota is not None and quota < cores and not chosen:
        problem = (
            f"this container may use {quota:g} of {cores} cores, yet torch starts a thread for each"
        )
        found.append(
            Finding("warning", "threads", problem, f"set OMP_NUM_THREADS={max(1, int(quota))}")
        )
    if settings.get("TOKENIZERS_PARALLELISM", "").lower() in ("false", "0", "off", "no"):
        problem = "batches of texts are tokenized by one core only"
        found.append(Finding("note", "TOKENIZERS_PARALLELISM", problem, "unset it"))
    return found


def _count(name: str, text: str, cores: int) -> list[Finding]:
    if not text.isdigit() or int(text) == 0:
        return [
            Finding(
                "warning",
                name,
                f"{text!r} is no number of threads",
                f"set it to {cores} or unset it",
            )
        ]
    count = int(text)
    if count > cores:
        problem = f"{count} threads share {cores} cores, which makes each matrix product wait"
        return [Finding("warning", name, problem, f"set it to {cores} or unset it")]
    if count * 2 <= cores and cores > 2:
        problem = f"only {count} of {cores} cores will be used"
        return [
            Finding(
                "warning",
                name,
                problem,
                f"set it to {cores} or unset it, unless you share the machine",
            )
        ]
    return []


def cpu_quota(limit: Path) -> float | None:
    """Cores that a container may use by its control group, None when there is no limit."""
    try:
        share, period = limit.read_text().split()
        return None if share == "max" else int(share) / int(period)
    except (OSError, ValueError):
        return None


def graphics_card() -> list[Finding]:
    """A graphics card with its driver, and a torch that was built without support for it."""
    try:
        build = version("torch")
    except PackageNotFoundError:
        return []
    if not (NVIDIA_DRIVER.exists() and build.endswith("+cpu")):
        return []
    problem = "there is an NVIDIA card, but this build of torch runs on the processor only"
    return [
        Finding("warning", f"torch {build}", problem, "install a CUDA build: https://pytorch.org")
    ]
