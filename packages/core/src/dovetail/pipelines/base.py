"""The protocol of a pipeline, ``_sanitize_parameters → preprocess → _forward → postprocess``, and
what runs it.

A task subclasses `Pipeline` (one input, one forward pass) or `ChunkPipeline` (one input, several
forward passes) and writes those four methods. This module adds everything else: batching,
iterators, workers, devices, saving.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dovetail import logging
from dovetail.errors import DovetailError, PipelineError
from dovetail.pipelines.batching import (
    Item,
    PadCollate,
    ResultIterator,
    chunk_by_chunk,
    first_item,
    groups,
    items_of,
    length_of,
    one_by_one,
    unbatch,
    worker_batches,
)
from dovetail.pipelines.placement import moved, place, target_device
from dovetail.processors import BaseImageProcessor
from dovetail.pushing import UPLOAD_OPTIONS, PushToHubMixin

logger = logging.get_logger(__name__)

GenericTensor = list["GenericTensor"] | Tensor
"""What `preprocess` may return per key: nested lists or a tensor."""

Parameters = dict[str, Any]
Stages = tuple[Parameters, Parameters, Parameters]
"""Arguments of `preprocess`, `_forward` and `postprocess`."""

CALLS_BEFORE_GPU_HINT = 10


class PipelineException(DovetailError, RuntimeError):
    """An input that a task cannot handle, with the task and the model it went to."""

    def __init__(self, task: str, model: str, reason: str) -> None:
        super().__init__(reason)
        self.task = task
        self.model = model


class ArgumentHandler(ABC):
    """Turns the many ways to call a pipeline into one list of inputs."""

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The inputs, from whatever the caller passed."""


class Pipeline(ABC, PushToHubMixin):
    """Raw input to readable result through one model.

    `model` is put into evaluation mode on `device` (default: where it is). ``batch_size`` and
    ``num_workers`` among `kwargs` are defaults for every call; the rest goes to
    `_sanitize_parameters`, whose three dictionaries reach `preprocess`, `_forward` and
    `postprocess` of every call.
    """

    _load_processor: ClassVar[bool] = False
    _load_image_processor: ClassVar[bool] = True
    _load_feature_extractor: ClassVar[bool] = True
    _load_tokenizer: ClassVar[bool] = True
    default_input_names: ClassVar[str | None] = None

    draw: ClassVar[Callable[..., Any] | None] = None
    """A method ``draw(inputs, result)`` that returns a PIL image of a result, for ``dovetail run
    --save``; None where results are no picture."""

    batch_padding_side: ClassVar[str | None] = None
    """The side on which batches are padded; None leaves it to the tokenizer or feature
    extractor."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any = None,
        feature_extractor: Any = None,
        image_processor: Any = None,
        processor: Any = None,
        modelcard: Any = None,
        framework: str | None = None,
        task: str = "",
        args_parser: ArgumentHandler | None = None,
        device: int | str | torch.device | None = None,
        torch_dtype: str | torch.dtype | None = None,
        binary_output: bool = False,
        **kwargs: Any,
    ) -> None:
        if framework not in (None, "pt"):
            raise PipelineError(
                f"framework={framework!r}: Dovetail runs PyTorch models only ('pt')."
            )
        self.framework = "pt"
        self.task = task
        self.tokenizer = tokenizer
        self.feature_extractor = feature_extractor
        self.image_processor = image_processor or _as_image_processor(feature_extractor)
        self.processor = processor
        self.modelcard = modelcard
        self.binary_output = binary_output
        if args_parser is not None:
            self._args_parser = args_parser
        self.device = target_device(model, device)
        self.model: Any = place(model, self.device, torch_dtype)
        self.call_count = 0
        self._batch_size: int | None = kwargs.pop("batch_size", None)
        self._num_workers: int | None = kwargs.pop("num_workers", None)
        self._adopt_task_defaults()
        parameters = self._sanitize_parameters(**kwargs)
        self._preprocess_params, self._forward_params, self._postprocess_params = parameters

    def _adopt_task_defaults(self) -> None:
        """Take the model's ``task_specific_params`` for this task, and a padding id that only the
        tokenizer knows."""
        config: Any = getattr(self.model, "config", None)
        generation: Any = getattr(self.model, "generation_config", None)
        generates = generation is not None and self.model.can_generate()
        specific = (getattr(config, "task_specific_params", None) or {}).get(self.task)
        if specific:
            config.update(specific)
            if generates:
                generation.update(**specific)
        pad = getattr(self.tokenizer, "pad_token_id", None)
        if generates and generation.pad_token_id is None and pad is not None:
            generation.pad_token_id = pad

    # What a task writes.

    @abstractmethod
    def _sanitize_parameters(self, **pipeline_parameters: Any) -> Stages:
        """Sort the arguments of the constructor or of a call into those of preprocess, _forward
        and postprocess."""

    @abstractmethod
    def preprocess(self, input_: Any, **preprocess_parameters: Any) -> Any:
        """One raw input to a mapping of tensors with a leading dimension of 1 (a chunk pipeline
        yields several)."""

    @abstractmethod
    def _forward(self, input_tensors: Any, **forward_parameters: Any) -> Any:
        """Run the model on what `preprocess` returned, possibly a batch of it, already on the
        right device."""

    @abstractmethod
    def postprocess(self, model_outputs: Any, **postprocess_parameters: Any) -> Any:
        """The result for one input from its part of `_forward`'s output."""

    # Running.

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        num_workers: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """The result for one input, a list of results for a list, an iterator for a dataset or
        generator.

        Raises `PipelineError` for a batch size or worker count that cannot be.
        """
        if args:
            logger.warning("%s ignores the positional arguments %s.", type(self).__name__, args)
        num_workers = _first_given(num_workers, self._num_workers, 0)
        batch_size = _first_given(batch_size, self._batch_size, 1)
        _check_counts(num_workers, batch_size)
        stages = [
            {**defaults, **given}
            for defaults, given in zip(
                self._default_params(), self._sanitize_parameters(**kwargs), strict=True
            )
        ]
        self._hint_at_batching()
        if isinstance(inputs, list):
            return (
                list(self.get_iterator(inputs, num_workers, batch_size, *stages)) if inputs else []
            )
        if isinstance(inputs, Dataset | Iterator):
            return self.get_iterator(inputs, num_workers, batch_size, *stages)
        return self._run_one(inputs, batch_size, *stages)

    def _default_params(self) -> Stages:
        return self._preprocess_params, self._forward_params, self._postprocess_params

    def _hint_at_batching(self) -> None:
        self.call_count += 1
        if self.call_count == CALLS_BEFORE_GPU_HINT + 1 and self.device.type == "cuda":
            logger.warning(
                "This pipeline was called %d times on a GPU. A list, dataset or generator of "
                "inputs with batch_size=... keeps the GPU busier.",
                CALLS_BEFORE_GPU_HINT,
            )

    def _run_one(
        self,
        inputs: Any,
        batch_size: int,
        preprocess_params: Parameters,
        forward_params: Parameters,
        postprocess_params: Parameters,
    ) -> Any:
        return self.run_single(inputs, preprocess_params, forward_params, postprocess_params)

    def run_single(
        self,
        inputs: Any,
        preprocess_params: Parameters,
        forward_params: Parameters,
        postprocess_params: Parameters,
    ) -> Any:
        """The result for one input."""
        model_inputs = self.preprocess(inputs, **preprocess_params)
        model_outputs = self.forward(model_inputs, **forward_params)
        return self.postprocess(model_outputs, **postprocess_params)

    def run_multi(
        self,
        inputs: Iterable[Any],
        preprocess_params: Parameters,
        forward_params: Parameters,
        postprocess_params: Parameters,
    ) -> list[Any]:
        """The results for several inputs, one forward pass each."""
        return list(self.iterate(inputs, preprocess_params, forward_params, postprocess_params))

    def iterate(
        self,
        inputs: Iterable[Any],
        preprocess_params: Parameters,
        forward_params: Parameters,
        postprocess_params: Parameters,
    ) -> Iterator[Any]:
        """`run_multi`, lazily."""
        for item in inputs:
            yield self.run_single(item, preprocess_params, forward_params, postprocess_params)

    def get_iterator(
        self,
        inputs: Any,
        num_workers: int,
        batch_size: int,
        preprocess_params: Parameters,
        forward_params: Parameters,
        postprocess_params: Parameters,
    ) -> ResultIterator:
        """Results in the order of `inputs`, computed a batch at a time as they are asked for."""
        prepared = self._load(inputs, num_workers, batch_size, preprocess_params)
        outputs = self._outputs(prepared, batch_size, forward_params)
        postprocess = partial(self.postprocess, **postprocess_params)
        return ResultIterator(map(postprocess, self._grouped(outputs)), length_of(inputs))

    _chunked: ClassVar[bool] = False

    def preprocess_many(self, inputs: list[Any], **preprocess_parameters: Any) -> Item | None:
        """A batch of raw inputs prepared and padded at once; None leaves them to `preprocess`.

        For tasks whose tokenizer is faster on many texts than on each. Not used by a subclass that
        overrides `preprocess` alone.
        """
        return None

    def _load(
        self,
        inputs: Any,
        num_workers: int,
        batch_size: int,
        preprocess_params: Parameters,
    ) -> Iterable[tuple[int, Item]]:
        """(number of items, batch) after `preprocess`."""
        # Through Any: of ** arguments mypy assumes that they fill the first parameter too.
        one: Any = self.preprocess
        several: Any = self.preprocess_many
        prepare = partial(one, **preprocess_params)
        collate = first_item if batch_size == 1 else self._collate()
        if num_workers > 0:
            return worker_batches(
                inputs,
                prepare,
                chunked=self._chunked,
                num_workers=num_workers,
                batch_size=batch_size,
                collate=collate,
            )
        if batch_size > 1 and self._prepares_many:
            many = partial(several, **preprocess_params)
            return (
                (len(group), prepared or collate([prepare(item) for item in group]))
                for group in groups(items_of(inputs), batch_size)
                for prepared in [many(group)]
            )
        items = (chunk_by_chunk if self._chunked else one_by_one)(inputs, prepare)
        return ((len(group), collate(group)) for group in groups(items, batch_size))

    @cached_property
    def _prepares_many(self) -> bool:
        """Whether `preprocess_many` is at least as derived as `preprocess`."""
        owner: dict[str, type] = {}
        for cls in reversed(type(self).__mro__):
            owner |= {name: cls for name in ("preprocess", "preprocess_many") if name in vars(cls)}
        many = owner["preprocess_many"]
        return many is not Pipeline and issubclass(many, owner["preprocess"])

    def _outputs(
        self, prepared: Iterable[tuple[int, Item]], batch_size: int, forward_params: Parameters
    ) -> Iterator[Any]:
        """The output of `forward` per prepared item."""
        for size, batch in prepared:
            output = self.forward(batch, **forward_params)
            if batch_size == 1:
                yield output
            else:
                yield from unbatch(output, size)

    def _grouped(self, outputs: Iterator[Any]) -> Iterator[Any]:
        """What each call of `postprocess` receives."""
        return outputs

    def _collate(self) -> PadCollate:
        """How prepared items become a batch: the values and the side of padding.

        Raises `PipelineError` when the tokenizer has no padding token.
        """
        values: dict[str, float] = {"p_mask": 1, "special_tokens_mask": 1}
        side = "right"
        if self.feature_extractor is not None:
            side = getattr(self.feature_extractor, "padding_side", side)
            value = getattr(self.feature_extractor, "padding_value", None) or 0.0
            values |= {"input_values": value, "input_features": value}
        if self.tokenizer is not None:
            side = self.tokenizer.padding_side
            if self.tokenizer.pad_token_id is None:
                raise PipelineError(
                    "batch_size > 1 needs a padding token, and the tokenizer of this "
                    f"{self.task or 'pipeline'!r}"
                    " pipeline has none. Set one, for instance "
                    "pipe.tokenizer.pad_token = pipe.tokenizer.eos_token, or use batch_size=1."
                )
            values["input_ids"] = self.tokenizer.pad_token_id
            values["token_type_ids"] = getattr(self.tokenizer, "pad_token_type_id", 0)
        return PadCollate(values, self.batch_padding_side or side)

    # Devices.

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The type of the model's weights."""
        return getattr(self.model, "dtype", None)

    def device_placement(self) -> AbstractContextManager[Any]:
        """A context in which CUDA allocations go to the pipeline's device."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def ensure_tensor_on_device(self, **inputs: Any) -> dict[str, Any]:
        """All tensors among `inputs`, however nested, on the pipeline's device."""
        return self._ensure_tensor_on_device(inputs, self.device)

    def _ensure_tensor_on_device(self, inputs: Any, device: torch.device) -> Any:
        return moved(inputs, device)

    def get_inference_context(self) -> Callable[[], AbstractContextManager[Any]]:
        """The context manager around every forward pass.

        Not `torch.inference_mode`: tensors that a caller asks for (``return_tensors=True``) stay
        usable in autograd.
        """
        return torch.no_grad

    def forward(self, model_inputs: Any, **forward_params: Any) -> Any:
        """`_forward` without gradients: inputs on the pipeline's device, outputs on the host."""
        with self.device_placement(), self.get_inference_context()():
            if self.device.type == "cpu":
                return self._forward(model_inputs, **forward_params)
            inputs = self._ensure_tensor_on_device(model_inputs, device=self.device)
            outputs = self._forward(inputs, **forward_params)
            return self._ensure_tensor_on_device(outputs, device=torch.device("cpu"))

    @cached_property
    def _without_cache(self) -> dict[str, bool]:
        """``use_cache=False`` for models that take it: what a single forward pass does not need is
        not kept."""
        parameters = inspect.signature(self.model.forward).parameters
        return {"use_cache": False} if "use_cache" in parameters else {}

    # Conveniences.

    def transform(self, X: Any) -> Any:
        """Scikit-learn's name for calling the pipeline."""
        return self(X)

    def predict(self, X: Any) -> Any:
        """Scikit-learn's name for calling the pipeline."""
        return self(X)

    def check_model_type(self, supported_models: Iterable[str] | Mapping[Any, Any]) -> None:
        """Log an error when the model's class is not among `supported_models` (names, or a mapping
        to names or classes)."""
        values = (
            supported_models.values() if isinstance(supported_models, Mapping) else supported_models
        )
        names: set[str] = set()
        for value in values:
            group = value if isinstance(value, tuple) else (value,)
            names |= {str(getattr(entry, "__name__", entry)) for entry in group}
        name = type(self.model).__name__
        if name not in names:
            logger.error(
                "The model %r is not made for the task %r; these are: %s.",
                name,
                self.task,
                sorted(names),
            )

    def save_pretrained(
        self, save_directory: str | Path, safe_serialization: bool = True, **kwargs: Any
    ) -> None:
        """Write the model, its tokenizer and its processors into one folder, from which
        ``pipeline(task, folder)`` loads.

        `kwargs` go to the model's `save_pretrained`; with ``push_to_hub=True`` the folder is
        uploaded, see `push_to_hub` for the arguments.
        """
        from dovetail.pipelines.registry import record_custom_tasks

        upload = {name: kwargs.pop(name) for name in UPLOAD_OPTIONS if name in kwargs}
        push_to_hub = kwargs.pop("push_to_hub", False)
        folder = Path(save_directory)
        if folder.is_file():
            raise PipelineError(f"{folder} is a file: save_pretrained needs a folder.")
        folder.mkdir(parents=True, exist_ok=True)
        record_custom_tasks(self, folder)
        self.model.save_pretrained(folder, safe_serialization=safe_serialization, **kwargs)
        for part in self._saved_parts():
            part.save_pretrained(folder)
        if push_to_hub:
            self._upload_folder(folder, **upload)

    def _saved_parts(self) -> list[Any]:
        parts = (
            self.tokenizer,
            self.feature_extractor,
            None if self.image_processor is self.feature_extractor else self.image_processor,
            self.processor,
            self.modelcard,
        )
        return [part for part in parts if part is not None]


class ChunkPipeline(Pipeline):
    """A pipeline whose `preprocess` yields several chunks per input, the last marked
    ``is_last=True``.

    `_forward` passes ``is_last`` on; `postprocess` receives the list of all chunks' outputs.
    Chunks of different inputs share batches.
    """

    _chunked = True

    def _run_one(
        self,
        inputs: Any,
        batch_size: int,
        preprocess_params: Parameters,
        forward_params: Parameters,
        postprocess_params: Parameters,
    ) -> Any:
        return next(
            self.get_iterator(
                [inputs], 0, batch_size, preprocess_params, forward_params, postprocess_params
            )
        )

    def run_single(
        self,
        inputs: Any,
        preprocess_params: Parameters,
        forward_params: Parameters,
        postprocess_params: Parameters,
    ) -> Any:
        """The result for one input, one forward pass per chunk."""
        chunks = self.preprocess(inputs, **preprocess_params)
        outputs = [self.forward(chunk, **forward_params) for chunk in chunks]
        return self.postprocess(outputs, **postprocess_params)

    def _grouped(self, outputs: Iterator[Any]) -> Iterator[list[Any]]:
        group: list[Any] = []
        for output in outputs:
            is_last = output.pop("is_last")
            group.append(output)
            if is_last:
                yield group
                group = []


def _first_given(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _check_counts(num_workers: int, batch_size: int) -> None:
    if batch_size < 1:
        raise PipelineError(f"batch_size={batch_size}: it must be at least 1.")
    if num_workers < 0:
        raise PipelineError(f"num_workers={num_workers}: it must be 0 (this process) or more.")


def _as_image_processor(feature_extractor: Any) -> Any:
    """Old checkpoints of vision models call their image processor a feature extractor."""
    return feature_extractor if isinstance(feature_extractor, BaseImageProcessor) else None
