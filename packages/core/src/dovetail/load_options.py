"""The keyword arguments of ``from_pretrained``, sorted from the config's and the model's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from dovetail.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dovetail.configs import PretrainedConfig

IGNORED = (
    "low_cpu_mem_usage",
    "offload_state_dict",
    "resume_download",
    "proxies",
    "mirror",
    "adapter_kwargs",
    "adapter_name",
    "use_flash_attention_2",
    "code_revision",
    "_fast_init",
    "_from_auto",
    "_from_pipeline",
    "_commit_hash",
)
"""Arguments of the field that ask for what happens anyway, or for what is chosen otherwise."""

REFUSED: Mapping[str, tuple[Any, str]] = {
    "from_tf": (False, "TensorFlow weights are not read: convert them to safetensors"),
    "from_flax": (False, "Flax weights are not read: convert them to safetensors"),
    "gguf_file": (None, "GGUF files are not read: use the safetensors checkpoint"),
    "weights_only": (True, "unpickling whatever a file holds can run its code and is never done"),
}
"""Arguments that are accepted with one value only, and why."""


@dataclass(kw_only=True)
class LoadOptions:
    """The arguments of ``from_pretrained`` which are neither the config's nor the model's.

    * Where from: `cache_dir`, `force_download`, `local_files_only`, `token`, `revision`,
      `subfolder`, `variant` (``model.VARIANT.safetensors``), `use_safetensors` (None: prefer).
    * What: `config` in place of the checkpoint's, `state_dict` in place of its weights,
      `key_mapping` (regular expression to replacement, on tensor names), `generation_config`.
    * How: `torch_dtype` or `dtype` (a data type, its name, or ``"auto"`` for the checkpoint's own;
      torch's default otherwise), `attn_implementation`, `quantization_config`.
    * Whereto: `device_map`, `max_memory`, `offload_folder`, `offload_buffers` (`dovetail.devices`).
    * What to accept: `ignore_mismatched_sizes`, `strict` (no missing, no unexpected tensor),
      `output_loading_info` (return the report as well), `trust_remote_code` (used by auto classes).
    """

    cache_dir: str | os.PathLike[str] | None = None
    force_download: bool = False
    local_files_only: bool = False
    token: str | bool | None = None
    use_auth_token: str | bool | None = None
    revision: str | None = "main"
    subfolder: str = ""
    variant: str | None = None
    use_safetensors: bool | None = None
    config: PretrainedConfig | str | os.PathLike[str] | None = None
    state_dict: Mapping[str, Tensor] | None = None
    key_mapping: Mapping[str, str] | None = None
    generation_config: Any = None
    torch_dtype: torch.dtype | str | None = None
    dtype: torch.dtype | str | None = None
    attn_implementation: str | Mapping[str, str] | None = None
    quantization_config: Any = None
    load_in_8bit: bool = False
    load_in_4bit: bool = False
    device_map: Any = None
    max_memory: Mapping[Any, Any] | None = None
    offload_folder: str | os.PathLike[str] | None = None
    offload_buffers: bool = False
    ignore_mismatched_sizes: bool = False
    strict: bool = False
    output_loading_info: bool = False
    trust_remote_code: bool | None = None

    @classmethod
    def take(cls, kwargs: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """The options among `kwargs`, and the rest.

        Raises:
            ConfigError: an argument has an unsupported value, or two contradict each other.
        """
        rest = {name: value for name, value in kwargs.items() if name not in IGNORED}
        for name, (accepted, reason) in REFUSED.items():
            if rest.pop(name, accepted) not in (accepted, None):
                raise ConfigError(f"{name}={kwargs[name]!r} is not supported: {reason}.")
        known = {field.name for field in fields(cls)}
        options = cls(**{name: rest.pop(name) for name in list(rest) if name in known})
        if options.dtype is not None and options.torch_dtype not in (None, options.dtype):
            raise ConfigError(
                f"torch_dtype={options.torch_dtype} and dtype={options.dtype} are one argument and "
                "have two values. Give one of them."
            )
        return options, rest

    @property
    def requested_dtype(self) -> torch.dtype | str | None:
        """`torch_dtype` under either of its names."""
        return self.torch_dtype if self.dtype is None else self.dtype

    @property
    def requested_quantization(self) -> Any:
        """`quantization_config`, or what ``load_in_8bit`` and ``load_in_4bit`` stand for."""
        if not (self.load_in_8bit or self.load_in_4bit):
            return self.quantization_config
        if self.quantization_config is not None:
            raise ConfigError("Give quantization_config or load_in_8bit / load_in_4bit, not both.")
        return {"load_in_8bit": self.load_in_8bit, "load_in_4bit": self.load_in_4bit}

    @property
    def where(self) -> dict[str, Any]:
        """What `dovetail.hub.cached_file` needs to know."""
        return {
            "cache_dir": self.cache_dir,
            "force_download": self.force_download,
            "local_files_only": self.local_files_only,
            "token": self.use_auth_token if self.token is None else self.token,
            "revision": self.revision,
            "subfolder": self.subfolder,
        }
