"""Task heads that any image model can wear."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.heads import TaskHead
from dovetail.layers.projections import Linear
from dovetail.losses import sequence_classification_loss
from dovetail.outputs import (
    ImageClassifierOutput,
    ImageClassifierOutputWithNoAttention,
    MaskedImageModelingOutput,
    ModelOutput,
)
from dovetail.recording import task_head


class ForImageClassification(TaskHead):
    """Classification by a linear layer over what `features` makes of the body's output: its first
    token, unless a family says otherwise."""

    output_class: ClassVar[type[ModelOutput]] = ImageClassifierOutput

    def build_head(self) -> None:
        self.classifier = classifier(self.config.hidden_size, self.num_labels)

    def features(self, outputs: ModelOutput) -> Tensor:
        """What is classified, (B, D)."""
        return outputs.last_hidden_state[:, 0]

    def encode(self, pixel_values: Tensor | None, **kwargs: Any) -> ModelOutput:
        """The body's output for images (B, C, H, W)."""
        return self.base_model(pixel_values, return_dict=True, **kwargs)

    @task_head
    def forward(
        self,
        pixel_values: Tensor | None = None,
        head_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, labels) of images (B, C, H, W) and the loss by ``config.problem_type``."""
        if head_mask is not None:
            kwargs["head_mask"] = head_mask
        outputs = self.encode(pixel_values, **kwargs)
        logits = self.classifier(self.features(outputs))
        loss = None if labels is None else sequence_classification_loss(logits, labels, self.config)
        recorded = self.recorded(outputs, field_names(self.output_class))
        return self.output_class(loss=loss, logits=logits, **recorded)


class PooledImageClassification(TaskHead):
    """Classification by a linear layer over what the body pools; for bodies without attention heads
    to mask, or with further outputs."""

    output_class: ClassVar[type[ModelOutput]] = ImageClassifierOutputWithNoAttention

    def build_head(self) -> None:
        self.classifier = classifier(self.config.hidden_sizes[-1], self.num_labels)

    @task_head
    def forward(
        self, pixel_values: Tensor | None = None, labels: Tensor | None = None, **kwargs: Any
    ) -> ModelOutput:
        """Logits (B, labels) of images (B, C, H, W) and the loss by ``config.problem_type``."""
        outputs = self.base_model(pixel_values, return_dict=True, **kwargs)
        logits = self.classifier(outputs.pooler_output)
        loss = None if labels is None else sequence_classification_loss(logits, labels, self.config)
        recorded = self.recorded(outputs, field_names(self.output_class))
        return self.output_class(loss=loss, logits=logits, **recorded)


class ForMaskedImageModeling(TaskHead):
    """Paints masked patches (SimMIM, arXiv 2111.09886): a convolution makes
    ``config.encoder_stride`` squared pixels of each patch."""

    body_options: ClassVar[dict[str, Any]] = {"add_pooling_layer": False, "use_mask_token": True}
    output_class: ClassVar[type[ModelOutput]] = MaskedImageModelingOutput

    def build_head(self) -> None:
        config = self.config
        channels = config.encoder_stride**2 * config.num_channels
        self.decoder = nn.Sequential(
            nn.Conv2d(config.hidden_size, channels, 1), nn.PixelShuffle(config.encoder_stride)
        )

    def stride(self) -> int:
        """Rows of pixels to each row of the body's last patches."""
        return self.config.patch_size

    def patch_map(self, outputs: ModelOutput, pixel_values: Tensor) -> Tensor:
        """The body's last patches as a map (B, D, H, W)."""
        grid = self.base_model.embeddings.patch_embeddings.projection.grid(*pixel_values.shape[2:])
        return outputs.last_hidden_state[:, 1:].transpose(1, 2).unflatten(2, grid)

    @task_head
    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        head_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """The image (B, C, H, W) as the model sees it and, with `bool_masked_pos` (B, N), the mean
        distance of masked pixels from what they were."""
        config = self.config
        if bool_masked_pos is not None and self.stride() != config.encoder_stride:
            raise ValueError(
                f"encoder_stride={config.encoder_stride} must equal patch_size="
                f"{self.stride()}: else there is no pixel to compare with."
            )
        outputs = self.base_model(
            pixel_values,
            bool_masked_pos=bool_masked_pos,
            head_mask=head_mask,
            return_dict=True,
            **kwargs,
        )
        painted = self.decoder(self.patch_map(outputs, pixel_values))
        loss = None
        if bool_masked_pos is not None:
            side = config.patch_size
            grid = [size // side for size in pixel_values.shape[2:]]
            mask = bool_masked_pos.view(-1, 1, *grid).to(painted)
            mask = mask.repeat_interleave(side, 2).repeat_interleave(side, 3)  # (B, 1, H, W)
            apart = F.l1_loss(painted, pixel_values, reduction="none")
            loss = (apart * mask).sum() / (mask.sum() + 1e-5) / config.num_channels
        recorded = self.recorded(outputs, field_names(self.output_class))
        return self.output_class(loss=loss, reconstruction=painted, **recorded)


def semantic_loss(logits: Tensor, labels: Tensor, num_labels: int, ignored: int) -> Tensor:
    """Cross-entropy of `logits` (B, labels, h, w), resampled to the pixels of `labels` (B, H, W);
    those that are `ignored` do not count. With one label it is of that being there or not.

    Raises:
        ValueError: `labels` are no maps for this batch, or of classes that the model lacks.
    """
    if labels.dim() != 3 or len(labels) != len(logits):
        raise ValueError(
            f"labels have the shape {tuple(labels.shape)}: give ({len(logits)}, height, width), "
            "the class of each pixel."
        )
    counts = labels != ignored
    unknown = labels[counts & ((labels < 0) | (labels >= max(num_labels, 2)))]
    if len(unknown):
        raise ValueError(
            f"labels hold the class {int(unknown[0])}, but config.num_labels={num_labels}: classes "
            f"are from 0, and {ignored} is for pixels that do not count."
        )
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    if num_labels > 1:
        return F.cross_entropy(logits, labels, ignore_index=ignored)
    loss = F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits), reduction="none")
    return (loss * counts).mean()


def classifier(width: int, num_labels: int) -> nn.Module:
    """A linear layer over `width` features; without labels, the features themselves."""
    return Linear(width, num_labels) if num_labels else nn.Identity()


def field_names(output: type[ModelOutput]) -> tuple[str, ...]:
    """The fields that outputs of this class can hold."""
    return tuple(output.__dataclass_fields__)  # type: ignore[attr-defined]
