"""``dovetail env``: versions, devices, caches and settings, to paste into a report."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

LIBRARIES = (
    "torch",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "numpy",
    "accelerate",
    "pluggy",
    "jinja2",
    "torchaudio",
    "pillow",
    "av",
)
SETTINGS = ("DOVETAIL_", "HF_", "OMP_", "MKL_", "CUDA_VISIBLE_DEVICES", "TOKENIZERS_PARALLELISM")
SECRET = ("TOKEN", "SECRET", "PASSWORD", "KEY")


def environment() -> dict[str, dict[str, Any]]:
    """Everything `dovetail env` shows, by section. Imports torch, to ask it for its devices."""
    return {
        "dovetail": {"dovetail": installed("dovetail"), **official_and_foreign_plugins()},
        "system": {
            "python": platform.python_version(),
            "executable": sys.executable,
            "platform": platform.platform(),
            "processor cores": usable_cores(),
        },
        "libraries": {name: installed(name) for name in LIBRARIES},
        "torch": torch_facts(),
        "cache": {"hub cache": cache_folder()},
        "settings": settings(),
    }


def installed(distribution: str) -> str:
    """The version of an installed distribution, ``not installed`` otherwise."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def official_and_foreign_plugins() -> dict[str, str]:
    """Every plugin with the version of its distribution and its state, if that is not
    ``active``.
    """
    from dovetail.plugins import manager

    return {
        plugin.distribution: plugin.version
        + ("" if plugin.status == "active" else f" ({plugin.status})")
        for plugin in manager().plugins
        if plugin.distribution != "dovetail"
    }


def usable_cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder() -> str:
    """Where the Hub's files are kept."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return str(HF_HUB_CACHE)


def settings() -> dict[str, str]:
    """The environment variables that matter; secrets are masked."""
    found = {key: value for key, value in os.environ.items() if key.startswith(SETTINGS)}
    return {
        key: "***" if any(word in key for word in SECRET) else value
        for key, value in sorted(found.items())
    }


def torch_facts() -> dict[str, Any]:
    """What torch can run on, or why it does not import."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return {"import": f"fails: {error}"}
    facts: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda or "none",
    }
    for index in range(torch.cuda.device_count()):
        facts[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    facts["mps"] = torch.backends.mps.is_available()
    return facts


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Show versions, devices, cache and settings."""
    facts = environment()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    width = max(len(name) for section in facts.values() for name in section)
    for title, section in facts.items():
        click.echo(f"{title}:")
        for name, value in section.items():
            click.echo(f"  {name.ljust(width)}  {value}")
