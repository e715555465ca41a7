"""Pictures and a text, or a conversation with pictures, to more text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from dovetail.errors import PipelineError
from dovetail_models_text.pipelines.chat import Chat
from dovetail_models_text.pipelines.generating import generated, given, stop_token
from dovetail_models_text.pipelines.text_generation import ReturnType, return_kind
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import ImagePipeline
from dovetail_models_vision.vision_language.chats import parts_of, source_of

NEW_TOKENS = 256
"""How many tokens are written where neither the caller nor the model says."""
LEAD = 2
"""Characters that a decoder may put before the prompt."""


class ImageTextToTextPipeline(ImagePipeline):
    """Continuations of texts with pictures, or answers to conversations whose messages hold some.

    A text has the model's own placeholder (``<image>``, say) for each picture. Arguments of a
    call: `return_full_text` (default True: the prompt is part of the text; with a conversation,
    the whole conversation comes back), `return_tensors` (token ids in place of text),
    `generate_kwargs`, `max_new_tokens`, `stop_sequence`, `continue_final_message`,
    `skip_special_tokens`, `clean_up_tokenization_spaces`, `timeout` of downloads in seconds, and
    everything that the processor takes.
    """

    _load_processor = True
    _load_tokenizer = False
    _load_image_processor = False
    _load_feature_extractor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.processor is None:
            raise PipelineError(
                f"The task {self.task!r} needs a processor: pass processor=..., or a model's "
                "folder that holds one."
            )

    def _sanitize_parameters(
        self,
        max_new_tokens: int | None = None,
        generate_kwargs: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        return_full_text: bool | None = None,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: int | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        stop_sequence: str | None = None,
        continue_final_message: bool | None = None,
        skip_special_tokens: bool | None = None,
        **processing: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        settings = dict(generate_kwargs or {})
        if max_new_tokens is not None and "max_new_tokens" in settings:
            raise PipelineError(
                "max_new_tokens is given twice, by itself and in generate_kwargs: give one."
            )
        settings |= given(max_new_tokens=max_new_tokens)
        if stop_sequence is not None:
            settings["eos_token_id"] = stop_token(self.processor.tokenizer, stop_sequence)
        postprocess = given(
            return_type=return_kind(return_full_text, return_tensors, return_text, return_type),
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            continue_final_message=continue_final_message,
            skip_special_tokens=skip_special_tokens,
        )
        preprocess = given(timeout=timeout, continue_final_message=continue_final_message)
        return {**preprocess, **processing}, settings, postprocess

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """Records ``{"input_text", "generated_text"}`` (or ``{"generated_token_ids"}``).

        `text` goes with one of `images` or with a list of them; of several texts each has its
        picture, or its list of them. A conversation is a list of ``{"role", "content"}`` messages,
        whose parts ``{"type": "image"}`` without a picture show `images` in turn; it may be the
        only argument. Of several conversations there is a list of records for each.
        """
        if text is None and _is_chats(images):
            images, text = None, images
        if text is None and _is_many(images):
            return super().__call__(images, **kwargs)
        if text is None and images is None:
            raise PipelineError(f"The task {self.task!r} needs a text, pictures or both.")
        if Chat.wrap(text) is not text:
            return super().__call__({"text": text, "images": images}, **kwargs)
        if not isinstance(text, list | tuple):
            return super().__call__({"text": text, "images": images}, **kwargs)
        groups = _for_each(images, len(text))
        inputs = [{"text": one, "images": own} for one, own in zip(text, groups, strict=True)]
        results = super().__call__(inputs, **kwargs)
        return results if _is_chats(text) else [record for row in results for record in row]

    def preprocess(
        self,
        inputs: Any,
        timeout: float | None = None,
        continue_final_message: bool | None = None,
        **processing: Any,
    ) -> dict[str, Any]:
        """Prepare one text or conversation with its pictures."""
        made = self.preprocess_many([inputs], timeout, continue_final_message, **processing)
        return {**made, "prompt": made["prompt"][0]}

    def preprocess_many(
        self,
        inputs: list[Any],
        timeout: float | None = None,
        continue_final_message: bool | None = None,
        **processing: Any,
    ) -> dict[str, Any]:
        """Prepare several, padded on the left, where what is written continues them."""
        parts = [self.parts(one, timeout) for one in inputs]
        prompts = [prompt for prompt, _ in parts]
        chats = [prompt for prompt in prompts if isinstance(prompt, Chat)]
        if chats and len(chats) != len(prompts):
            raise PipelineError("Conversations and texts make no batch together: call for each.")
        tokenizer = self.processor.tokenizer
        side, tokenizer.padding_side = tokenizer.padding_side, "left"
        options = {"return_tensors": "pt", **({"padding": True} if len(inputs) > 1 else {})}
        try:
            if chats:
                made = self.conversations(chats, continue_final_message, **options, **processing)
            else:
                made = self.processor(
                    images=_in_one_list([pictures for _, pictures in parts]),
                    text=None if prompts == [None] else prompts,
                    **options,
                    **processing,
                )
        finally:
            tokenizer.padding_side = side
        return {**self.in_model_type(made), "prompt": prompts}

    def conversations(
        self, chats: Sequence[Chat], continue_final_message: bool | None, **options: Any
    ) -> Any:
        """The inputs of the model for conversations, which all go on in the same way."""
        continues = (
            all(chat.ends_with_assistant for chat in chats)
            if continue_final_message is None
            else continue_final_message
        )
        return self.processor.apply_chat_template(
            [chat.messages for chat in chats],
            add_generation_prompt=not continues,
            continue_final_message=continues,
            tokenize=True,
            return_dict=True,
            **options,
        )

    def parts(self, inputs: Any, timeout: float | None) -> tuple[Any, list[Any]]:
        """The text or conversation of an input, and its pictures, read; those of a conversation
        are in its messages."""
        if not isinstance(inputs, Mapping) or "role" in inputs:
            inputs = {"text": inputs} if _is_chats(inputs) else {"images": inputs}
        text, images = Chat.wrap(inputs.get("text")), inputs.get("images")
        if not isinstance(images, list | tuple):
            images = [] if images is None else [images]
        if isinstance(text, Chat):
            return Chat(shown(text.messages, list(images))), []
        if text is not None and not isinstance(text, str):
            raise PipelineError(
                f"text={text!r:.80}: give a string, a list of strings, or a conversation."
            )
        return text, [self.read(image, timeout) for image in images]

    def _forward(self, model_inputs: dict[str, Any], **generate_kwargs: Any) -> dict[str, Any]:
        prompt = model_inputs["prompt"]
        given_inputs = {name: value for name, value in model_inputs.items() if name != "prompt"}
        batch = len(prompt) if isinstance(prompt, list) else 1
        config = self.model.generation_config
        unsaid = config.max_new_tokens is None and config.max_length == type(config)().max_length
        if unsaid and not {"max_length", "generation_config"} & generate_kwargs.keys():
            generate_kwargs.setdefault("max_new_tokens", NEW_TOKENS)
        generate_kwargs.setdefault("tokenizer", self.processor.tokenizer)
        sequences = generated(self, batch, **given_inputs, **generate_kwargs)
        ids = model_inputs.get("input_ids", sequences[:, 0, :0])
        return {"generated_sequence": sequences, "input_ids": ids, "prompt": prompt}

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        return_type: ReturnType = ReturnType.FULL_TEXT,
        continue_final_message: bool | None = None,
        skip_special_tokens: bool = True,
        clean_up_tokenization_spaces: bool = True,
    ) -> list[dict[str, Any]]:
        """One record for each returned sequence, from ids (1, sequences, T)."""
        prompt = model_outputs["prompt"]
        shown_text = prompt.messages if isinstance(prompt, Chat) else prompt
        sequences = model_outputs["generated_sequence"][0]
        if return_type == ReturnType.TENSORS:
            return [{"input_text": shown_text, "generated_token_ids": one} for one in sequences]
        options = {
            "skip_special_tokens": skip_special_tokens,
            "clean_up_tokenization_spaces": clean_up_tokenization_spaces,
        }
        decode = self.processor.tokenizer.decode
        asked = decode(model_outputs["input_ids"][0], **options)
        records = []
        for sequence in sequences:
            text: Any = without(asked, decode(sequence, **options))
            if return_type == ReturnType.FULL_TEXT:
                text = _full(prompt, text, continue_final_message)
            records.append({"input_text": shown_text, "generated_text": text})
        return records

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The pictures side by side above what was written; of conversations the answer."""
        prompt, pictures = self.parts(inputs, None)
        if isinstance(prompt, Chat):
            parts = parts_of(prompt.messages)
            pictures = [self.read(source_of(part)) for part in parts if part.get("type") == "image"]
        texts = [self._last_text(record) for record in result]
        return drawing.with_lines(drawing.side_by_side(pictures), texts)

    def _last_text(self, record: Mapping[str, Any]) -> str:
        if "generated_token_ids" in record:
            ids = record["generated_token_ids"]
            return self.processor.tokenizer.decode(ids, skip_special_tokens=True)
        text = record["generated_text"]
        content = text if isinstance(text, str) else text[-1]["content"]
        return content if isinstance(content, str) else content[-1]["text"]


def shown(messages: Sequence[Mapping[str, Any]], images: list[Any]) -> list[dict[str, Any]]:
    """`messages` with `images` in the parts of type image that have none.

    Raises:
        PipelineError: there are more or fewer such parts than images.
    """
    waiting = list(images)
    made = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list | tuple):
            content = [
                {**part, "image": waiting.pop(0)} if waiting and _is_empty(part) else part
                for part in content
            ]
        made.append({**message, "content": content})
    if waiting:
        raise PipelineError(
            f"images: {len(images)} given with a conversation that has "
            f"{len(images) - len(waiting)} parts of type 'image' without a picture: write one for "
            "each."
        )
    return made


def without(prompt: str, text: str) -> str:
    """`text` behind the `prompt` with which it begins, if it does."""
    start = text.find(prompt)
    return text[start + len(prompt) :] if 0 <= start <= LEAD else text


def _full(prompt: Any, text: str, continue_final_message: bool | None) -> Any:
    if not isinstance(prompt, Chat):
        return (prompt or "") + text
    continues = (
        prompt.ends_with_assistant if continue_final_message is None else continue_final_message
    )
    return prompt.continued(text) if continues else prompt.answered(text)


def _is_empty(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "image" and len(part) == 1


def _is_chats(given_value: Any) -> bool:
    """Whether it is a conversation or a list of some."""
    if not isinstance(given_value, list | tuple) or not given_value:
        return False
    first = given_value[0]
    is_message = isinstance(first, Mapping) and "role" in first
    return is_message or (isinstance(first, list | tuple) and _is_chats(first))


def _is_many(inputs: Any) -> bool:
    """Whether it is a list, dataset or generator of mappings ``{"text", "images"}``."""
    listed = isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], Mapping)
    return listed or isinstance(inputs, Iterator | Dataset)


def _for_each(images: Any, count: int) -> list[Any]:
    """The pictures of each of so many texts.

    Raises:
        PipelineError: there are more or fewer.
    """
    if images is None:
        return [None] * count
    given_images = list(images) if isinstance(images, list | tuple) else [images]
    if len(given_images) != count:
        raise PipelineError(
            f"images: {len(given_images)} for {count} texts: give each text its picture, or a "
            "list of those that it speaks of."
        )
    return given_images


def _in_one_list(groups: list[list[Any]]) -> Any:
    """The pictures of each text as processors take them: none, one for each, or lists."""
    if not any(groups):
        return None
    if all(len(group) == 1 for group in groups):
        return [group[0] for group in groups]
    return groups
