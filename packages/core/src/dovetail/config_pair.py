"""Configs of an encoder and a decoder of any two families, joined to one model."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError


class PairConfig(PretrainedConfig, keywords_only=True):
    """The configs `encoder` and `decoder`, both of which must be given; as objects of a file each
    names its ``model_type``."""

    is_composition: ClassVar[bool] = True
    has_no_defaults_at_init: ClassVar[bool] = True
    sub_configs: ClassVar[dict[str, Any]] = {"encoder": "auto", "decoder": "auto"}

    encoder: Any = None
    decoder: Any = None
    is_encoder_decoder: bool = True

    def check(self) -> None:
        """Refuse a pair of which a half is missing."""
        missing = [name for name in ("encoder", "decoder") if getattr(self, name) is None]
        if missing:
            raise ConfigError(
                f"{type(self).__name__} lacks {' and '.join(missing)}: give the configs of both "
                "halves, or use from_encoder_decoder_configs(encoder_config, decoder_config)."
            )

    @classmethod
    def from_encoder_decoder_configs(
        cls, encoder_config: PretrainedConfig, decoder_config: PretrainedConfig, **kwargs: Any
    ) -> Self:
        """The config of a model with these halves. `decoder_config` is made that of a decoder which
        attends to an encoder."""
        decoder_config.is_decoder = True
        decoder_config.add_cross_attention = True
        return cls(encoder=encoder_config.to_dict(), decoder=decoder_config.to_dict(), **kwargs)
