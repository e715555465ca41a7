"""An encoder and a decoder of any two families as one model.

The encoder is what `AutoModel` picks, the decoder what `AutoModelForCausalLM` picks and must be
able to attend to an encoder. A family inherits `PairedModel`, names its config, and says in
`forward` what its encoder reads.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.auto import AutoConfig, AutoModel, AutoModelForCausalLM
from dovetail.config_pair import PairConfig
from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail.generation import GenerationMixin
from dovetail.generation.inputs import forward_parameters
from dovetail.layers.projections import Linear
from dovetail.losses import language_modeling_loss
from dovetail.outputs import BaseModelOutput, ModelOutput, Seq2SeqLMOutput, seq2seq_output
from dovetail.seq2seq import EncoderDecoderModel

DECODER = "decoder_"
"""What the names of arguments for the decoder begin with."""


class PairedModel(EncoderDecoderModel, GenerationMixin):
    """`encoder`, `decoder` and, where their widths differ, the projection ``enc_to_dec_proj``."""

    config_class: ClassVar[Any] = PairConfig

    def __init__(
        self,
        config: PairConfig | None = None,
        encoder: Any = None,
        decoder: Any = None,
    ) -> None:
        if config is None:
            if encoder is None or decoder is None:
                raise ValueError(
                    f"{type(self).__name__} needs a config, or both an encoder and a decoder."
                )
            make = self.config_class.from_encoder_decoder_configs
            config = make(encoder.config, decoder.config)
        super().__init__(config)
        self.encoder = AutoModel.from_config(config.encoder) if encoder is None else encoder
        self.decoder = (
            AutoModelForCausalLM.from_config(config.decoder) if decoder is None else decoder
        )
        config.encoder, config.decoder = self.encoder.config, self.decoder.config
        self._check_halves()
        width = self.encoder_width()
        if width != config.decoder.hidden_size and self._own_width() is None:
            self.enc_to_dec_proj = Linear(width, config.decoder.hidden_size)
        self.post_init()

    def encoder_width(self) -> int:
        """Width of the states that the encoder returns."""
        return self.config.encoder.hidden_size

    def _own_width(self) -> int | None:
        """The encoder's width for which the decoder's attention is made, if it says so."""
        return self.config.decoder.cross_attention_hidden_size

    def _check_halves(self) -> None:
        """Refuse halves that do not fit."""
        encoder, decoder = type(self.encoder).__name__, type(self.decoder).__name__
        if self.encoder.get_output_embeddings() is not None:
            raise ConfigError(f"{encoder} has a language head: give the encoder without a head.")
        if "encoder_hidden_states" not in forward_parameters(self.decoder):
            raise ConfigError(
                f"{decoder} cannot attend to an encoder: choose a decoder that takes "
                "encoder_hidden_states, such as BERT, GPT-2 or BART."
            )
        width = self._own_width()
        if width is not None and width != self.encoder_width():
            raise ConfigError(
                f"decoder.cross_attention_hidden_size={width}, but {encoder} is "
                f"{self.encoder_width()} wide: make them equal, or leave it out."
            )

    def get_input_embeddings(self) -> nn.Module:
        """What embeds the encoder's input."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace what embeds the encoder's input."""
        self.encoder.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        """The decoder's layer of logits."""
        return self.decoder.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the decoder's layer of logits."""
        self.decoder.set_output_embeddings(new_embeddings)

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Refused: each half has a vocabulary of its own, or none."""
        raise ValueError(
            f"{type(self).__name__} has two halves: call resize_token_embeddings of model.decoder "
            "or model.encoder."
        )

    def states_for_decoder(self, states: Tensor) -> Tensor:
        """The encoder's `states` (B, S, D) in the width that the decoder attends to."""
        return self.enc_to_dec_proj(states) if hasattr(self, "enc_to_dec_proj") else states

    def encoder_mask(self, states: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """Which of the encoder's `states` (B, S, D) the decoder may see; all unless overridden."""
        return None

    def _recorded(self, name: str, given: bool | None) -> bool | None:
        """Whether to record, if the call or this config says so; else each half's config does."""
        return given if given is not None else getattr(self.config, name) or None

    def run_pair(
        self,
        inputs: dict[str, Any],
        *,
        encoder_outputs: Any = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **options: Any,
    ) -> Seq2SeqLMOutput:
        """Logits (B, T, V) and, with `labels` (B, T), the loss; labels shifted right are read
        where nothing else is given.

        `inputs` go to the encoder, unless `encoder_outputs` are given. Further `options` go to the
        decoder if their names begin with ``decoder_``, which is cut off, else to the encoder.
        """
        recording = {
            "output_attentions": self._recorded("output_attentions", output_attentions),
            "output_hidden_states": self._recorded("output_hidden_states", output_hidden_states),
            "return_dict": True,
        }
        own = {
            name.removeprefix(DECODER): options.pop(name)
            for name in list(options)
            if name.startswith(DECODER)
        }
        if encoder_outputs is None:
            encoder_outputs = self.encoder(**inputs, **options, **recording)
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.shift_right(labels)
        states = encoder_outputs[0]
        if cache_position is not None:
            own["cache_position"] = cache_position
        decoded = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=self.states_for_decoder(states),
            encoder_attention_mask=self.encoder_mask(states, inputs.get("attention_mask")),
            inputs_embeds=decoder_inputs_embeds,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **own,
            **recording,
        )
        logits = decoded.logits
        loss = None if labels is None else language_modeling_loss(logits, labels, shift=False)
        return seq2seq_output(Seq2SeqLMOutput, decoded, encoder_outputs, loss=loss, logits=logits)

    @classmethod
    def from_encoder_decoder_pretrained(
        cls,
        encoder_pretrained_model_name_or_path: Any = None,
        decoder_pretrained_model_name_or_path: Any = None,
        *model_args: Any,
        **kwargs: Any,
    ) -> Any:
        """A pair of two checkpoints; what attends to the encoder is made anew where the decoder's
        has none.

        Arguments that begin with ``encoder_`` or ``decoder_`` go to the loading of that half
        (``encoder_model`` and ``decoder_model`` are halves at hand), others into the config.
        """
        halves = {
            "encoder": (AutoModel, encoder_pretrained_model_name_or_path, model_args),
            "decoder": (AutoModelForCausalLM, decoder_pretrained_model_name_or_path, ()),
        }
        loaded = {}
        for half, (auto, source, arguments) in halves.items():
            prefix = f"{half}_"
            own = {
                name.removeprefix(prefix): kwargs.pop(name)
                for name in list(kwargs)
                if name.startswith(prefix)
            }
            model = own.pop("model", None)
            if model is None:
                model = _load_half(auto, half, source, arguments, own)
            loaded[half] = model
        make = cls.config_class.from_encoder_decoder_configs
        config = make(loaded["encoder"].config, loaded["decoder"].config, **kwargs)
        return cls(encoder=loaded["encoder"], decoder=loaded["decoder"], config=config)


def _load_half(
    auto: Any, half: str, source: Any, arguments: tuple[Any, ...], own: dict[str, Any]
) -> Any:
    """The checkpoint `source` as the `half` that it is to be."""
    if source is None:
        raise ValueError(
            f"{half}_pretrained_model_name_or_path is None: name a checkpoint, or give "
            f"{half}_model."
        )
    config = own.pop("config", None)
    if not isinstance(config, PretrainedConfig):
        where = source if config is None else config
        config, own = AutoConfig.from_pretrained(where, **own, return_unused_kwargs=True)
    config.is_decoder = config.add_cross_attention = half == "decoder"
    return auto.from_pretrained(source, *arguments, config=config, **own)


def tied_halves(encoder: nn.Module, decoder: Any) -> dict[str, str]:
    """The parameters of `encoder` that the body of `decoder` has under the same name and in the
    same shape: ``{"encoder.name": "decoder.body.name"}``."""
    prefix = decoder.base_model_prefix
    theirs = dict(getattr(decoder, prefix).named_parameters(remove_duplicate=False))
    return {
        f"encoder.{name}": f"decoder.{prefix}.{name}"
        for name, parameter in encoder.named_parameters()
        if name in theirs and theirs[name].shape == parameter.shape
    }
