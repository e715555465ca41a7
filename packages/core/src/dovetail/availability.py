"""Which optional packages are installed: ``is_torch_available()`` and the like.

A package is looked for, never imported. Each name of `PACKAGES` gives one function, made when it is
first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "accelerate": ("accelerate",),
    "apex": ("apex",),
    "av": ("av",),
    "bitsandbytes": ("bitsandbytes",),
    "clearml": ("clearml",),
    "comet": ("comet_ml",),
    "datasets": ("datasets",),
    "decord": ("decord",),
    "dvclive": ("dvclive",),
    "faiss": ("faiss",),
    "keras_nlp": ("keras_nlp",),
    "llguidance": ("llguidance",),
    "neptune": ("neptune",),
    "optuna": ("optuna",),
    "peft": ("peft",),
    "phonemizer": ("phonemizer",),
    "psutil": ("psutil",),
    "py3nvml": ("py3nvml",),
    "pyctcdecode": ("pyctcdecode",),
    "ray": ("ray",),
    "ray_tune": ("ray",),
    "sacremoses": ("sacremoses",),
    "safetensors": ("safetensors",),
    "scipy": ("scipy",),
    "sentencepiece": ("sentencepiece",),
    "sigopt": ("sigopt",),
    "sklearn": ("sklearn",),
    "speech": ("torchaudio",),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "tensorflow_text": ("tensorflow_text",),
    "timm": ("timm",),
    "tokenizers": ("tokenizers",),
    "torch": ("torch",),
    "torch_mlu": ("torch_mlu",),
    "torch_musa": ("torch_musa",),
    "torch_neuroncore": ("torch_neuronx",),
    "torch_npu": ("torch_npu",),
    "torch_tpu": ("torch_xla",),
    "torch_xla": ("torch_xla",),
    "torch_xpu": ("torch",),
    "torchvision": ("torchvision",),
    "vision": ("PIL",),
    "wandb": ("wandb",),
}
"""The middle of each function's name, and the packages of which one must be installed."""
DEVICES = ("mlu", "musa", "npu", "xpu")
"""Accelerators whose functions also take `check_device`: whether one is present."""
UNSUPPORTED = ("flax", "tf")
"""Frameworks that Dovetail has no models for, and so are never available."""


def is_installed(package: str) -> bool:
    """Whether a package could be imported; it is not."""
    try:
        return find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # no parent package, or a stand-in in sys.modules
        return False


@cache
def _checker(name: str) -> Callable[..., bool]:
    packages = PACKAGES.get(name, ())
    device = name.removeprefix("torch_") if name.startswith("torch_") else ""

    def check() -> bool:
        return any(map(is_installed, packages))

    def check_with_device(check_device: bool = False) -> bool:
        if device == "xpu" or check_device:
            return check() and _present(device)
        return check()

    chosen = check_with_device if device in DEVICES else check
    chosen.__name__ = chosen.__qualname__ = f"is_{name}_available"
    chosen.__doc__ = f"Whether {' or '.join(packages) or name} can be used."
    return chosen


def _present(device: str) -> bool:
    """Whether torch sees an accelerator of this kind."""
    import torch

    backend = getattr(torch, device, None)
    return backend is not None and bool(backend.is_available())


def __getattr__(name: str) -> Callable[..., bool]:
    middle = name.removeprefix("is_").removesuffix("_available")
    if name == f"is_{middle}_available" and (middle in PACKAGES or middle in UNSUPPORTED):
        return _checker(middle)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
