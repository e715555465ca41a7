"""Building a model without memory, and filling what a checkpoint does not bring.

A model is built on the meta device: names and shapes without storage. Loading then puts tensors in
place one by one. What remains is made here: newly initialised parameters, and buffers that are
computed rather than stored.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

META = torch.device("meta")

DeviceOf = Callable[[str], torch.device]
"""The device on which the tensor of that name is to live."""


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New floating-point tensors are of `dtype` inside."""
    previous = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(previous)


@contextmanager
def no_initialisation() -> Iterator[None]:
    """The functions of `torch.nn.init` leave tensors as they are inside."""
    with ExitStack() as stack:
        for name in dir(nn.init):
            if name.endswith("_") and not name.startswith("_"):
                stack.enter_context(mock.patch.object(nn.init, name, _untouched))
        yield


def _untouched(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return tensor


class Blueprint:
    """How to build a model: its class, arguments and data type.

    `build` makes it on the meta device. `twin` is a second one in memory, made only when something
    must be copied from it: values that a constructor computes and nothing else can restore.
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
        """The model on the meta device, tied."""
        with default_dtype(self.dtype):
            try:
                with META:
                    model = self.cls(*self.args, **self.kwargs)
            except (NotImplementedError, RuntimeError) as error:
                # A constructor that reads values (`.item()`) needs real tensors.
                if "meta" not in str(error).lower():
                    raise
                model = self.twin.to(META)
                del self.twin
        tie(model)
        return model

    @functools.cached_property
    def twin(self) -> nn.Module:
        """The model in memory, its large parameters unfilled (and so without physical memory)."""
        with ExitStack() as stack:
            stack.enter_context(default_dtype(self.dtype))
            stack.enter_context(torch.random.fork_rng(devices=[]))
            stack.enter_context(no_initialisation())
            stack.enter_context(torch.device("cpu"))
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
    whole module cannot overwrite one of them.
    """
    made: dict[str, Tensor] = {}
    for names in groups:
        template = _tensor(model, names[0])
        tensor = _unfilled(template, device_of(names[0]))
        set_tensor(model, names[0], tensor)
        made[names[0]] = placed = _tensor(model, names[0])
        for name in names[1:]:
            _share(model, name, placed)
    _initialise(model, made)
    for name in made:
        value = _tensor(model, name)
        if value.is_meta or _is_unfilled(value):
            original = _tensor(blueprint.twin, name).detach()
            set_tensor(model, name, original.to(device_of(name)).clone())
    tie(model)


def _share(model: nn.Module, name: str, tensor: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    if isinstance(tensor, nn.Parameter):
        setattr(module, leaf, tensor)
    else:
        module._buffers[leaf] = tensor


def _tensor(model: nn.Module, name: str) -> Tensor:
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    tensor = module._parameters.get(leaf)
    if tensor is None:
        tensor = module._buffers[leaf]
    return tensor


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


def rebuild_buffers(model: nn.Module, device_of: DeviceOf, blueprint: Blueprint) -> None:
    """Compute the buffers (and other tensors) that no checkpoint stores and meta does not hold.

    A module restores its own in ``reset_buffers(device)``; for others the constructor's values are
    copied from the blueprint's twin.
    """
    for path, module in model.named_modules():
        if not _meta_leaves(module):
            continue
        reset = getattr(module, "reset_buffers", None)
        if callable(reset):
            first = _meta_leaves(module)[0]
            with default_dtype(blueprint.dtype):
                reset(device_of(f"{path}.{first}" if path else first))
        for leaf in _meta_leaves(module):
            _copy_leaf(module, blueprint.twin.get_submodule(path), leaf, device_of, path)


def _meta_leaves(module: nn.Module) -> list[str]:
    """Names of buffers and of plain tensor attributes that are still on the meta device."""
    plain = {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
    return [name for name, value in {**module._buffers, **plain}.items() if _is_meta(value)]


def _is_meta(value: Tensor | None) -> bool:
    return value is not None and value.is_meta


def _copy_leaf(
    module: nn.Module, twin: nn.Module, leaf: str, device_of: DeviceOf, path: str
) -> None:
    value = getattr(twin, leaf).detach().clone()
    value = value.to(device_of(f"{path}.{leaf}" if path else leaf))
    if leaf in module._buffers:
        module._buffers[leaf] = value
    else:
        setattr(module, leaf, value)
