"""Configuration of Mamba."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from dovetail.config_fields import LayerCount, NonNegativeFloat, PositiveFloat, Size, TokenIds
from dovetail.configs import PretrainedConfig


class MambaConfig(PretrainedConfig):
    """Sizes and constants of a Mamba model; the defaults are those of ``state-spaces/mamba-130m``.

    A layer works on `intermediate_size` channels, by default `expand` times `hidden_size`, each
    with a state of `state_size` numbers. How far a token moves the states comes from
    `time_step_rank` numbers. `time_step_min` to `time_step_max`, at least `time_step_floor`, is
    where time steps begin in training. `use_mambapy` is accepted: there is one way to compute the
    recurrence, and it has gradients.
    """

    model_type: ClassVar[str] = "mamba"
    argument_moves: ClassVar[dict[str, str | None]] = {"intermediate_size": None}

    vocab_size: Size = 50280
    hidden_size: Size = 768
    intermediate_size: Size | None = None
    state_size: Size = 16
    num_hidden_layers: LayerCount = 32
    layer_norm_epsilon: NonNegativeFloat = 1e-5
    pad_token_id: TokenIds = 0
    bos_token_id: TokenIds = 0
    eos_token_id: TokenIds = 0
    expand: PositiveFloat = 2
    conv_kernel: Size = 4
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = "silu"
    initializer_range: NonNegativeFloat = 0.1
    residual_in_fp32: bool = True
    time_step_rank: Size | Literal["auto"] = "auto"
    time_step_scale: PositiveFloat = 1.0
    time_step_min: PositiveFloat = 0.001
    time_step_max: PositiveFloat = 0.1
    time_step_init_scheme: Literal["random", "constant"] = "random"
    time_step_floor: PositiveFloat = 1e-4
    rescale_prenorm_residual: bool = False
    use_cache: bool = True
    use_mambapy: bool = False

    def derive(self) -> None:
        """The widths that follow from `hidden_size`."""
        self.intermediate_size = self.intermediate_size or int(self.expand * self.hidden_size)
        if self.time_step_rank == "auto":
            self.time_step_rank = math.ceil(self.hidden_size / 16)

    @property
    def layer_windows(self) -> list[int | None]:
        """No layer sees the tokens before: all have states."""
        return [0] * self.num_hidden_layers

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """What a layer remembers of each text."""
        channels = self.intermediate_size or 0
        return {"conv": (channels, self.conv_kernel), "ssm": (channels, self.state_size)}
