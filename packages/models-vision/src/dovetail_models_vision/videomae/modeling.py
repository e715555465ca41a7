"""VideoMAE: videos as sequences of patches through space and time, pre-trained by painting those
that are hidden (arXiv 2203.12602).

ViT without a first token and with fixed positions. B batch, F frames, C channels, H height, W
width, N patches, M masked ones, D width, P pixels of a patch.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.heads import STATES, TaskHead
from dovetail.layers.embeddings import SinusoidalEmbedding
from dovetail.layers.patches import pair
from dovetail.layers.projections import Linear
from dovetail.layers.vit import ViTEncoder, ViTLayer
from dovetail.mapping import Rename
from dovetail.outputs import BaseModelOutput, ModelOutput, TaskOutput
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_vision.heads import ForImageClassification, classifier
from dovetail_models_vision.images.formats import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from dovetail_models_vision.videomae.configuration import VideoMAEConfig
from dovetail_models_vision.vit.modeling import ImageEncoder


@dataclass
class VideoMAEForPreTrainingOutput(TaskOutput):
    """`logits` (B, M, P) are the pixels of the masked patches."""


class VideoMAEPatchEmbeddings(nn.Module):
    """Cuts videos into patches of some frames and projects each of them."""

    def __init__(self, config: VideoMAEConfig) -> None:
        super().__init__()
        self.image_size, self.channels = pair(config.image_size), config.num_channels
        patch = (config.tubelet_size, *pair(config.patch_size))
        sizes = zip((config.num_frames, *self.image_size), patch, strict=True)
        self.count = math.prod(length // step for length, step in sizes)
        self.projection = nn.Conv3d(config.num_channels, config.hidden_size, patch, patch)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Patches (B, N, D) of videos (B, F, C, H, W), frame by frame and row by row.

        Raises:
            ValueError: the videos are of another form or size.
        """
        shape = tuple(pixel_values.shape)
        if len(shape) != 5 or shape[2:] != (self.channels, *self.image_size):
            height, width = self.image_size
            raise ValueError(
                f"pixel_values of shape {shape} must be (batch, frames, {self.channels}, {height}, "
                f"{width}): let the image processor prepare the frames."
            )
        volumes = pixel_values.transpose(1, 2).to(self.projection.weight.dtype)
        return self.projection(volumes).flatten(2).transpose(1, 2)


class VideoMAEPositions(SinusoidalEmbedding):
    """Fixed positions, whose sines and cosines take turns."""

    weight: Tensor

    def __init__(self, positions: int, width: int) -> None:
        super().__init__(positions, width, persistent=False)

    def table(self, device: Any = None) -> Tensor:
        """The vectors (positions, width)."""
        steps = torch.arange(self.width, dtype=torch.float64) // 2 * 2 / self.width
        angles = torch.arange(self.positions)[:, None] / 10000.0**steps
        table = torch.where(torch.arange(self.width) % 2 == 0, angles.sin(), angles.cos())
        return table.to(device, torch.get_default_dtype())


class VideoMAEEmbeddings(nn.Module):
    """Patches with their positions; those that are masked are left out."""

    def __init__(self, config: VideoMAEConfig) -> None:
        super().__init__()
        self.patch_embeddings = VideoMAEPatchEmbeddings(config)
        self.position_embeddings = VideoMAEPositions(
            self.patch_embeddings.count, config.hidden_size
        )

    def forward(self, pixel_values: Tensor, bool_masked_pos: Tensor | None = None) -> Tensor:
        """Tokens (B, N - M, D) of videos (B, F, C, H, W); `bool_masked_pos` (B, N) hides M
        patches of each."""
        patches = self.patch_embeddings(pixel_values)
        positions = self.position_embeddings.weight
        if patches.shape[1] != len(positions):
            raise ValueError(
                f"pixel_values of {pixel_values.shape[1]} frames make {patches.shape[1]} patches, "
                f"and the model has {len(positions)} positions: give config.num_frames frames."
            )
        tokens = patches + positions.to(patches)
        if bool_masked_pos is None:
            return tokens
        check_mask(bool_masked_pos, tokens)
        return tokens[~bool_masked_pos.bool()].unflatten(0, (len(tokens), -1))


def check_mask(mask: Tensor, tokens: Tensor) -> None:
    """Raise `ValueError` unless `mask` (B, N) hides as many of each video's `tokens` (B, N, D)."""
    if mask.shape != tokens.shape[:2]:
        raise ValueError(
            f"bool_masked_pos has the shape {tuple(mask.shape)}: give {tuple(tokens.shape[:2])}, "
            "True for each patch to hide."
        )
    counts = mask.sum(1).tolist()
    if len(set(counts)) > 1 or counts[0] == tokens.shape[1]:
        raise ValueError(
            f"bool_masked_pos hides {counts} of {tokens.shape[1]} patches: hide as many in each "
            "video, and not all."
        )


class VideoMAELayer(ViTLayer):
    """ViT's, with keys that have no bias."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.attention.attention.key = Linear(config.hidden_size, config.hidden_size, bias=False)


class VideoMAEPreTrainedModel(ImageEncoder):
    config_class = VideoMAEConfig
    base_model_prefix = "videomae"
    _no_split_modules: ClassVar[list[str]] = ["VideoMAEEmbeddings", "VideoMAELayer"]
    weight_mapping = (
        Rename("attention.attention.q_bias", "attention.attention.query.bias"),
        Rename("attention.attention.v_bias", "attention.attention.value.bias"),
    )

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv3d):
            module.weight.data.normal_(std=self.config.initializer_range)
            if module.bias is not None:
                module.bias.data.zero_()


class VideoMAEModel(VideoMAEPreTrainedModel):
    """The encoder; its last norm is left to the classifier with ``config.use_mean_pooling``."""

    def __init__(self, config: VideoMAEConfig) -> None:
        super().__init__(config)
        self.embeddings = VideoMAEEmbeddings(config)
        self.encoder = ViTEncoder(config, VideoMAELayer)
        self.layernorm = (
            None
            if config.use_mean_pooling
            else nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        )
        self.post_init()

    @backbone
    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        head_mask: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutput:
        """Tokens (B, N - M, D) of videos (B, F, C, H, W), of which `bool_masked_pos` (B, N) hides M
        patches each."""
        tokens = self.embeddings(pixel_values, bool_masked_pos)
        context = self.encoder_context(tokens, None, head_mask=head_mask, recorder=recorder)
        hidden_states = self.run_layers(self.encoder.layer, tokens, context, record_last=True)
        if self.layernorm is not None:
            hidden_states = self.layernorm(hidden_states)
        return BaseModelOutput(hidden_states)


class VideoMAEDecoder(nn.Module):
    """Holds what makes pixels of tokens under the checkpoint's names."""

    decoder_layers: nn.ModuleList

    def __init__(self, config: VideoMAEConfig) -> None:
        super().__init__()
        own = copy.deepcopy(config)
        own.hidden_size = config.decoder_hidden_size
        own.num_attention_heads = config.decoder_num_attention_heads
        own.intermediate_size = config.decoder_intermediate_size
        self.decoder_layers = nn.ModuleList(
            VideoMAELayer(own, index) for index in range(config.decoder_num_hidden_layers)
        )
        self.norm = nn.LayerNorm(own.hidden_size)
        pixels = config.num_channels * config.tubelet_size * math.prod(pair(config.patch_size))
        self.head = Linear(own.hidden_size, pixels)


class VideoMAEForPreTraining(TaskHead, VideoMAEPreTrainedModel):
    """Painting of masked patches by a second, smaller transformer."""

    def build_head(self) -> None:
        """The decoder, and what it is given for masked patches."""
        config = self.config
        self.encoder_to_decoder = Linear(config.hidden_size, config.decoder_hidden_size, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.decoder_hidden_size))
        count = self.base_model.embeddings.patch_embeddings.count
        self.position_embeddings = VideoMAEPositions(count, config.decoder_hidden_size)
        self.decoder = VideoMAEDecoder(config)

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        head_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Pixels (B, M, P) of the M patches that `bool_masked_pos` (B, N) hides of each of the
        videos (B, F, C, H, W), and how far they are from what is there."""
        if bool_masked_pos is None:
            raise ValueError(
                "bool_masked_pos is None: give (batch, patches), True for each patch to paint."
            )
        hidden = bool_masked_pos.bool()
        outputs = self.base_model(
            pixel_values, hidden, head_mask=head_mask, return_dict=True, **kwargs
        )
        logits = self.paint(self.encoder_to_decoder(outputs.last_hidden_state), hidden)
        targets = self.pixels(pixel_values)[hidden].unflatten(0, (len(hidden), -1))
        loss = F.mse_loss(logits, targets.to(logits))
        recorded = self.recorded(outputs, STATES)
        return VideoMAEForPreTrainingOutput(loss=loss, logits=logits, **recorded)

    def paint(self, seen: Tensor, hidden: Tensor) -> Tensor:
        """Pixels (B, M, P) of patches where `hidden` (B, N) is True, from tokens (B, N - M, D) of
        the others."""
        positions = self.position_embeddings.weight.to(seen).expand(len(seen), -1, -1)
        masked = positions[hidden].unflatten(0, (len(seen), -1)) + self.mask_token
        visible = positions[~hidden].unflatten(0, (len(seen), -1)) + seen
        tokens = torch.cat((visible, masked), 1)
        context = self.encoder_context(tokens, None)
        tokens = self.run_layers(self.decoder.decoder_layers, tokens, context)
        return self.decoder.head(self.decoder.norm(tokens[:, visible.shape[1] :]))

    def pixels(self, videos: Tensor) -> Tensor:
        """The pixels (B, N, P) of the patches of `videos` (B, F, C, H, W), as they were before the
        processor normalised them; with ``config.norm_pix_loss`` each channel of a patch has mean 0
        and deviation 1."""
        config = self.config
        if config.num_channels == len(IMAGENET_DEFAULT_MEAN):
            mean, std = (
                torch.tensor(values, device=videos.device, dtype=videos.dtype)[:, None, None]
                for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
            )
            videos = videos * std + mean
        rows, columns = pair(config.patch_size)
        cut = videos.unflatten(4, (-1, columns)).unflatten(3, (-1, rows))
        cut = cut.unflatten(1, (-1, config.tubelet_size))  # (B, F', t, C, H', h, W', w)
        patches = cut.permute(0, 1, 4, 6, 2, 5, 7, 3).flatten(4, 6).flatten(1, 3)  # (B, N, p, C)
        if config.norm_pix_loss:
            spread, centre = torch.std_mean(patches, 2, keepdim=True)
            patches = (patches - centre) / (spread + 1e-6)
        return patches.flatten(2)


class VideoMAEForVideoClassification(ForImageClassification, VideoMAEPreTrainedModel):
    """A linear layer over the mean of all patches, normalised, or over the first."""

    def build_head(self) -> None:
        """The norm and the classifier."""
        config = self.config
        self.fc_norm = nn.LayerNorm(config.hidden_size) if config.use_mean_pooling else None
        self.classifier = classifier(config.hidden_size, self.num_labels)

    def features(self, outputs: ModelOutput) -> Tensor:
        """The mean of the patches, normalised, or the first, (B, D)."""
        if self.fc_norm is None:
            return super().features(outputs)
        return self.fc_norm(outputs.last_hidden_state.mean(1))
