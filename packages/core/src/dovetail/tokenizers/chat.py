"""Chats as token ids: choosing the template, describing the tools, marking what the assistant
said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dovetail.errors import TemplateError
from dovetail.tokenizers.special_tokens import SpecialTokensMixin
from dovetail.tokenizers.strategies import PaddingStrategy, TensorType, TruncationStrategy
from dovetail.tokenizers.tool_schema import get_json_schema

if TYPE_CHECKING:
    from dovetail.tokenizers.encoding import BatchEncoding


class ChatMixin(SpecialTokensMixin):
    """`apply_chat_template` of a tokenizer."""

    chat_template: str | dict[str, str] | None

    def apply_chat_template(
        self,
        conversation: Any,
        tools: Sequence[Mapping[str, Any] | Callable[..., Any]] | None = None,
        documents: Sequence[Mapping[str, str]] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = True,
        padding: bool | str | PaddingStrategy = False,
        truncation: bool | str | TruncationStrategy = False,
        max_length: int | None = None,
        return_tensors: str | TensorType | None = None,
        return_dict: bool = False,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Write one conversation (a list of messages) or several as the model expects, as ids or as
        text.

        `tools` are functions, described by their type hints and docstrings, or JSON schemas.
        `chat_template` is a template or the name of one of the tokenizer's. Further keywords are
        variables of the template.

        Returns:
            ids; a text with ``tokenize=False``; a `BatchEncoding` with `return_dict`, which holds
            ``assistant_masks`` with `return_assistant_tokens_mask` (1 for tokens within the
            template's ``{% generation %}`` blocks). Lists of these for several conversations.

        Raises:
            TemplateError: when there is no template, it fails, or arguments contradict each other.
        """
        _check_options(
            tokenize,
            return_dict,
            return_assistant_tokens_mask,
            add_generation_prompt,
            continue_final_message,
        )
        template = self.get_chat_template(chat_template, tools)
        conversations, batched = _conversations(conversation)
        variables = {
            **self.special_tokens_map,
            **kwargs,
            "tools": _schemas(tools),
            "documents": _checked_documents(documents),
            "add_generation_prompt": add_generation_prompt,
        }
        texts, spans = _render_all(template, conversations, variables, continue_final_message)
        if not tokenize:
            return texts if batched else texts[0]
        encoded = self(  # type: ignore[operator] # a tokenizer is callable
            texts if batched else texts[0],
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            add_special_tokens=False,
            return_tensors=return_tensors,
            **dict(tokenizer_kwargs or {}),
        )
        if not return_dict:
            return encoded["input_ids"]
        if return_assistant_tokens_mask:
            masks = [_mask(encoded, row, row_spans) for row, row_spans in enumerate(spans)]
            encoded["assistant_masks"] = masks if batched else masks[0]
        return encoded

    def get_chat_template(
        self, chat_template: str | None = None, tools: Sequence[Any] | None = None
    ) -> str:
        """The template to use: the given one, the named one, or of several the one for tools or the
        default.

        Raises:
            TemplateError: when the tokenizer has no template, or several and none fits.
        """
        own = self.chat_template
        if isinstance(own, dict):
            if chat_template is not None:
                return own.get(chat_template, chat_template)
            name = "tool_use" if tools is not None and "tool_use" in own else "default"
            if name not in own:
                raise TemplateError(
                    "This tokenizer has several chat templates and none is called 'default': pass "
                    f"chat_template=, one of {', '.join(sorted(own))}."
                )
            return own[name]
        if chat_template is not None:
            return chat_template
        if own is None:
            raise TemplateError(
                "This tokenizer has no chat template, so its model was probably not trained on "
                "chats. Set tokenizer.chat_template, or pass chat_template=."
            )
        return own


def named_templates(value: Any) -> str | dict[str, str] | None:
    """A `chat_template` as files hold it: one text, or a list of names and texts."""
    if isinstance(value, list | tuple) and all(isinstance(one, Mapping) for one in value):
        value = {one.get("name"): one.get("template") for one in value}
    texts = [*value, *value.values()] if isinstance(value, dict) else [value]
    if value is None or all(isinstance(text, str) for text in texts):
        return value
    raise TemplateError(
        f"chat_template={value!r:.80} is neither a text nor named texts: pass a str, a dict of "
        "names and str, or a list of {'name': ..., 'template': ...}."
    )


def _check_options(
    tokenize: bool, return_dict: bool, mask: bool, prompt: bool, resume: bool
) -> None:
    if return_dict and not tokenize:
        raise TemplateError(
            "return_dict=True needs tokenize=True: a text alone has no features to return."
        )
    if mask and not return_dict:
        raise TemplateError(
            "return_assistant_tokens_mask=True needs return_dict=True: the mask is one of the "
            "features."
        )
    if resume and prompt:
        raise TemplateError(
            "continue_final_message and add_generation_prompt exclude each other: the first goes "
            "on with the last message, the second starts another."
        )
    if resume and mask:
        raise TemplateError("continue_final_message does not go with return_assistant_tokens_mask.")


def _conversations(conversation: Any) -> tuple[list[Any], bool]:
    """The conversations as lists of messages, and whether there were several."""
    batched = (
        isinstance(conversation, list | tuple)
        and bool(conversation)
        and _is_conversation(conversation[0])
    )
    several = conversation if batched else [conversation]
    return [getattr(one, "messages", one) for one in several], batched


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list | tuple) or hasattr(value, "messages")


def _schemas(tools: Sequence[Any] | None) -> list[Any] | None:
    if tools is None:
        return None
    schemas = []
    for tool in tools:
        if isinstance(tool, Mapping):
            schemas.append(dict(tool))
        elif callable(tool):
            schemas.append(get_json_schema(tool))
        else:
            raise TemplateError(
                f"The tool {tool!r:.80} is neither a JSON schema nor a function: pass one of them."
            )
    return schemas


def _checked_documents(documents: Sequence[Any] | None) -> Any:
    for document in documents or ():
        if not isinstance(document, Mapping):
            raise TypeError(
                f"Documents are mappings with 'title' and 'text', not {type(document).__name__}."
            )
    return documents


def _render_all(
    template: str, conversations: list[Any], variables: Mapping[str, Any], resume: bool
) -> tuple[list[str], list[list[tuple[int, int]]]]:
    from dovetail.tokenizers.templates import render

    texts, spans = [], []
    for messages in conversations:
        text, generated = render(template, {**variables, "messages": messages})
        texts.append(_cut_after_final(text, messages) if resume else text)
        spans.append(generated)
    return texts, spans


def _cut_after_final(text: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """The text up to the end of its last message, so that the model goes on with it."""
    content = messages[-1]["content"]
    if isinstance(content, list | tuple):
        content = next(part["text"] for part in reversed(content) if "text" in part)
    found = text.rfind(content.strip())
    if found < 0:
        raise TemplateError(
            "continue_final_message is set, but the last message is not found in what the "
            "template made of it: the template changes or drops it."
        )
    return text[: found + len(content.strip())]


def _mask(encoded: BatchEncoding, row: int, spans: list[tuple[int, int]]) -> list[int]:
    """1 for the tokens of a row that stand within `spans` of its text."""
    encoding = encoded[row]
    return [
        int(sequence is not None and any(start < span[1] and end > span[0] for span in spans))
        for sequence, (start, end) in zip(encoding.sequence_ids, encoding.offsets, strict=True)
    ]
