"""Text to text through an encoder-decoder: the general task, summaries and translations."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar

from dovetail import logging
from dovetail.errors import PipelineError
from dovetail.pipelines import Pipeline
from dovetail_models_text.pipelines.generating import generated, given, stop_token
from dovetail_models_text.pipelines.text_input import require_text

logger = logging.get_logger(__name__)


class ReturnType(IntEnum):
    """What a text2text pipeline returns."""

    TENSORS = 0
    TEXT = 1


class Text2TextGenerationPipeline(Pipeline):
    """The texts that an encoder-decoder writes for an input, as ``{"generated_text"}``.

    The config's `prefix` (T5: "summarize: ") is put before the input. Arguments of a call:
    `return_tensors` (``{"generated_token_ids"}``), `truncation`, `stop_sequence`,
    `clean_up_tokenization_spaces`, and everything that ``generate`` takes.
    """

    return_name: ClassVar[str] = "generated"

    def _sanitize_parameters(
        self,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: int | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        truncation: bool | str | None = None,
        stop_sequence: str | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if return_tensors is not None and return_type is None:
            return_type = ReturnType.TENSORS if return_tensors else ReturnType.TEXT
        if stop_sequence is not None:
            generate_kwargs["eos_token_id"] = stop_token(self.tokenizer, stop_sequence)
        postprocess = given(
            return_type=return_type, clean_up_tokenization_spaces=clean_up_tokenization_spaces
        )
        return given(truncation=truncation), generate_kwargs, postprocess

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The texts for one input (a list of one record per returned sequence) or for each of
        several.

        For a list of texts with one sequence each, the result is a flat list of records.
        """
        results = super().__call__(*args, **kwargs)
        inputs = args[0] if args else kwargs.get("inputs")
        flat = isinstance(inputs, list) and all(isinstance(item, str) for item in inputs)
        if flat and all(len(result) == 1 for result in results):
            return [result[0] for result in results]
        return results

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        """Warn about lengths that cannot give a good result; whether to go on."""
        return True

    def preprocess(
        self, inputs: Any, truncation: bool | str = "do_not_truncate", **kwargs: Any
    ) -> Any:
        """Tokenize one text behind the model's prefix."""
        return self._parse_and_tokenize(inputs, truncation=truncation, **kwargs)

    def _parse_and_tokenize(self, *args: Any, truncation: bool | str) -> Any:
        """The model's inputs for a text, or (padded) for a list of texts."""
        prefix = getattr(self.model.config, "prefix", None) or ""
        texts = args[0]
        if isinstance(texts, list):
            if self.tokenizer.pad_token_id is None:
                raise PipelineError(
                    "A list of texts as one input needs a padding token, and the tokenizer has "
                    "none: set tokenizer.pad_token."
                )
            for text in texts:
                require_text(text, self.task or "text2text-generation")
            prefixed: Any = [prefix + text for text in texts]
        else:
            require_text(texts, self.task or "text2text-generation")
            prefixed = prefix + texts
        inputs = self.tokenizer(
            prefixed, padding=isinstance(texts, list), truncation=truncation, return_tensors="pt"
        )
        inputs.pop(
            "token_type_ids", None
        )  # encoder-decoders have none, some of their tokenizers do
        return inputs

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> dict[str, Any]:
        batch, length = model_inputs["input_ids"].shape
        defaults = self.model.generation_config
        self.check_inputs(
            length,
            generate_kwargs.get("min_length", defaults.min_length),
            generate_kwargs.get("max_length", defaults.max_length),
        )
        return {"output_ids": generated(self, batch, **model_inputs, **generate_kwargs)}

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        return_type: ReturnType = ReturnType.TEXT,
        clean_up_tokenization_spaces: bool = False,
    ) -> list[dict[str, Any]]:
        """One record per returned sequence, from ids (1, sequences, T)."""
        sequences = model_outputs["output_ids"][0]
        if return_type == ReturnType.TENSORS:
            return [{f"{self.return_name}_token_ids": sequence} for sequence in sequences]
        return [
            {
                f"{self.return_name}_text": self.tokenizer.decode(
                    sequence,
                    skip_special_tokens=True,
                    clean_up_tokenization_spaces=clean_up_tokenization_spaces,
                )
            }
            for sequence in sequences
        ]


class SummarizationPipeline(Text2TextGenerationPipeline):
    """The summary of a text, as ``{"summary_text"}``."""

    return_name = "summary"

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        """Warn when the summary may be longer than the text, or must be longer than it may."""
        if max_length < min_length:
            logger.warning(
                "min_length=%d exceeds max_length=%d: lower the one or raise the other.",
                min_length,
                max_length,
            )
        if input_length < max_length:
            logger.warning(
                "max_length=%d, and the text has only %d tokens: a summary is shorter than its "
                "text, so max_length=%d would do.",
                max_length,
                input_length,
                input_length // 2,
            )
        return True


class TranslationPipeline(Text2TextGenerationPipeline):
    """The translation of a text, as ``{"translation_text"}``.

    The languages come from the task (``translation_en_to_de``) or from `src_lang` and `tgt_lang`.
    A tokenizer of a multilingual model turns them into its own marks; for T5 the task sets the
    config's `prefix`.
    """

    return_name = "translation"
    default_languages: ClassVar[tuple[tuple[str, str], ...]] = (
        ("en", "fr"),
        ("en", "de"),
        ("en", "ro"),
    )
    """The pairs for which the default model serves."""

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        """Warn when a translation of the same length would not fit."""
        if input_length > 0.9 * max_length:
            logger.warning(
                "The text has %d tokens and max_length=%d leaves little room for its "
                "translation: raise it.",
                input_length,
                max_length,
            )
        return True

    def _sanitize_parameters(
        self, src_lang: str | None = None, tgt_lang: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if src_lang is None and tgt_lang is None:
            match self.task.split("_"):  # translation_en_to_de
                case [_, source, _, target]:
                    src_lang, tgt_lang = source, target
        return {**preprocess, **given(src_lang=src_lang, tgt_lang=tgt_lang)}, forward, postprocess

    def preprocess(
        self,
        *args: Any,
        truncation: bool | str = "do_not_truncate",
        src_lang: str | None = None,
        tgt_lang: str | None = None,
    ) -> Any:
        """Tokenize one text, with the marks of the languages where the tokenizer has them."""
        build = getattr(self.tokenizer, "_build_translation_inputs", None)
        if build is None:
            return super()._parse_and_tokenize(*args, truncation=truncation)
        return build(
            *args, return_tensors="pt", truncation=truncation, src_lang=src_lang, tgt_lang=tgt_lang
        )
