"""The base class of all models: what every architecture shares and no model file repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dovetail import logging
from dovetail.caches import Cache, DynamicCache, EncoderDecoderCache, layer_windows
from dovetail.caches.states import check_states
from dovetail.configs import PretrainedConfig
from dovetail.context import Context, check_tokens, token_positions
from dovetail.errors import ConfigTypeError
from dovetail.hub import PushToHubMixin
from dovetail.layers.attention import implementation_named
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import Conv1D
from dovetail.masks import bidirectional_mask, causal_mask, text_positions
from dovetail.recording import Recorder
from dovetail.resizing import resize_embedding, resize_output

logger = logging.get_logger(__name__)

INPUT_EMBEDDINGS = "input_embeddings"
"""In `_tied_weights_keys`: the weight of ``get_input_embeddings()``, wherever the architecture
keeps it."""
PROJECTIONS = (nn.Linear, nn.Embedding, Conv1D, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Modules whose fresh weights are normally distributed."""


class PreTrainedModel(nn.Module, PushToHubMixin):
    """A torch module with a config, which can be loaded, saved, resized, pruned and checkpointed.

    A subclass declares where things are: `base_model_prefix` is the attribute under which task
    heads keep the body, `input_embeddings` and `output_embeddings` are attribute paths,
    `_tied_weights_keys` maps a parameter to the one it equals when ``config.tie_word_embeddings``,
    `_shared_weights_keys` those that are one tensor in any case. `run_layers` is how a body runs
    its layers.
    """

    config_class: ClassVar[Any] = None
    base_model_prefix: str = ""
    main_input_name: str = "input_ids"
    model_tags: ClassVar[list[str] | None] = None
    input_embeddings: ClassVar[str] = "embed_tokens"
    output_embeddings: ClassVar[str] = "lm_head"
    supports_gradient_checkpointing: ClassVar[bool] = True
    is_parallelizable: ClassVar[bool] = False
    weight_mapping: ClassVar[tuple[Any, ...]] = ()
    gradient_checkpointing: bool = False
    _exit_layer: int | None = None
    config: Any
    _tied_weights_keys: ClassVar[dict[str, str]] = {}
    _shared_weights_keys: ClassVar[dict[str, str]] = {}
    _keys_to_ignore_on_load_missing: ClassVar[list[str] | None] = None
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str] | None] = None
    _keys_to_ignore_on_save: ClassVar[list[str] | None] = None
    _no_split_modules: ClassVar[list[str] | None] = None
    _keep_in_fp32_modules: ClassVar[list[str] | None] = None
    _auto_class: ClassVar[str | None] = None
    _checkpoint: Callable[..., Any] = staticmethod(partial(checkpoint, use_reentrant=False))

    def __init__(self, config: Any, *inputs: Any, **kwargs: Any) -> None:
        super().__init__()
        if not isinstance(config, PretrainedConfig):
            raise ConfigTypeError(
                f"{type(self).__name__} needs a configuration object, got {type(config).__name__}: "
                "to load a checkpoint use "
                f"{type(self).__name__}.from_pretrained(name_or_folder)."
            )
        self.config = config
        self.name_or_path = config.name_or_path
        self.set_attn_implementation(config._attn_implementation or "sdpa")
        if self.can_generate():
            from dovetail.generation import GenerationConfig

            self.generation_config = GenerationConfig.from_model_config(config)

    def post_init(self) -> None:
        """Fill the parameters and tie them; every model's constructor ends with it."""
        self.init_weights()

    @classmethod
    def _from_config(cls, config: Any, **kwargs: Any) -> Self:
        """A model with fresh weights; `torch_dtype` and `attn_implementation` may be given."""
        from dovetail.loading import model_from_config

        return model_from_config(cls, config, **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *model_args: Any,
        config: Any = None,
        cache_dir: Any = None,
        ignore_mismatched_sizes: bool = False,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        use_safetensors: bool | None = None,
        weights_only: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Load a checkpoint: a folder, a file or a Hub id.

        See `dovetail.loading.load_pretrained` for these and further arguments.
        """
        from dovetail.loading import load_pretrained

        return load_pretrained(
            cls,
            pretrained_model_name_or_path,
            *model_args,
            config=config,
            cache_dir=cache_dir,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            revision=revision,
            use_safetensors=use_safetensors,
            weights_only=weights_only,
            **kwargs,
        )

    def save_pretrained(
        self,
        save_directory: Any,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        save_function: Callable[..., Any] = torch.save,
        push_to_hub: bool = False,
        max_shard_size: int | str = "5GB",
        safe_serialization: bool = True,
        variant: str | None = None,
        token: str | bool | None = None,
        save_peft_format: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write config and weights to a folder.

        See `dovetail.saving.save_pretrained` for the arguments. `save_peft_format` is accepted:
        there are no adapters to save otherwise.
        """
        from dovetail.saving import save_pretrained

        save_pretrained(
            self,
            save_directory,
            is_main_process=is_main_process,
            state_dict=state_dict,
            save_function=save_function,
            push_to_hub=push_to_hub,
            max_shard_size=max_shard_size,
            safe_serialization=safe_serialization,
            variant=variant,
            token=token,
            **kwargs,
        )

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoModel") -> None:
        """Note in saved configs that `auto_class` is to load this custom class."""
        cls._auto_class = auto_class

    # What and where the model is

    @property
    def base_model(self) -> Any:
        """The body without its task head; the model itself when it has none."""
        return getattr(self, self.base_model_prefix, self) if self.base_model_prefix else self

    @property
    def framework(self) -> str:
        """Always ``"pt"``."""
        return "pt"

    @property
    def device(self) -> torch.device:
        """Where the first parameter is."""
        return next(self._tensors()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the first floating-point parameter or buffer."""
        return next(
            (tensor.dtype for tensor in self._tensors() if tensor.is_floating_point()),
            torch.get_default_dtype(),
        )

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """A tiny valid input."""
        return {
            "input_ids": torch.tensor(
                [[7, 6, 0, 0, 1], [1, 2, 3, 0, 0], [0, 0, 0, 4, 5]], device=self.device
            )
        }

    def _tensors(self) -> Iterator[Tensor]:
        yield from self.parameters()
        yield from self.buffers()

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Number of weights; tied ones count once."""
        embeddings = {
            id(module.weight) for module in self.modules() if isinstance(module, nn.Embedding)
        }
        return sum(
            parameter.numel()
            for parameter in self.parameters()
            if (parameter.requires_grad or not only_trainable)
            and not (exclude_embeddings and id(parameter) in embeddings)
        )

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Bytes of all parameters, and of buffers unless `return_buffers` is False."""
        tensors = self._tensors() if return_buffers else self.parameters()
        return sum(tensor.nbytes for tensor in tensors)

    def dequantize(self) -> Any:
        """This model with ordinary weights in place of packed ones (`dovetail.quantizers`)."""
        from dovetail.quantizers import dequantized

        return dequantized(self)

    @classmethod
    def can_generate(cls) -> bool:
        """Whether the class has ``generate``."""
        return hasattr(cls, "generate")

    def add_model_tags(self, tags: list[str] | str) -> None:
        """Add tags to the model card of an upload."""
        known = list(self.model_tags or [])
        self.model_tags = known + [
            tag for tag in ([tags] if isinstance(tags, str) else tags) if tag not in known
        ]

    def set_attn_implementation(self, name: str) -> None:
        """Choose how attention is computed: ``eager``, ``sdpa``, ``flash_attention_2``,
        ``flex_attention`` or a plugin's name."""
        if name != "sdpa":
            implementation_named(name)
        self.config._attn_implementation = name
        for part in type(self.config).sub_configs:
            if isinstance(getattr(self.config, part, None), PretrainedConfig):
                getattr(self.config, part)._attn_implementation = name

    # Weights

    def _init_weights(self, module: nn.Module) -> None:
        """Fill one module's own parameters: normal weights, zero biases, unit norms."""
        std = getattr(self.config, "initializer_range", 0.02)
        if isinstance(module, PROJECTIONS):
            module.weight.data.normal_(mean=0.0, std=std)
            if getattr(module, "bias", None) is not None:
                module.bias.data.zero_()
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight.data[module.padding_idx].zero_()
        elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
            if module.weight is not None:
                module.weight.data.fill_(1.0)
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, RMSNorm):
            module.weight.data.fill_(0.0 if module.offset else 1.0)

    def init_weights(self) -> None:
        """Fill every module that is not filled yet, prune what the config says, tie what is
        tied."""
        if self.config.pruned_heads:
            self.base_model._prune_heads(
                {int(layer): heads for layer, heads in self.config.pruned_heads.items()}
            )
        for module in self.modules():
            if not getattr(module, "_is_initialized", False):
                self._init_weights(module)
                module._is_initialized = True  # type: ignore[assignment]
        self.tie_weights()

    def tied_weights(self) -> dict[str, str]:
        """Names of parameters that are the same tensor as another: ``{name: name of the other}``,
        for this config."""
        ties: dict[str, str] = {}
        for prefix, module in self.named_modules():
            if isinstance(module, PreTrainedModel):
                ties |= module._own_ties(f"{prefix}." if prefix else "")
        return ties

    def _own_ties(self, prefix: str) -> dict[str, str]:
        declared = dict(self._shared_weights_keys)
        if self.config.tie_word_embeddings:
            declared |= self._tied_weights_keys
        if INPUT_EMBEDDINGS not in declared.values():
            return {prefix + name: prefix + source for name, source in declared.items()}
        embeddings = self.get_input_embeddings()
        where = next(name for name, module in self.named_modules() if module is embeddings)
        return {
            prefix + name: f"{prefix}{where}.weight"
            if source == INPUT_EMBEDDINGS
            else prefix + source
            for name, source in declared.items()
        }

    def tie_weights(self) -> None:
        """Make tied parameters one tensor."""
        for name, source in self.tied_weights().items():
            path, _, leaf = name.rpartition(".")
            module = self.get_submodule(path)
            owner, _, its_leaf = source.rpartition(".")
            tensor = getattr(self.get_submodule(owner), its_leaf)  # a parameter or a buffer
            setattr(module, leaf, tensor)
            if isinstance(module, nn.Linear) and leaf == "weight":
                module.out_features = len(tensor)

    # Embeddings

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of token ids."""
        if self.base_model is not self:
            return self.base_model.get_input_embeddings()
        return self.get_submodule(self.input_embeddings)

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding of token ids."""
        if self.base_model is not self:
            self.base_model.set_input_embeddings(value)
        else:
            self.set_submodule(self.input_embeddings, value)

    def get_output_embeddings(self) -> nn.Module | None:
        """The layer that makes logits over the vocabulary, None when the model has none."""
        try:
            return self.get_submodule(self.output_embeddings)
        except AttributeError:
            return None

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the layer that makes logits over the vocabulary."""
        self.set_submodule(self.output_embeddings, new_embeddings)

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Module:
        """Grow or shrink the vocabulary to `new_num_tokens`, rounded up to `pad_to_multiple_of`;
        returns the new embedding.

        New rows are drawn around the mean of the old ones (`mean_resizing`), else by the model's
        own initialisation.
        """
        embeddings = self.get_input_embeddings()
        old = embeddings.weight.shape[0]
        size = old if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of is not None:
            if not isinstance(pad_to_multiple_of, int) or pad_to_multiple_of < 1:
                raise ValueError(
                    f"pad_to_multiple_of={pad_to_multiple_of!r} must be a positive whole number."
                )
            size = -(-size // pad_to_multiple_of) * pad_to_multiple_of
        if size < 1:
            raise ValueError(f"new_num_tokens={new_num_tokens} must be positive.")
        if size != old:
            output = self.get_output_embeddings()
            tied = output is not None and output.weight is embeddings.weight
            self.set_input_embeddings(
                resize_embedding(embeddings, size, self._init_weights, mean_resizing)
            )
            if output is not None:
                resize_output(output, size, self._init_weights, mean_resizing, skip_weight=tied)
            self._after_resize(size)
            self.tie_weights()
        self.config.get_text_config().vocab_size = size
        return self.get_input_embeddings()

    def _after_resize(self, size: int) -> None:
        """Resize what else depends on the vocabulary (an output bias, say)."""

    def get_position_embeddings(self) -> nn.Module | None:
        """The learned position embedding, None without one."""
        return getattr(self.base_model, "position_embeddings", None)

    # Training

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Recompute activations in the backward pass instead of keeping them; arguments go to
        ``torch.utils.checkpoint``.

        Always without re-entering autograd: results are the same, and gradients reach an
        encoder's states.
        """
        if not self.supports_gradient_checkpointing:
            raise ValueError(f"{type(self).__name__} does not support gradient checkpointing.")
        run = partial(
            checkpoint, **(gradient_checkpointing_kwargs or {}) | {"use_reentrant": False}
        )
        self._set_checkpointing(True, run)

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self._set_checkpointing(False, None)

    def _set_checkpointing(self, enabled: bool, run: Callable[..., Any] | None) -> None:
        for module in self.modules():
            if isinstance(module, PreTrainedModel):
                module.gradient_checkpointing = enabled
                if run is not None:
                    module._checkpoint = run  # type: ignore[method-assign]

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether any part recomputes its activations."""
        return any(
            isinstance(module, PreTrainedModel) and module.gradient_checkpointing
            for module in self.modules()
        )

    def enable_input_require_grads(self) -> None:
        """Make the embeddings' output require gradients, so that adapters train behind frozen
        embeddings."""
        self.disable_input_require_grads()
        self._require_grads_hook = self.get_input_embeddings().register_forward_hook(
            lambda module, inputs, output: output.requires_grad_(True)
        )

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        hook = self.__dict__.pop("_require_grads_hook", None)
        if hook is not None:
            hook.remove()

    def prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        """Remove attention heads: ``{layer: [heads]}``, numbered as before any pruning."""
        for layer, heads in heads_to_prune.items():
            self.config.pruned_heads[layer] = sorted(
                set(self.config.pruned_heads.get(layer, [])) | set(heads)
            )
        self.base_model._prune_heads(heads_to_prune)

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        raise ValueError(f"{type(self).__name__} cannot prune attention heads.")

    # For the forward passes of model files

    def run_layers(
        self,
        layers: Iterable[nn.Module],
        hidden_states: Tensor,
        context: Context,
        layer_drop: float = 0.0,
        record_last: bool = False,
    ) -> Tensor:
        """Run `hidden_states` (B, T, D) through `layers`, each called as ``layer(hidden_states,
        context)``.

        Notes the input of each layer for ``output_hidden_states``, with `record_last` also what
        comes out (else the body's result follows), and applies gradient checkpointing. In training
        a layer is left out with probability `layer_drop` (LayerDrop, arXiv 1909.11556); those from
        `_exit_layer` on are when that is set.
        """
        recompute = self.gradient_checkpointing and self.training
        for layer in islice(layers, self._exit_layer):
            if context.recorder is not None:
                context.recorder.add_hidden_state(hidden_states)
            if layer_drop and self.training and torch.rand(()) < layer_drop:
                continue
            if recompute:
                hidden_states = self._checkpoint(layer.__call__, hidden_states, context)
            else:
                hidden_states = layer(hidden_states, context)
        if record_last and context.recorder is not None:
            context.recorder.last_hidden_state = hidden_states
        return hidden_states

    def decoder_context(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        *,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        position_ids: Tensor | None = None,
        recorder: Recorder | None = None,
        head_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cross_head_mask: Tensor | None = None,
    ) -> Context:
        """Context of a decoder over `hidden_states` (B, T, D): causal, within the windows that the
        config declares (`layer_windows`), with cache and, if given, an encoder. Recurrent layers,
        whose window is 0, get `text` in place of a mask."""
        kind = DynamicCache if encoder_hidden_states is None else EncoderDecoderCache
        cache = self.open_cache(past_key_values, use_cache, kind)
        cache_position = token_positions(hidden_states, cache, cache_position)
        encoder_mask = None
        if encoder_hidden_states is not None:
            encoder_mask = bidirectional_mask(
                hidden_states, encoder_attention_mask, encoder_hidden_states.shape[1]
            )
        mask = partial(
            causal_mask,
            hidden_states,
            attention_mask,
            cache=cache,
            cache_position=cache_position,
            position_ids=position_ids,
        )
        windows = layer_windows(self.config)
        recurrent = 0 in windows
        if recurrent and cache is not None:
            check_states(cache, self.config, len(hidden_states))
        masks = {
            window: mask(window=window, layer_idx=windows.index(window))
            for window in set(windows) - {0}
        }
        return Context(
            self.config._attn_implementation,
            position_ids=cache_position[None] if position_ids is None else position_ids,
            positions=cache_position,
            mask=next(iter(masks.values()), None),
            layer_masks=None if len(masks) < 2 else [masks.get(window) for window in windows],
            text=text_positions(hidden_states, attention_mask) if recurrent else None,
            cache=cache,
            recorder=recorder,
            head_mask=self.expand_head_mask(head_mask),
            encoder_hidden_states=encoder_hidden_states,
            encoder_mask=encoder_mask,
            cross_head_mask=self.expand_head_mask(cross_head_mask),
            use_cache=self.config.use_cache if use_cache is None else use_cache,
        )

    def encoder_context(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        *,
        position_ids: Tensor | None = None,
        recorder: Recorder | None = None,
        head_mask: Tensor | None = None,
    ) -> Context:
        """Context of an encoder over `hidden_states` (B, T, D), in which only padding is hidden."""
        positions = torch.arange(hidden_states.shape[1], device=hidden_states.device)
        return Context(
            self.config._attn_implementation,
            position_ids=positions[None] if position_ids is None else position_ids,
            positions=positions,
            mask=bidirectional_mask(hidden_states, attention_mask),
            recorder=recorder,
            head_mask=self.expand_head_mask(head_mask),
        )

    def embed(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        """Token embeddings (B, T, D) of exactly one of `input_ids` (B, T) and `inputs_embeds` (B,
        T, D)."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give exactly one of input_ids and inputs_embeds.")
        embedded = (
            self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        )
        check_tokens(embedded)
        return embedded

    def open_cache(
        self, past_key_values: Any, use_cache: bool | None, kind: Callable[[], Cache] = DynamicCache
    ) -> Cache | None:
        """The cache to use in this pass: the given one (old-style tuples are wrapped), a new one,
        or None without caching."""
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and self.gradient_checkpointing and self.training:
            logger.warning_once(
                "Caching is switched off while gradient checkpointing is on: pass use_cache=False."
            )
            use_cache = False
        if past_key_values is not None and not isinstance(past_key_values, Cache):
            past_key_values = kind.from_legacy_cache(past_key_values)  # type: ignore[attr-defined]
        return kind() if use_cache and past_key_values is None else past_key_values

    def expand_head_mask(self, head_mask: Tensor | None) -> Tensor | None:
        """A head mask (H,) or (L, H) as factors (L, H, 1, 1) of the attention weights."""
        if head_mask is None or head_mask.dim() > 2:
            return head_mask
        layers = self.config.num_hidden_layers
        rows = head_mask if head_mask.dim() == 2 else head_mask.expand(layers, -1)
        return rows[..., None, None]
