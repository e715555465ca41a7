"""Building a model without memory, and filling what a checkpoint does not bring.

While a model is built for loading, its parameters are made on the meta device: names and shapes
without storage. Loading then puts tensors in place one by one. What constructors compute (rotary
frequencies, masks, small constants) is computed as always, because no checkpoint stores it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

META = torch.device("meta")
LARGE = 2**24
"""Elements from which on even tensors of zeros or ones are not made before they are needed."""

UNFILLED = (torch.empty, torch.rand, torch.randn)
"""Functions that make parameters, whose values then come from an initialiser or a checkpoint."""
COMPUTED = (torch.zeros, torch.ones, torch.full, torch.arange, torch.linspace, torch.eye)
"""Functions that make what constructors compute."""
IN_PLACE = frozenset(
    """
    normal_ uniform_ random_ bernoulli_ exponential_ cauchy_ log_normal_ geometric_ fill_ zero_
    constant_ kaiming_uniform_ kaiming_normal_ trunc_normal_ copy_ erfinv_ mul_ add_ sub_ div_
    clamp_
    """.split()  # noqa: SIM905 - as a list it would take a screen
)
"""Names of functions that write into a tensor."""

DeviceOf = Callable[[str], torch.device]
"""The device on which the tensor of that name is to live."""


_default_dtype_in_use = threading.RLock()
"""Torch has one default for the whole process: models built at the same time must take turns."""


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New floating-point tensors are of `dtype` inside, in one thread at a time."""
    with _default_dtype_in_use:
        previous = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(previous)


class Outline(TorchFunctionMode):
    """Inside, tensors that are to be filled later are made on the meta device and stay unfilled.

    This is not ``torch.device("meta")``: that would lose what constructors compute, and the first
    operation there which torch implements in Python imports its compiler, which takes seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in IN_PLACE:
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        elif func in UNFILLED and kwargs.get("device") is None and kwargs.get("out") is None:
            kwargs = {name: value for name, value in kwargs.items() if name != "generator"}
            return torch.empty(*args, **kwargs | {"device": META})
        elif func in COMPUTED and kwargs.get("device") in (None, META):
            # A device of meta is that of a parameter beside which something is computed.
            place = META if _numel(func, args, kwargs) >= LARGE else None
            return func(*args, **kwargs | {"device": place})
        return func(*args, **kwargs)


def _numel(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Elements of what `torch.zeros`, `torch.ones` or `torch.full` would make; else 0."""
    if func not in COMPUTED[:3]:
        return 0
    size = args or kwargs.get("size", ())
    return prod(size[0] if size and not isinstance(size[0], int) else size)


class KeepLarge(TorchFunctionMode):
    """Inside, large tensors are not filled at random, and so take no physical memory."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "uniform_") and args:
            tensor = args[0]
            if isinstance(tensor, Tensor) and tensor.numel() >= LARGE:
                return tensor
        return func(*args, **(kwargs or {}))


class Blueprint:
    """How to build a model: its class, arguments and data type.

    `build` makes its outline. `twin` is a second one in memory, made only when something must be
    copied from it that a constructor computes and nothing else can restore.
    """

    def __init__(
        self,
        cls: type[nn.Module],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        dtype: torch.dtype,
    ) -> None:
        self.cls, self.args, self.kwargs, self.dtype = cls, tuple(args), dict(kwargs), dtype

    def build(self) -> nn.Module:
        """The model with its parameters on the meta device, tied."""
        try:
            model = self._make(Outline())
        except (NotImplementedError, RuntimeError) as error:
            # A constructor that reads the values of what it filled at random needs values.
            if "meta" not in str(error).lower():
                raise
            model = self._make(KeepLarge())
        tie(model)
        return model

    @functools.cached_property
    def twin(self) -> nn.Module:
        """The model in memory, its large parameters unfilled."""
        return self._make(KeepLarge())

    def _make(self, mode: TorchFunctionMode) -> nn.Module:
        with default_dtype(self.dtype), torch.random.fork_rng(devices=[]), mode:
            return self.cls(*self.args, **self.kwargs)


def tie(model: nn.Module) -> None:
    """Make tied parameters one tensor, where the model knows of any."""
    tie_weights = getattr(model, "tie_weights", None)
    if callable(tie_weights):
        tie_weights()


def set_tensor(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Put `tensor` in the place of the parameter or buffer `name`."""
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    old = module._parameters.get(leaf)
    if old is None:
        module._buffers[leaf] = tensor
    elif isinstance(tensor, nn.Parameter):
        setattr(module, leaf, tensor)
    else:
        trainable = old.requires_grad and (tensor.is_floating_point() or tensor.is_complex())
        setattr(module, leaf, nn.Parameter(tensor, requires_grad=trainable))


def fill_absent(
    model: nn.Module, groups: Iterable[list[str]], device_of: DeviceOf, blueprint: Blueprint
) -> None:
    """Give the tensors named in `groups` (each group is one tensor) the model's own initial values.

    Comes before the checkpoint's tensors are put in place, so that an initialiser which fills a
    whole module cannot overwrite one of them. Those that the constructor filled stay as they are.
    """
    made: dict[str, Tensor] = {}
    for names in groups:
        template = get_tensor(model, names[0])
        if not template.is_meta:
            continue
        set_tensor(model, names[0], _unfilled(template, device_of(names[0])))
        made[names[0]] = placed = get_tensor(model, names[0])
        for name in names[1:]:
            set_tensor(model, name, placed)
    _initialise(model, made)
    for name in made:
        if get_tensor(model, name).is_meta or _is_unfilled(get_tensor(model, name)):
            original = get_tensor(blueprint.twin, name).detach()
            set_tensor(model, name, original.to(device_of(name), copy=True))
    tie(model)


def get_tensor(model: nn.Module, name: str) -> Tensor:
    """The parameter or buffer `name`."""
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    tensor = module._parameters.get(leaf)
    return module.get_buffer(leaf) if tensor is None else tensor


def _unfilled(template: Tensor, device: torch.device) -> Tensor:
    """Memory marked as not yet filled: NaN, which no initialiser writes."""
    tensor = torch.empty_like(template, device=device, requires_grad=False)
    return tensor.fill_(torch.nan) if _can_mark(tensor) else tensor.zero_()


def _can_mark(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dtype.itemsize > 1


def _is_unfilled(tensor: Tensor) -> bool:
    return not _can_mark(tensor) or bool(tensor.isnan().any())


def _initialise(model: nn.Module, made: Mapping[str, Tensor]) -> None:
    """Call torch's and then the model's initialiser on each module that holds a made tensor."""
    touched = {path for name in made for path in _paths(name)}
    owners: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        inherited = owners.get(path.rpartition(".")[0], model)
        owners[path] = module if hasattr(module, "_init_weights") else inherited
    # Children first: a parent may refine what its children's initialisers did.
    for path, module in reversed(list(model.named_modules())):
        if path not in touched:
            continue
        holds = any(name.rpartition(".")[0] == path for name in made)
        if holds and callable(getattr(module, "reset_parameters", None)):
            module.reset_parameters()
        initialise = getattr(owners[path], "_init_weights", None)
        if callable(initialise):
            with torch.no_grad():
                initialise(module)


def _paths(name: str) -> Iterator[str]:
    while name:
        name = name.rpartition(".")[0]
        yield name


def place_computed(model: nn.Module, device_of: DeviceOf, blueprint: Blueprint) -> None:
    """Bring what constructors computed to its device: buffers, parameters, plain tensors.

    What was computed from parameters is still on the meta device: a module restores it in
    ``reset_buffers(device)``; otherwise the blueprint's twin has it.
    """
    for path, module in model.named_modules():
        if any(value.is_meta for _, value in _computed(module)):
            _restore(module, path, device_of, blueprint)
        for leaf, value in _computed(module):
            device = device_of(f"{path}.{leaf}" if path else leaf)
            if value.device != device:
                _set_leaf(module, leaf, value.to(device))


def _restore(module: nn.Module, path: str, device_of: DeviceOf, blueprint: Blueprint) -> None:
    reset = getattr(module, "reset_buffers", None)
    if callable(reset):
        with default_dtype(blueprint.dtype):
            reset(device_of(path))
    for leaf, value in _computed(module):
        if value.is_meta:
            # A module that a quantizer put here has no counterpart; loading ends with that check.
            twin = dict(blueprint.twin.named_modules()).get(path)
            original = getattr(twin, leaf, None)
            if original is not None:
                _set_leaf(module, leaf, original.detach().clone())


def _computed(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Buffers and plain tensor attributes of a module, and parameters that have values."""
    plain = {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
    filled = {name: p for name, p in module._parameters.items() if p is not None and not p.is_meta}
    found = {**module._buffers, **plain, **filled}
    return [(name, value) for name, value in found.items() if value is not None]


def _set_leaf(module: nn.Module, leaf: str, value: Tensor) -> None:
    if leaf in module._buffers:
        module._buffers[leaf] = value
    elif leaf in module._parameters:
        set_tensor(module, leaf, value)
    else:
        setattr(module, leaf, value)
