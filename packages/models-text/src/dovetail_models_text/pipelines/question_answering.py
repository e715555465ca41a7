"""A question and a text to the spans of the text that answer it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from dovetail.errors import PipelineError
from dovetail.pipelines import ArgumentHandler, ChunkPipeline
from dovetail_models_text.pipelines.answers import Answer, best_spans, span_of_characters
from dovetail_models_text.pipelines.squad import SquadExample

MAX_LENGTH = 384
MAX_STRIDE = 128

CALL = (
    "Call the pipeline with question=... and context=..., or with dictionaries "
    '{"question": ..., "context": ...}.'
)


class QuestionAnsweringArgumentHandler(ArgumentHandler):
    """Every way to pass questions and contexts, as a list of `SquadExample` (iterators and
    datasets go through)."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The examples; `PipelineError` or `KeyError` for what is none."""
        inputs = self._gather(args, kwargs)
        if isinstance(inputs, Iterator | Dataset):
            return inputs
        if isinstance(inputs, dict | SquadExample):
            inputs = [inputs]
        if not isinstance(inputs, list | tuple):
            raise PipelineError(
                f"The 'question-answering' pipeline cannot read {type(inputs).__name__}. {CALL}"
            )
        return [self.normalize(item) for item in inputs]

    def _gather(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        match args:
            case (single,):
                return single
            case (str(question), str(context)):
                return {"question": question, "context": context}
            case (_, *_):
                return list(args)
        for name in ("X", "data"):
            if name in kwargs:
                warnings.warn(
                    f"{name}= is deprecated: pass the examples as the first argument.",
                    FutureWarning,
                    stacklevel=4,
                )
                return kwargs[name]
        if "question" in kwargs and "context" in kwargs:
            return _pair(kwargs["question"], kwargs["context"])
        raise PipelineError(
            f"The 'question-answering' pipeline got {sorted(kwargs) or 'nothing'}. {CALL}"
        )

    def normalize(self, item: Any) -> SquadExample:
        """One example from a dictionary; `KeyError` or `ValueError` when question or context is
        absent or empty."""
        if isinstance(item, SquadExample):
            return item
        if not isinstance(item, dict):
            raise PipelineError(f"{item!r} is no question with a context. {CALL}")
        for key in ("question", "context"):
            if key not in item:
                raise KeyError(
                    f"A question-answering input needs the key {key!r}; this one has "
                    f"{sorted(item)}."
                )
            if not item[key] or not isinstance(item[key], str):
                raise PipelineError(
                    f"The {key} of a question-answering input is to be a text that is not empty; "
                    f"got {item[key]!r}."
                )
        return _example(item["question"], item["context"])


def _pair(questions: Any, contexts: Any) -> list[dict[str, Any]]:
    """Questions with their contexts; one context serves a list of questions."""
    if isinstance(questions, list) and isinstance(contexts, str):
        contexts = [contexts] * len(questions)
    if isinstance(questions, str) and isinstance(contexts, str):
        questions, contexts = [questions], [contexts]
    if not isinstance(questions, list) or not isinstance(contexts, list):
        raise PipelineError(
            f"question is a {type(questions).__name__} and context a {type(contexts).__name__}: "
            "pass two texts, two lists of one length, or a list of questions with one context."
        )
    if len(questions) != len(contexts):
        raise PipelineError(
            f"{len(questions)} questions came with {len(contexts)} contexts: pass as many of each."
        )
    return [{"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)]


class QuestionAnsweringPipeline(ChunkPipeline):
    """The likeliest answers ``{"score", "start", "end", "answer"}``, where start and end count
    characters of the context.

    Arguments of a call: `top_k` (default 1: one dictionary in place of a list), `doc_stride` and
    `max_seq_len` (windows of a long context), `max_answer_len` (tokens, 15),
    `handle_impossible_answer` (the empty answer competes), `align_to_words` (answers end at word
    boundaries, default True), `padding`.
    """

    default_input_names = "question,context"
    handle_impossible_answer = False

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        modelcard: Any = None,
        framework: str | None = None,
        task: str = "",
        **kwargs: Any,
    ) -> None:
        self._args_parser = QuestionAnsweringArgumentHandler()
        super().__init__(
            model=model,
            tokenizer=tokenizer,
            modelcard=modelcard,
            framework=framework,
            task=task,
            **kwargs,
        )

    @staticmethod
    def create_sample(
        question: str | list[str], context: str | list[str]
    ) -> SquadExample | list[SquadExample]:
        """An example of a question and its context, or a list of examples of two lists."""
        if isinstance(question, list):
            return [_example(q, c) for q, c in zip(question, context, strict=True)]
        return _example(question, str(context))

    def _sanitize_parameters(
        self,
        padding: str | bool | None = None,
        topk: int | None = None,
        top_k: int | None = None,
        doc_stride: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if topk is not None and top_k is None:
            warnings.warn("topk is deprecated: write top_k.", FutureWarning, stacklevel=3)
            top_k = topk
        for name, value in (("top_k", top_k), ("max_answer_len", max_answer_len)):
            if value is not None and value < 1:
                raise PipelineError(f"{name}={value}: it must be at least 1.")
        preprocess = {
            "padding": padding,
            "doc_stride": doc_stride,
            "max_seq_len": max_seq_len,
            "max_question_len": max_question_len,
        }
        postprocess = {
            "top_k": top_k,
            "max_answer_len": max_answer_len,
            "handle_impossible_answer": handle_impossible_answer,
            "align_to_words": align_to_words,
        }
        return _given(preprocess), {}, _given(postprocess)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer one question, or each of several (a list of one counts as one)."""
        examples = self._args_parser(*args, **kwargs)
        if isinstance(examples, list) and len(examples) == 1:
            examples = examples[0]
        return super().__call__(examples, **kwargs)

    def preprocess(
        self,
        example: SquadExample | dict[str, str],
        padding: str | bool = "do_not_pad",
        doc_stride: int | None = None,
        max_question_len: int = 64,
        max_seq_len: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Windows of question and context; in ``p_mask`` 0 marks the tokens at which an answer may
        start or end."""
        sample = QuestionAnsweringArgumentHandler().normalize(example)
        max_seq_len = (
            min(self.tokenizer.model_max_length, MAX_LENGTH) if max_seq_len is None else max_seq_len
        )
        doc_stride = min(max_seq_len // 2, MAX_STRIDE) if doc_stride is None else doc_stride
        if doc_stride > max_seq_len:
            raise PipelineError(
                f"doc_stride={doc_stride} exceeds max_seq_len={max_seq_len}: windows overlap by "
                "less than their length."
            )
        encoded = self._encode(sample, padding, doc_stride, max_seq_len)
        tensor_names = [
            name
            for name in (*self.tokenizer.model_input_names, "token_type_ids")
            if name in encoded
        ]
        windows = len(encoded["input_ids"])
        for index in range(windows):
            tensors = {name: torch.tensor([encoded[name][index]]) for name in tensor_names}
            yield {
                "example": sample,
                "is_last": index == windows - 1,
                **tensors,
                "p_mask": torch.tensor([self._forbidden(encoded, index)]),
                "encoding": encoded[index],
            }

    @property
    def _question_first(self) -> bool:
        return self.tokenizer.padding_side == "right"

    def _encode(
        self, example: SquadExample, padding: str | bool, doc_stride: int, max_seq_len: int
    ) -> Any:
        texts = (example.question_text, example.context_text)
        first, second = texts if self._question_first else texts[::-1]
        return self.tokenizer(
            text=first,
            text_pair=second,
            padding=padding,
            truncation="only_second" if self._question_first else "only_first",
            max_length=max_seq_len,
            stride=doc_stride,
            return_token_type_ids=True,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )

    def _forbidden(self, encoded: Any, window: int) -> list[bool]:
        """True for each token outside the context; the class token may stand for "no answer"."""
        context = 1 if self._question_first else 0
        classifier = self.tokenizer.cls_token_id
        return [
            sequence != context and (classifier is None or token != classifier)
            for sequence, token in zip(
                encoded.sequence_ids(window), encoded["input_ids"][window], strict=True
            )
        ]

    def _forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        tensors = {name: inputs[name] for name in self.tokenizer.model_input_names}
        output = self.model(**tensors, **self._without_cache)
        if isinstance(output, dict):
            start, end = output["start_logits"], output["end_logits"]
        else:
            start, end = output[:2]
        return {"start": start, "end": end, **inputs}

    def postprocess(
        self,
        model_outputs: list[dict[str, Any]],
        top_k: int = 1,
        handle_impossible_answer: bool = False,
        max_answer_len: int = 15,
        align_to_words: bool = True,
    ) -> Answer | list[Answer]:
        """The best answers of all windows, from start and end logits (1, T) each."""
        answers: list[Answer] = []
        no_answer = 1.0
        for output in model_outputs:
            spans, none_here = best_spans(
                output["start"][0].float().numpy(),
                output["end"][0].float().numpy(),
                _allowed(output),
                top_k=top_k,
                max_answer_len=max_answer_len,
            )
            no_answer = min(no_answer, none_here)
            answers += [self._answer(output, *span, align_to_words) for span in spans]
        if handle_impossible_answer:
            answers.append({"score": no_answer, "start": 0, "end": 0, "answer": ""})
        answers = sorted(answers, key=lambda answer: answer["score"], reverse=True)[:top_k]
        return answers[0] if len(answers) == 1 else answers

    def _answer(
        self, output: dict[str, Any], first: int, last: int, score: float, align_to_words: bool
    ) -> Answer:
        """The answer that tokens `first` to `last` of a window are."""
        encoding = output["encoding"]
        padded = (
            output["input_ids"].shape[-1] - len(encoding.ids) if not self._question_first else 0
        )
        start, end = span_of_characters(
            encoding,
            first - padded,
            last - padded,
            1 if self._question_first else 0,
            align_to_words,
        )
        text = output["example"].context_text
        return {"score": score, "start": start, "end": end, "answer": text[start:end]}


def _allowed(output: dict[str, Any]) -> np.ndarray:
    """True for each token (T,) at which an answer may start or end."""
    allowed = ~output["p_mask"][0].bool()
    if "attention_mask" in output:
        allowed &= output["attention_mask"][0].bool()
    return allowed.numpy()


def _example(question: str, context: str) -> SquadExample:
    return SquadExample(None, question, context, None, None, None)


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
