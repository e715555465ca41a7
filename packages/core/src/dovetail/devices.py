"""Where a model's tensors go: one device directly, several through accelerate."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dovetail.errors import MissingPluginError, near_matches

STRATEGIES = ("auto", "balanced", "balanced_low_0", "sequential")
OFFLOADED = ("cpu", "disk")

DeviceMap = str | int | torch.device | Mapping[str, Any]


@dataclass(frozen=True)
class Placement:
    """A device for each module path; the empty path is the whole model."""

    devices: Mapping[str, Any]

    @property
    def single(self) -> torch.device | None:
        """The device, when there is only one."""
        places = set(self.devices.values())
        place = next(iter(places))
        return torch.device(place) if len(places) == 1 and place != "disk" else None

    def place_of(self, name: str) -> Any:
        """What the map says of the tensor `name`: the entry of its nearest ancestor.

        Raises:
            ValueError: no entry covers the name.
        """
        path = name
        while path not in self.devices:
            if not path:
                entries = ", ".join(map(repr, list(self.devices)[:8]))
                raise ValueError(
                    f"device_map says nothing of {name!r}; its entries are {entries}. "
                    "Add one for it, or '' for the rest."
                )
            path = path.rpartition(".")[0]
        return self.devices[path]

    def device_of(self, name: str) -> torch.device:
        """The device on which loading puts the tensor `name`; what goes to disk passes the CPU."""
        place = self.place_of(name)
        return torch.device("cpu" if place == "disk" else place)


def default_placement() -> Placement:
    """Everything where torch makes new tensors: the CPU unless the caller set another default."""
    device = torch.get_default_device()
    return Placement({"": torch.device("cpu") if device.type == "meta" else device})


def placement(
    device_map: DeviceMap | None,
    model: nn.Module,
    *,
    dtype: torch.dtype,
    max_memory: Mapping[Any, Any] | None = None,
) -> Placement:
    """Resolve `device_map` for a model on the meta device.

    A device (``"cuda:1"``, ``0``, a `torch.device`) takes everything; a mapping is taken as it is;
    ``"auto"``, ``"balanced"``, ``"balanced_low_0"`` and ``"sequential"`` share a model out over the
    devices, through accelerate where there is more than one to choose from.

    Raises:
        ValueError: the value is neither a device, nor a strategy, nor a mapping.
        MissingPluginError: accelerate is needed and not installed.
    """
    if device_map is None:
        return default_placement()
    if isinstance(device_map, Mapping):
        return Placement({path: _place(place) for path, place in device_map.items()})
    if device_map not in STRATEGIES:
        return Placement({"": _place(device_map)})
    only = _only_device() if max_memory is None else None
    if only is not None and _fits(model, only):
        return Placement({"": only})
    return Placement(_shared_out(str(device_map), model, dtype, max_memory))


def _place(place: Any) -> Any:
    if place == "disk":
        return place
    try:
        device = torch.device(place)
        torch.empty(0, device=device)  # a device that this machine has
    except (RuntimeError, TypeError, AssertionError) as error:
        known = (*STRATEGIES, "cpu", "cuda", "mps", "xpu", "disk")
        raise ValueError(
            f"device_map holds {place!r}, which is no device of this machine "
            f"({str(error).splitlines()[0]}).{near_matches(str(place), known)} "
            "Use a device such as 'cuda:0', one of "
            f"{', '.join(map(repr, STRATEGIES))}, or a mapping from module to device."
        ) from error
    return device


def _only_device() -> torch.device | None:
    if not torch.accelerator.is_available():
        return torch.device("cpu")
    count = torch.accelerator.device_count()
    kind = torch.accelerator.current_accelerator()
    return torch.device(kind.type, 0) if count == 1 and kind is not None else None


def _fits(model: nn.Module, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    free, _ = torch.cuda.mem_get_info(device)
    # A tenth is left for activations and the cache.
    return sum(tensor.nbytes for tensor in tensors.values()) < 0.9 * free


def require_accelerate(purpose: str) -> None:
    """Raise the error that says how to get accelerate, unless it is installed."""
    if importlib.util.find_spec("accelerate") is None:
        raise MissingPluginError(
            f"{purpose} needs the package 'accelerate', which is not installed. "
            "Install it with: pip install accelerate; or name one device: device_map='cuda:0'."
        )


def _shared_out(
    strategy: str, model: nn.Module, dtype: torch.dtype, max_memory: Mapping[Any, Any] | None
) -> dict[str, Any]:
    require_accelerate(f"device_map={strategy!r} over more than one device")
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory, get_max_memory

    options = {
        "no_split_module_classes": unsplit(model),
        "dtype": dtype,
    }
    limits = None if max_memory is None else dict(max_memory)
    if strategy == "sequential":
        memory = get_max_memory(limits)
    else:
        low_zero = strategy == "balanced_low_0"
        memory = get_balanced_memory(model, limits, low_zero=low_zero, **options)
    shares = infer_auto_device_map(model, max_memory=memory, **options)
    return {path: _place(place) for path, place in shares.items()}


def unsplit(model: nn.Module) -> list[str]:
    """The classes of modules that stay on one device, of `model` and of all models in it."""
    parts = (getattr(part, "_no_split_modules", None) or () for part in model.modules())
    return sorted({name for names in parts for name in names})


def dispatch(
    model: nn.Module,
    where: Placement,
    *,
    offload_folder: str | None = None,
    offload_buffers: bool = False,
) -> None:
    """Hook up a model whose parts are on several devices, so that inputs travel between them.

    Raises:
        ValueError: something goes to disk and no `offload_folder` is given.
        MissingPluginError: accelerate is needed and not installed.
    """
    hf_map = {path: _plain(place) for path, place in where.devices.items()}
    model.hf_device_map = hf_map  # type: ignore[assignment]
    if where.single is not None:
        return
    require_accelerate("A device_map with more than one device")
    from accelerate import dispatch_model

    if "disk" in hf_map.values() and offload_folder is None:
        raise ValueError(
            "device_map puts a part of the model on disk: say in which folder with offload_folder=."
        )
    skip_keys = getattr(model, "_skip_keys_device_placement", None)
    dispatch_model(
        model,
        device_map=hf_map,
        offload_dir=offload_folder,
        offload_buffers=offload_buffers,
        skip_keys=skip_keys,
    )


def _plain(place: Any) -> Any:
    if not isinstance(place, torch.device):
        return place
    return place.index if place.type == "cuda" and place.index is not None else str(place)
