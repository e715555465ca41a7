"""A text or a conversation continued by a causal language model."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from dovetail.errors import PipelineError
from dovetail.pipelines import Pipeline
from dovetail_models_text.pipelines.chat import Chat
from dovetail_models_text.pipelines.generating import generated, given, stop_token
from dovetail_models_text.pipelines.text_input import require_text


class ReturnType(IntEnum):
    """What a text generation pipeline returns."""

    TENSORS = 0
    NEW_TEXT = 1
    FULL_TEXT = 2


class TextGenerationPipeline(Pipeline):
    """Continuations of a text, or the answer to a conversation (a list of ``{"role", "content"}``
    messages).

    Arguments of a call: `return_full_text` (default True: the prompt is part of the text; with a
    conversation, the whole conversation comes back), `return_tensors` (token ids in place of
    text), `prefix` (put before the prompt), `handle_long_generation=\"hole\"` (cut the prompt from
    the left where prompt and answer exceed the model), `stop_sequence`, `continue_final_message`,
    `clean_up_tokenization_spaces`, `truncation`, `padding`, `add_special_tokens`, and everything
    that ``generate`` takes.
    """

    batch_padding_side = "left"  # a continuation starts at the last token

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        prefix = getattr(self.model.config, "prefix", None)
        if prefix is not None and "prefix" not in self._preprocess_params:
            preprocess, forward, _ = self._sanitize_parameters(
                prefix=prefix, **self._forward_params
            )
            self._preprocess_params = {**self._preprocess_params, **preprocess}
            self._forward_params = {**self._forward_params, **forward}

    def _sanitize_parameters(
        self,
        return_full_text: bool | None = None,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: int | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        prefix: str | None = None,
        handle_long_generation: str | None = None,
        stop_sequence: str | None = None,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        continue_final_message: bool | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if handle_long_generation not in (None, "hole"):
            raise PipelineError(
                f"handle_long_generation={handle_long_generation!r}: the only strategy is 'hole'."
            )
        preprocess = given(
            truncation=truncation,
            max_length=max_length,
            prefix=prefix,
            handle_long_generation=handle_long_generation,
            continue_final_message=continue_final_message,
            add_special_tokens=generate_kwargs.pop("add_special_tokens", None),
            padding=generate_kwargs.pop("padding", None),
        )
        if max_length is not None:
            generate_kwargs["max_length"] = max_length
        if prefix:
            tokens = self.tokenizer(
                prefix, add_special_tokens=preprocess.get("add_special_tokens", False)
            )
            generate_kwargs["prefix_length"] = len(tokens["input_ids"])
        if stop_sequence is not None:
            generate_kwargs["eos_token_id"] = stop_token(self.tokenizer, stop_sequence)
        postprocess = given(
            return_type=return_kind(return_full_text, return_tensors, return_text, return_type),
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            continue_final_message=continue_final_message,
        )
        return {**preprocess, **generate_kwargs}, generate_kwargs, postprocess

    def __call__(self, text_inputs: Any, **kwargs: Any) -> Any:
        """Continue one text or conversation, or each of a list, dataset or generator.

        One prompt gives a list of ``{"generated_text"}`` (or ``{"generated_token_ids"}``), one per
        returned sequence.
        """
        text_inputs = Chat.wrap(text_inputs)
        return super().__call__(
            list(text_inputs) if isinstance(text_inputs, tuple) else text_inputs, **kwargs
        )

    def preprocess(
        self,
        prompt_text: Any,
        prefix: str = "",
        handle_long_generation: str | None = None,
        add_special_tokens: bool | None = None,
        truncation: bool | str | None = None,
        padding: bool | str | None = None,
        max_length: int | None = None,
        continue_final_message: bool | None = None,
        **generate_kwargs: Any,
    ) -> dict[str, Any]:
        """Tokenize one prompt or render one conversation."""
        prompt = Chat.wrap(prompt_text)
        options = given(truncation=truncation, padding=padding)
        if options:
            options |= given(max_length=max_length)
        if isinstance(prompt, Chat):
            continues = (
                prompt.ends_with_assistant
                if continue_final_message is None
                else continue_final_message
            )
            inputs = self.tokenizer.apply_chat_template(
                prompt.messages,
                add_generation_prompt=not continues,
                continue_final_message=continues,
                return_dict=True,
                return_tensors="pt",
                **options,
            )
        else:
            require_text(
                prompt, "text-generation", "a string, or a conversation (a list of messages),"
            )
            options |= given(add_special_tokens=add_special_tokens)
            inputs = self.tokenizer(prefix + prompt, return_tensors="pt", **options)
        inputs = {**inputs, "prompt_text": prompt}
        if handle_long_generation == "hole":
            self._cut_left(inputs, generate_kwargs.get("max_new_tokens"), max_length)
        return inputs

    def _cut_left(
        self, inputs: dict[str, Any], max_new_tokens: int | None, max_length: int | None
    ) -> None:
        """Keep so much of the prompt's end that prompt and new tokens fit into the model."""
        length = inputs["input_ids"].shape[-1]
        limit = self.tokenizer.model_max_length
        if max_new_tokens is None:
            max_new_tokens = (max_length or self.model.generation_config.max_length) - length
        if max_new_tokens < 0:
            raise PipelineError(
                f"The prompt has {length} tokens, which leaves none to generate: raise "
                "max_length or give max_new_tokens."
            )
        if length + max_new_tokens <= limit:
            return
        keep = limit - max_new_tokens
        if keep <= 0:
            raise PipelineError(
                f"{max_new_tokens} new tokens do not fit into the model's {limit} together with "
                "any prompt: lower max_new_tokens."
            )
        for name in ("input_ids", "attention_mask"):
            if name in inputs:
                inputs[name] = inputs[name][:, -keep:]

    def _forward(self, model_inputs: dict[str, Any], **generate_kwargs: Any) -> dict[str, Any]:
        input_ids = model_inputs["input_ids"]
        attention_mask = model_inputs.get("attention_mask")
        batch = input_ids.shape[0]
        if input_ids.shape[1] == 0:  # an empty prompt: generate begins with its start token
            input_ids = attention_mask = None
            batch = 1
        self._lengthen(generate_kwargs, generate_kwargs.pop("prefix_length", 0))
        sequences = generated(
            self, batch, input_ids=input_ids, attention_mask=attention_mask, **generate_kwargs
        )
        return {
            "generated_sequence": sequences,
            "input_ids": input_ids,
            "prompt_text": model_inputs["prompt_text"],
        }

    def _lengthen(self, generate_kwargs: dict[str, Any], prefix_length: int) -> None:
        """Lengths that the caller counted without the prefix, with it."""
        if not prefix_length:
            return
        config = generate_kwargs.get("generation_config")
        if (
            "max_new_tokens" not in generate_kwargs
            and getattr(config, "max_new_tokens", None) is None
        ):
            default = self.model.generation_config.max_length
            generate_kwargs["max_length"] = (
                generate_kwargs.get("max_length") or default
            ) + prefix_length
        has_min_new_tokens = (
            "min_new_tokens" in generate_kwargs
            or getattr(config, "min_new_tokens", None) is not None
        )
        if "min_length" in generate_kwargs and not has_min_new_tokens:
            generate_kwargs["min_length"] += prefix_length

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        return_type: ReturnType = ReturnType.FULL_TEXT,
        clean_up_tokenization_spaces: bool = True,
        continue_final_message: bool | None = None,
    ) -> list[dict[str, Any]]:
        """One record per returned sequence, from ids (1, sequences, T)."""
        sequences = model_outputs["generated_sequence"][0].tolist()
        if return_type == ReturnType.TENSORS:
            return [{"generated_token_ids": sequence} for sequence in sequences]
        input_ids, prompt = model_outputs["input_ids"], model_outputs["prompt_text"]
        options = {
            "skip_special_tokens": True,
            "clean_up_tokenization_spaces": clean_up_tokenization_spaces,
        }
        skip = 0 if input_ids is None else len(self.tokenizer.decode(input_ids[0], **options))
        records = []
        for sequence in sequences:
            text: Any = self.tokenizer.decode(sequence, **options)[skip:]
            if return_type == ReturnType.FULL_TEXT:
                text = _full(prompt, text, continue_final_message)
            records.append({"generated_text": text})
        return records


def _full(prompt: str | Chat, text: str, continue_final_message: bool | None) -> Any:
    if isinstance(prompt, str):
        return prompt + text
    continues = (
        prompt.ends_with_assistant if continue_final_message is None else continue_final_message
    )
    return prompt.continued(text) if continues else prompt.answered(text)


def return_kind(
    return_full_text: bool | None,
    return_tensors: bool | None,
    return_text: bool | None,
    return_type: int | None,
) -> ReturnType | None:
    """The one kind of result that the arguments ask for."""
    chosen = {
        "return_full_text": return_full_text,
        "return_text": return_text,
        "return_tensors": return_tensors,
    }
    names = [name for name, value in chosen.items() if value is not None]
    if len(names) > 1:
        raise PipelineError(f"{' and '.join(names)} exclude each other: give one.")
    if return_type is not None:
        return ReturnType(return_type)
    if return_full_text is not None:
        return ReturnType.FULL_TEXT if return_full_text else ReturnType.NEW_TEXT
    return None if return_tensors is None else ReturnType.TENSORS
