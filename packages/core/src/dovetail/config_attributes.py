"""What every config says in a way of its own: data type, labels, origin, rotary, attention."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail import config_rope
from dovetail.config_declared import Declared
from dovetail.config_fields import LabelCount, fit
from dovetail.config_values import dtype_name, integer_keys
from dovetail.logging import get_logger

if TYPE_CHECKING:
    import torch

logger = get_logger(__name__)


class Attributes(Declared, keywords_only=True):
    """Attributes of configs that are more than a stored value."""

    sub_configs: ClassVar[Mapping[str, Any]] = {}
    default_num_labels: ClassVar[int] = 2
    return_dict: bool
    torchscript: bool
    id2label: dict[int, Any]
    label2id: dict[Any, Any]

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The data type of the checkpoint; set it by ``torch.dtype`` or by name."""
        name = self.__dict__.get("torch_dtype")
        if name is None:
            return None
        import torch

        return getattr(torch, name)

    @torch_dtype.setter
    def torch_dtype(self, value: torch.dtype | str | None) -> None:
        self.__dict__["torch_dtype"] = dtype_name(value)

    @property
    def dtype(self) -> torch.dtype | None:
        """`torch_dtype` under its newer name."""
        return self.torch_dtype

    @dtype.setter
    def dtype(self, value: torch.dtype | str | None) -> None:
        self.torch_dtype = value

    @property
    def name_or_path(self) -> str:
        """The folder or Hub id this config was loaded from."""
        return self.__dict__.get("_name_or_path", "")

    @name_or_path.setter
    def name_or_path(self, value: str | os.PathLike[str]) -> None:
        self.__dict__["_name_or_path"] = str(value)

    @property
    def use_return_dict(self) -> bool:
        """Whether models return `ModelOutput` rather than tuples."""
        return self.return_dict and not self.torchscript

    @property
    def num_labels(self) -> int:
        """How many classes a head tells apart; setting another number renames the labels."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, value: int) -> None:
        count = fit(value, LabelCount, owner=type(self).__name__, key="num_labels")
        if self.__dict__.get("id2label") is None or len(self.id2label) != count:
            self.id2label = {index: f"LABEL_{index}" for index in range(count)}
            self.label2id = {label: index for index, label in self.id2label.items()}

    @property
    def rope_parameters(self) -> dict[str, Any]:
        """``rope_theta`` and ``rope_scaling`` in one object, as the 5.x releases have them."""
        if "rope_parameters" in self.__dict__:
            return self.__dict__["rope_parameters"]
        if not hasattr(self, "rope_theta"):
            raise AttributeError(
                f"{type(self).__name__} has no rotary embedding, so no 'rope_parameters'"
            )
        return config_rope.combined(self)

    @rope_parameters.setter
    def rope_parameters(self, value: dict[str, Any] | None) -> None:
        changed = {"rope_parameters": value}
        config_rope.adopt(changed, self._known())
        own = changed.pop("rope_parameters", None)
        if own is not None or not changed:
            self.__dict__["rope_parameters"] = own
        for name, part in changed.items():
            setattr(self, name, part)

    @property
    def _attn_implementation(self) -> Any:
        return self.__dict__.get("_attn_implementation_internal")

    @_attn_implementation.setter
    def _attn_implementation(self, value: str | Mapping[str, str] | None) -> None:
        """One name for the whole model, or ``{"": ..., "text_config": ...}`` for its parts."""
        parts = value if isinstance(value, Mapping) else {}
        self.__dict__["_attn_implementation_internal"] = parts.get("") if parts else value
        for name in type(self).sub_configs:
            part = getattr(self, name, None)
            wanted = parts.get(name, parts.get("")) if parts else value
            if isinstance(part, Attributes) and wanted is not None:
                part._attn_implementation = wanted

    def _set_labels(self, values: dict[str, Any]) -> None:
        id2label, label2id = values.pop("id2label", None), values.pop("label2id", None)
        num_labels = values.pop("num_labels", None)
        if id2label is None:
            self.num_labels = self.default_num_labels if num_labels is None else num_labels
            if label2id is not None:
                self.label2id = self._object(label2id, "label2id")
            return
        self.id2label = integer_keys(
            self._object(id2label, "id2label"), type(self).__name__, "id2label"
        )
        reverse = {label: index for index, label in self.id2label.items()}
        self.label2id = reverse if label2id is None else self._object(label2id, "label2id")
        if num_labels is not None and num_labels != len(self.id2label):
            logger.warning(
                "%s: num_labels=%s but id2label names %d labels; num_labels is ignored.",
                type(self).__name__,
                num_labels,
                len(self.id2label),
            )

    def _object(self, value: Any, key: str) -> dict[Any, Any]:
        return fit(value, dict[Any, Any], owner=type(self).__name__, key=key)
