"""``from_pretrained``: build on the meta device, check, put tensors in place, report.

Nothing is allocated before the shapes in the checkpoint's headers have been compared with the
model's. A tensor that is used as it is stored stays memory-mapped, so a load costs one copy of the
weights at most.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dovetail import mapping
from dovetail.atomic import check_manifest, reading
from dovetail.configs import PretrainedConfig
from dovetail.construction import (
    META,
    Blueprint,
    default_dtype,
    fill_absent,
    get_tensor,
    place_computed,
    set_tensor,
    tie,
)
from dovetail.devices import Placement, dispatch, placement
from dovetail.errors import CheckpointError, ConfigError, MismatchError, near_matches
from dovetail.hub import cached_file
from dovetail.load_options import LoadOptions
from dovetail.loading_report import LoadingReport, without
from dovetail.matching import Matching, expected_tensors, match_tensors, renamed, tied_groups
from dovetail.quantizers import HfQuantizer, quantizer_for
from dovetail.seating import seated
from dovetail.weight_files import locate_weights
from dovetail.weights import BorrowedTensor, Checkpoint, LazyTensor, has_nan, open_checkpoint

GENERATION_CONFIG_NAME = "generation_config.json"


def load_pretrained(
    cls: Any,
    pretrained_model_name_or_path: str | os.PathLike[str] | None,
    *model_args: Any,
    **kwargs: Any,
) -> Any:
    """A model of class `cls` with the weights of a folder, a weights file or a Hub id.

    `kwargs` are those of `LoadOptions`; others change the config, or else go to the model's
    constructor. The model is in evaluation mode. With ``output_loading_info=True`` the result is
    the model and a dict with ``missing_keys``, ``unexpected_keys``, ``mismatched_keys`` and
    ``error_msgs``.

    Raises:
        HubError: the checkpoint cannot be found or fetched.
        CheckpointError: it is damaged, torn or unsafe.
        MismatchError: its tensors do not fit the model.
        ConfigError: an argument or the config cannot be.
    """
    options, rest = LoadOptions.take(kwargs)
    source = pretrained_model_name_or_path
    with _held_still(source, options):
        config, model_kwargs = _resolve_config(cls, source, options, rest)
        checkpoint = _open(source, options, config)
    quantizer = quantizer_for(config, options.requested_quantization)
    load = _Load(cls, config, str(source), checkpoint, options, quantizer)
    model = load.run(model_args, model_kwargs)
    _set_generation_config(model, source, options)
    load.report.announce(unexpected_matter=cls.__name__ in (config.architectures or ()))
    return (model, load.report.as_dict()) if options.output_loading_info else model


def model_from_config(
    cls: Any,
    config: Any,
    *,
    torch_dtype: torch.dtype | str | None = None,
    dtype: torch.dtype | str | None = None,
    attn_implementation: str | Mapping[str, str] | None = None,
    **kwargs: Any,
) -> Any:
    """A model of class `cls` with fresh weights; `config` is copied."""
    config = copy.deepcopy(config)
    if attn_implementation is not None:
        config._attn_implementation = attn_implementation
    requested = torch_dtype if dtype is None else dtype
    with default_dtype(torch.get_default_dtype() if requested is None else parse_dtype(requested)):
        return cls(config, **kwargs)


def parse_dtype(value: torch.dtype | str) -> torch.dtype:
    """A floating-point data type from itself or its name.

    Raises:
        ConfigError: there is no such type, or it is not one that weights can have.
    """
    found = getattr(torch, value.removeprefix("torch."), None) if isinstance(value, str) else value
    if isinstance(found, torch.dtype) and found.is_floating_point:
        return found
    near = near_matches(str(value), ("auto", "float32", "float16", "bfloat16", "float64"))
    raise ConfigError(
        f"torch_dtype={value!r} is no floating-point type of torch.{near} "
        "Use a torch.dtype, its name such as 'bfloat16', or 'auto' for the checkpoint's own."
    )


@contextmanager
def _held_still(source: Any, options: LoadOptions) -> Iterator[None]:
    """While the files of a local checkpoint are opened, no save of ours replaces some of them."""
    folder = Path(source or "", options.subfolder)
    if source is not None and folder.is_dir():
        with reading(folder):
            yield
    else:
        yield


def _resolve_config(
    cls: Any, source: Any, options: LoadOptions, rest: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The config to build with, and the arguments that remain for the model's constructor."""
    if cls.config_class is None:
        raise ConfigError(
            f"{cls.__name__} belongs to no architecture (it has no config_class): use AutoModel or "
            "the class of the checkpoint's architecture."
        )
    if isinstance(options.config, PretrainedConfig):
        config, unused = copy.deepcopy(options.config), rest
    else:
        where = options.config if options.config is not None else _config_source(source)
        config, unused = cls.config_class.from_pretrained(
            where, return_unused_kwargs=True, **options.where, **rest
        )
    if source is not None:
        config.name_or_path = str(source)
    if options.attn_implementation is not None:
        config._attn_implementation = options.attn_implementation
    return config, unused


def _config_source(source: Any) -> Any:
    """A weights file has its config beside it."""
    if source is None:
        raise ConfigError("Give a folder, a file or a Hub id to load from, or config=.")
    return Path(source).parent if os.path.isfile(source) else source


def _open(source: Any, options: LoadOptions, config: Any) -> Checkpoint:
    if options.state_dict is not None:
        return Checkpoint({name: BorrowedTensor(t) for name, t in options.state_dict.items()})
    files = locate_weights(
        source,
        variant=options.variant,
        use_safetensors=options.use_safetensors,
        **_where(source, options, config),
    )
    if os.path.exists(source):
        folder = next(iter(files.paths.values())).parent
        check_manifest(folder, files.names)
    return open_checkpoint(files.paths, files.weight_map)


def _where(source: Any, options: LoadOptions, config: Any) -> dict[str, Any]:
    """How to find further files: at the commit from which the config came."""
    commit = None if os.path.exists(source) else getattr(config, "_commit_hash", None)
    return options.where | ({} if commit is None else {"revision": commit})


class _Load:
    """One load, from an opened checkpoint to a complete model."""

    def __init__(
        self,
        cls: Any,
        config: Any,
        source: str,
        checkpoint: Checkpoint,
        options: LoadOptions,
        quantizer: HfQuantizer | None,
    ) -> None:
        self.cls, self.config, self.options, self.quantizer = cls, config, options, quantizer
        tensors = renamed(checkpoint, options.key_mapping)
        self.tensors = mapping.to_model(tensors, getattr(cls, "weight_mapping", ()), config)
        self.report = LoadingReport(cls.__name__, source)
        self.dtype = self._dtype()

    def run(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Build, check, place, complete."""
        blueprint = Blueprint(self.cls, (self.config, *args), kwargs, self.dtype)
        self.model: Any = blueprint.build()
        self._keep_in_float32()
        self.where = self._prepare()
        expected = expected_tensors(self.model)
        self.groups = tied_groups(expected, _tied_names(self.model))
        self.matching = match_tensors(
            expected, self.tensors, self.groups, _prefixes(self.cls, self.config)
        )
        self.state = _LazyState(self.tensors, self.matching)
        self.claimed = self._claimed()
        absent = self._absent()
        self._check(absent)
        unfit = [name for name, _, _ in self.report.mismatched]
        unfilled = [names for names in self.groups if {*absent, *unfit} & set(names)]
        fill_absent(self.model, unfilled, self.where.device_of, blueprint)
        self._place(skipped=unfit)
        place_computed(self.model, self.where.device_of, blueprint)
        return self._finish()

    def _dtype(self) -> torch.dtype:
        requested = self.options.requested_dtype
        if self.quantizer is not None:
            self.quantizer.validate_environment(
                torch_dtype=requested, device_map=self.options.device_map
            )
        if requested == "auto":
            requested = self.config.torch_dtype or _first_dtype(self.tensors.values())
        dtype = None if requested is None else parse_dtype(requested)
        if self.quantizer is not None:
            dtype = self.quantizer.update_torch_dtype(dtype)
        return torch.get_default_dtype() if dtype is None else dtype

    def _keep_in_float32(self) -> None:
        """Some modules overflow in float16 and say so."""
        kept = getattr(self.cls, "_keep_in_fp32_modules", None) or ()
        always = self.quantizer is not None and self.quantizer.use_keep_in_fp32_modules
        if self.dtype == torch.float16 or always:
            for name, parameter in self.model.named_parameters():
                if any(part in name.split(".") for part in kept):
                    parameter.data = parameter.data.float()

    def _prepare(self) -> Placement:
        """Let the quantizer change the model, then decide what goes where."""
        device_map, limits = self.options.device_map, self.options.max_memory
        dtype = self.dtype
        if self.quantizer is not None:
            device_map = self.quantizer.update_device_map(device_map)
            limits = self.quantizer.adjust_max_memory(limits)
            dtype = self.quantizer.adjust_target_dtype(dtype)
            kept = list(getattr(self.cls, "_keep_in_fp32_modules", None) or ())
            self.quantizer.preprocess_model(
                self.model, device_map=device_map, keep_in_fp32_modules=kept
            )
            self.model.hf_quantizer = self.quantizer
            tie(self.model)
        return placement(device_map, self.model, dtype=dtype, max_memory=limits)

    def _claimed(self) -> set[str]:
        """Names of tensors that the quantizer places itself."""
        if self.quantizer is None:
            return set()
        return {
            name
            for name, tensor in self.matching.found.items()
            if self.quantizer.check_quantized_param(
                self.model,
                torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"),
                name,
                self.state,
            )
        }

    def _absent(self) -> list[str]:
        if self.quantizer is None:
            return self.matching.absent
        prefix = getattr(self.model, "base_model_prefix", "")
        return self.quantizer.update_missing_keys(self.model, list(self.matching.absent), prefix)

    def _check(self, absent: list[str]) -> None:
        """Compare names and shapes, before anything is read."""
        report, cls, matching = self.report, self.cls, self.matching
        report.mismatched = [item for item in matching.mismatched if item[0] not in self.claimed]
        fitting = len(matching.found) - len(report.mismatched)
        if self.tensors and not fitting and self.options.state_dict is None:
            raise MismatchError(self._fits_nothing())
        report.missing = without(absent, getattr(cls, "_keys_to_ignore_on_load_missing", None))
        report.unexpected = without(
            matching.unexpected, getattr(cls, "_keys_to_ignore_on_load_unexpected", None)
        )
        if self.quantizer is not None:
            report.unexpected = self.quantizer.update_unexpected_keys(self.model, report.unexpected)
        if not self.options.ignore_mismatched_sizes:
            report.raise_for_sizes()
        report.conflicting = matching.conflicts()

    def _fits_nothing(self) -> str:
        unfit = [name for name, _, _ in self.report.mismatched]
        held = ", ".join(list(self.tensors)[:3])
        wanted = ", ".join((self.matching.absent or unfit)[:3])
        said = ", ".join(self.config.architectures or ()) or "unknown"
        return (
            f"{self.report.source}: none of its {len(self.tensors)} tensors fits "
            f"{self.cls.__name__} (it holds {held} ..., the model wants {wanted} ...). "
            f"It was saved by: {said}. "
            "Load it with its own class or AutoModel, or translate names with key_mapping=."
        )

    def _place(self, skipped: list[str]) -> None:
        """Put each tensor of the checkpoint where it belongs."""
        guests = {names[0]: names[1:] for names in self.groups}
        hosts = {guest: host for host, others in guests.items() for guest in others}
        targets = expected_tensors(self.model)
        plain = {
            name: source
            for name, source in self.matching.found.items()
            if name not in self.claimed and name not in skipped
        }
        places = seated(self.model, plain, targets, self.where.device_of, hosts)
        used: set[int] = set()
        for name, source in self.matching.found.items():
            if name in self.claimed:
                self._quantize(name, source)
            elif name in plain:
                tensor = places.get(name)
                if tensor is None:
                    device = self.where.device_of(name)
                    tensor = source.to(targets[name].dtype, device).contiguous()
                if has_nan(tensor) if name in places else source.has_nan(tensor):
                    self.report.with_nan.append(name)
                # Pickles may hold one memory under several names which this model does not tie.
                tensor = tensor.clone() if tensor.data_ptr() in used else tensor
                used.add(tensor.data_ptr())
                set_tensor(self.model, name, tensor)
                for guest in guests.get(name, ()):
                    set_tensor(self.model, guest, get_tensor(self.model, name))

    def _quantize(self, name: str, source: LazyTensor) -> None:
        quantizer: Any = self.quantizer
        value = source.read()
        if has_nan(value):
            self.report.with_nan.append(name)
        is_plain = value.is_floating_point() and value.element_size() > 1
        if is_plain and not quantizer.pre_quantized:
            value = value.to(self.dtype)
        device = self.where.device_of(name)
        quantizer.create_quantized_param(
            self.model, value, name, device, self.state, self.report.unexpected
        )

    def _finish(self) -> Any:
        model, options = self.model, self.options
        tie(model)
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        left = [name for name, tensor in tensors.items() if tensor.is_meta]
        if left and self.where.single != META:
            raise CheckpointError(
                f"{self.report.source}: nothing filled {', '.join(left[:5])}. The checkpoint lacks "
                "them and the quantizer or model makes no values for them."
            )
        if options.strict:
            self.report.raise_for_differences()
        if self.quantizer is not None:
            self.quantizer.postprocess_model(model)
        if options.device_map is not None:
            folder = options.offload_folder
            dispatch(
                model,
                self.where,
                offload_folder=None if folder is None else os.fspath(folder),
                offload_buffers=options.offload_buffers,
            )
        return model.eval()


class _LazyState(Mapping[str, Tensor]):
    """The checkpoint's tensors by the model's names (by their own, where they fit nowhere)."""

    def __init__(self, tensors: Mapping[str, LazyTensor], matching: Matching) -> None:
        self._tensors = {name: tensors[name] for name in matching.unexpected if name in tensors}
        self._tensors |= matching.found

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name].get()

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _prefixes(cls: type, config: Any) -> list[str]:
    """Under which names the classes of an architecture keep its body.

    Those of this class, which come first, of its parents, and of the class it was saved from.
    """
    module = sys.modules.get(cls.__module__)
    saved_from = [getattr(module, name, None) for name in config.architectures or ()]
    found = [getattr(one, "base_model_prefix", None) for one in (*cls.__mro__, *saved_from)]
    return list(dict.fromkeys(prefix for prefix in found if prefix))


def _tied_names(model: Any) -> list[str]:
    """Names, or patterns of names, of parameters that are guests of another."""
    tied_weights = getattr(model, "tied_weights", None)
    return list(tied_weights() if callable(tied_weights) else model._tied_weights_keys or ())


def _first_dtype(tensors: Any) -> torch.dtype | None:
    return next((tensor.dtype for tensor in tensors if tensor.dtype.is_floating_point), None)


def _set_generation_config(model: Any, source: Any, options: LoadOptions) -> None:
    if not hasattr(model, "generation_config"):
        return
    if options.generation_config is not None:
        model.generation_config = copy.deepcopy(options.generation_config)
        return
    if source is None or os.path.isfile(source):
        return
    where = _where(source, options, model.config)
    found = cached_file(source, GENERATION_CONFIG_NAME, raise_on_missing=False, **where)
    if found is not None:
        folder, name = os.path.split(found)
        model.generation_config = type(model.generation_config).from_pretrained(folder, name)
