"""DINOv2: image features learned without labels (arXiv 2304.07193).

ViT with a learned scale on the output of each block, stochastic depth, an MLP that may be
gated, a pooled first token without a layer of its own, and positions that are resampled for every
size of image. B batch, C channels, H height, W width, N patches, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.backbones import BackboneMixin
from dovetail.context import Context
from dovetail.layers.activations import activation
from dovetail.layers.projections import Linear
from dovetail.layers.residual import DropPath
from dovetail.layers.vit import ViTAttention, ViTEncoder
from dovetail.outputs import BaseModelOutputWithPooling, ModelOutput
from dovetail.recording import Recorder, backbone
from dovetail_models_vision.dinov2.configuration import Dinov2Config
from dovetail_models_vision.heads import ForImageClassification, classifier
from dovetail_models_vision.vit.modeling import ImageEncoder, ViTEmbeddings


class Dinov2Embeddings(ViTEmbeddings):
    """ViT's, with a mask token of two dimensions."""

    def build_mask_token(self, width: int) -> nn.Parameter:
        return nn.Parameter(torch.zeros(1, width))


class Dinov2LayerScale(nn.Module):
    """A factor for each channel."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        self.value = config.layerscale_value
        self.lambda1 = nn.Parameter(torch.full((config.hidden_size,), self.value))

    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states * self.lambda1


class Dinov2MLP(nn.Module):
    """Two dense layers."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        inner = config.hidden_size * config.mlp_ratio
        self.fc1, self.fc2 = Linear(config.hidden_size, inner), Linear(inner, config.hidden_size)
        self.activation = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(hidden_states)))


class Dinov2SwiGLUFFN(nn.Module):
    """A gated MLP with as many weights as the plain one, to multiples of eight channels."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        inner = (config.hidden_size * config.mlp_ratio * 2 // 3 + 7) // 8 * 8
        self.weights_in = Linear(config.hidden_size, 2 * inner)
        self.weights_out = Linear(inner, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        gate, up = self.weights_in(hidden_states).chunk(2, -1)
        return self.weights_out(F.silu(gate) * up)


class Dinov2Layer(nn.Module):
    """Attention and MLP, each behind a norm, scaled, and left out at random in training."""

    def __init__(self, config: Dinov2Config, layer_idx: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.attention = ViTAttention(config, layer_idx)
        self.layer_scale1 = Dinov2LayerScale(config)
        self.drop_path = DropPath(config.drop_path_rate)
        self.norm2 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mlp = Dinov2SwiGLUFFN(config) if config.use_swiglu_ffn else Dinov2MLP(config)
        self.layer_scale2 = Dinov2LayerScale(config)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        attended = self.layer_scale1(self.attention(self.norm1(hidden_states), context))
        hidden_states = hidden_states + self.drop_path(attended)
        added = self.layer_scale2(self.mlp(self.norm2(hidden_states)))
        return hidden_states + self.drop_path(added)


class Dinov2PreTrainedModel(ImageEncoder):
    config_class = Dinov2Config
    base_model_prefix = "dinov2"
    _no_split_modules: ClassVar[list[str]] = ["Dinov2Layer"]

    def build_body(self) -> None:
        """Embeddings, encoder and norm, which model and backbone have alike."""
        config = self.config
        self.embeddings = Dinov2Embeddings(config, use_mask_token=True)
        self.encoder = ViTEncoder(config, Dinov2Layer)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Dinov2LayerScale):
            module.lambda1.data.fill_(module.value)


class Dinov2Model(Dinov2PreTrainedModel):
    """The encoder; what it pools is the first token."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__(config)
        self.build_body()
        self.post_init()

    @backbone
    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        head_mask: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """Tokens (B, 1 + N, D) of images (B, C, H, W) of any size, the first of which stands for
        the image; `bool_masked_pos` (B, N) hides patches."""
        tokens = self.embeddings(pixel_values, bool_masked_pos, interpolate_pos_encoding=True)
        context = self.encoder_context(tokens, None, head_mask=head_mask, recorder=recorder)
        hidden_states = self.run_layers(self.encoder.layer, tokens, context, record_last=True)
        hidden_states = self.layernorm(hidden_states)
        return BaseModelOutputWithPooling(hidden_states, hidden_states[:, 0])


class Dinov2ForImageClassification(ForImageClassification, Dinov2PreTrainedModel):
    """A linear layer over the first token and the mean of the others."""

    def build_head(self) -> None:
        self.classifier = classifier(2 * self.config.hidden_size, self.num_labels)

    def features(self, outputs: ModelOutput) -> Tensor:
        states = outputs.last_hidden_state
        return torch.cat((states[:, 0], states[:, 1:].mean(1)), 1)


class Dinov2Backbone(BackboneMixin, Dinov2PreTrainedModel):
    """Feature maps: the states between the layers, as images of patches."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__(config)
        self.num_features = [config.hidden_size] * (config.num_hidden_layers + 1)
        self.build_body()
        self.post_init()

    def stages(self, pixel_values: Tensor, recorder: Recorder | None) -> Sequence[Tensor]:
        tokens = self.embeddings(pixel_values, None, interpolate_pos_encoding=True)
        context = self.encoder_context(tokens, None, recorder=recorder)
        states = [tokens]
        for layer in self.encoder.layer:
            states.append(self.run_layers([layer], states[-1], context, record_last=True))
        grid = self.embeddings.patch_embeddings.projection.grid(*pixel_values.shape[2:])
        return [
            self.as_map(state, grid) if name in self.out_features else state
            for name, state in zip(self.stage_names, states, strict=True)
        ]

    def as_map(self, states: Tensor, grid: tuple[int, int]) -> Tensor:
        """The map (B, D, rows, columns) of `states` (B, 1 + N, D), or, if the config says so, the
        states themselves."""
        if self.config.apply_layernorm:
            states = self.layernorm(states)
        if not self.config.reshape_hidden_states:
            return states
        return states[:, 1:].transpose(1, 2).unflatten(2, grid).contiguous()
