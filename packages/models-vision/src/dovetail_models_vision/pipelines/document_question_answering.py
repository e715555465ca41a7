"""A question about a document to answers: spans of its words, or what a model writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from dovetail.errors import PipelineError
from dovetail.pipelines import ChunkPipeline, Pipeline
from dovetail.pipelines.batching import PadCollate
from dovetail_models_text.pipelines.answers import best_spans
from dovetail_models_text.pipelines.generating import given
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.image_input import ImagePipeline
from dovetail_models_vision.pipelines.ocr import PAGE, Box, read_words

MAX_STRIDE = 256
PROMPT = "<s_docvqa><s_question>{}</s_question><s_answer>"
"""How models that write are asked (Donut, arXiv 2111.15664)."""
WRITTEN = re.compile(r"<s_answer>(.*)</s_answer>", re.DOTALL)
KEPT = ("word_ids", "words", "p_mask", "attention_mask", "is_last")
"""What goes along with the logits of a window."""


class DocumentQuestionAnsweringPipeline(ImagePipeline, ChunkPipeline):
    """Answers to a `question` about a document: ``{"score", "answer", "start", "end"}``, where
    start and end count words, the likeliest `top_k` (1); models that write give ``{"answer"}``.

    The document is a picture, whose words Tesseract reads (`lang` and `tesseract_config` are its
    own) unless `word_boxes` gives them: pairs of a word and its box, left, top, right and bottom in
    thousandths of the page. Inputs may also be mappings ``{"image", "question", "word_boxes"}``.
    Long documents are read in windows of `max_seq_len` tokens that overlap by `doc_stride`;
    `max_answer_len` (15) counts tokens; with `handle_impossible_answer` the empty answer competes.
    """

    def __call__(
        self, image: Any = None, question: str | None = None, word_boxes: Any = None, **kwargs: Any
    ) -> Any:
        """The answers for one document, a list for a list, an iterator for a dataset or
        generator."""
        image = kwargs.pop("images", image)
        if word_boxes is not None:
            image = {"image": image, "question": question, "word_boxes": word_boxes}
        elif question is not None:
            kwargs["question"] = question
        return super().__call__(image, **kwargs)

    def _sanitize_parameters(
        self,
        question: str | None = None,
        padding: Any = None,
        doc_stride: int | None = None,
        max_seq_len: int | None = None,
        lang: str | None = None,
        tesseract_config: str | None = None,
        timeout: float | None = None,
        top_k: int | None = None,
        max_answer_len: int | None = None,
        handle_impossible_answer: bool | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name, value in given(top_k=top_k, max_answer_len=max_answer_len).items():
            if value < 1:
                raise PipelineError(f"{name}={value}: it must be at least 1.")
        preprocess = given(
            question=question,
            padding=padding,
            doc_stride=doc_stride,
            max_seq_len=max_seq_len,
            lang=lang,
            tesseract_config=tesseract_config,
            timeout=timeout,
        )
        postprocess = given(
            top_k=top_k,
            max_answer_len=max_answer_len,
            handle_impossible_answer=handle_impossible_answer,
        )
        return preprocess, {}, postprocess

    @property
    def _writes(self) -> bool:
        return hasattr(self.model, "generate")

    def preprocess(
        self,
        inputs: Any,
        question: str | None = None,
        padding: Any = "do_not_pad",
        doc_stride: int | None = None,
        max_seq_len: int | None = None,
        lang: str | None = None,
        tesseract_config: str = "",
        timeout: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Windows of question and words; in ``p_mask`` 0 marks the tokens at which an answer may
        start or end."""
        asked = dict(inputs) if isinstance(inputs, Mapping) else {"image": inputs}
        question = asked.get("question") or question
        if not isinstance(question, str) or not question.strip():
            raise PipelineError(
                f"question={question!r}: pass a document and question=..., or "
                '{"image": ..., "question": ...}.'
            )
        image = asked.get("image")
        picture = None if image is None else self.read(image, timeout)
        if self._writes:
            yield self._prompt(picture, question)
            return
        if asked.get("word_boxes") is not None:
            words, boxes = checked(asked["word_boxes"])
        elif picture is not None:
            words, boxes = read_words(picture, lang, tesseract_config)
        else:
            raise PipelineError("A document is needed: pass a picture, or word_boxes=[...].")
        if not words:
            raise PipelineError("The document has no words: nothing can be answered from it.")
        yield from self._windows(question, words, boxes, padding, doc_stride, max_seq_len)

    def _prompt(self, picture: Image.Image | None, question: str) -> dict[str, Any]:
        if picture is None:
            raise PipelineError(
                f"{type(self.model).__name__} reads pictures: pass one, words are not enough."
            )
        prompt = self.tokenizer(PROMPT.format(question), add_special_tokens=False)["input_ids"]
        return {**self.prepare(picture), "prompt": [prompt], "is_last": True}

    def _windows(
        self,
        question: str,
        words: list[str],
        boxes: list[Box],
        padding: Any,
        doc_stride: int | None,
        max_seq_len: int | None,
    ) -> Iterator[dict[str, Any]]:
        if self.tokenizer.padding_side != "right":
            raise PipelineError(
                "The tokenizer pads on the left, where the question stands: set "
                'pipe.tokenizer.padding_side = "right".'
            )
        length = self.tokenizer.model_max_length if max_seq_len is None else max_seq_len
        encoded = self.tokenizer(
            text=question.split(),
            text_pair=words,
            is_split_into_words=True,
            padding=padding,
            truncation="only_second",
            max_length=length,
            stride=min(length // 2, MAX_STRIDE) if doc_stride is None else doc_stride,
            return_token_type_ids=True,
            return_overflowing_tokens=True,
        )
        names = [name for name in encoded if name != "overflow_to_sample_mapping"]
        first = self.tokenizer.cls_token_id  # stands for "no answer"
        count = len(encoded["input_ids"])
        for window in range(count):
            sequences, word_ids = encoded.sequence_ids(window), encoded.word_ids(window)
            tokens = zip(encoded["input_ids"][window], sequences, strict=True)
            forbidden = [sequence != 1 and token != first for token, sequence in tokens]
            yield {
                **{name: torch.tensor([encoded[name][window]]) for name in names},
                "bbox": torch.tensor([self._boxes(encoded, window, boxes)]),
                "p_mask": torch.tensor([forbidden]),
                "word_ids": [word_ids],
                "words": [words],
                "is_last": window == count - 1,
            }

    def _boxes(self, encoded: Any, window: int, boxes: list[Box]) -> list[Box]:
        """The box of each token: its word's, the far corner for separators, else the near one."""
        separator = self.tokenizer.sep_token_id
        tokens = zip(
            encoded["input_ids"][window],
            encoded.sequence_ids(window),
            encoded.word_ids(window),
            strict=True,
        )
        return [
            boxes[word] if sequence == 1 else [PAGE if token == separator else 0] * 4
            for token, sequence, word in tokens
        ]

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        if self._writes:
            return self._write(dict(model_inputs))
        aside = ("word_ids", "words", "p_mask", "is_last")
        outputs = self.model(**{n: v for n, v in model_inputs.items() if n not in aside})
        kept = {name: model_inputs[name] for name in KEPT}
        return {"start": outputs["start_logits"], "end": outputs["end_logits"], **kept}

    def _write(self, inputs: dict[str, Any]) -> dict[str, Any]:
        prompts, is_last = inputs.pop("prompt"), inputs.pop("is_last")
        rows = [row[0] for row in prompts] if isinstance(prompts[0][0], list) else prompts
        if len({len(row) for row in rows}) > 1:
            raise PipelineError(
                "Questions of several lengths cannot be answered in one batch by a model that "
                "writes: call the pipeline with batch_size=1."
            )
        ids = torch.tensor(rows, device=inputs["pixel_values"].device)
        written = self.model.generate(**inputs, decoder_input_ids=ids)
        sequences = written if isinstance(written, Tensor) else written["sequences"]
        return {"sequences": sequences, "is_last": is_last}

    def postprocess(
        self,
        model_outputs: list[dict[str, Any]],
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
    ) -> list[dict[str, Any]]:
        """What was written, or the best answers of all windows."""
        if "sequences" in model_outputs[0]:
            return [self._read_answer(output["sequences"][0]) for output in model_outputs]
        answers: list[dict[str, Any]] = []
        no_answer = 1.0
        for output in model_outputs:
            allowed = ~output["p_mask"][0].bool() & output["attention_mask"][0].bool()
            spans, none_here = best_spans(
                output["start"][0].float().numpy(),
                output["end"][0].float().numpy(),
                allowed.numpy(),
                top_k=top_k,
                max_answer_len=max_answer_len,
            )
            no_answer = min(no_answer, none_here)
            (word_ids,), (words,) = output["word_ids"], output["words"]
            for first, last, score in spans:
                start, end = word_ids[first], word_ids[last]
                if start is None or end is None:
                    continue
                text = " ".join(words[start : end + 1])
                answers.append({"score": score, "answer": text, "start": start, "end": end})
        if handle_impossible_answer:
            answers.append({"score": no_answer, "answer": "", "start": 0, "end": 0})
        return sorted(answers, key=lambda answer: answer["score"], reverse=True)[:top_k]

    def _read_answer(self, sequence: Tensor) -> dict[str, str | None]:
        text = self.tokenizer.decode(sequence)
        for token in (self.tokenizer.eos_token, self.tokenizer.pad_token):
            text = text.replace(token or "", "")
        found = WRITTEN.search(text)
        return {"answer": found[1].strip() if found else None}

    def _collate(self) -> PadCollate:
        return Pipeline._collate(self)

    def draw(self, inputs: Any, result: Any) -> Image.Image:
        """The document above its answers."""
        picture = inputs["image"] if isinstance(inputs, Mapping) else inputs
        scored = [{"label": one["answer"] or "", "score": one.get("score")} for one in result]
        return drawing.with_lines(self.read(picture), drawing.label_lines(scored))


def checked(word_boxes: Any) -> tuple[list[str], list[Box]]:
    """Words and boxes of pairs; `PipelineError` for what is none."""
    words, boxes = [], []
    for pair in word_boxes:
        if not (isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[0], str)):
            raise PipelineError(f"word_boxes holds {pair!r}: give pairs of a word and its box.")
        word, box = pair[0], [int(edge) for edge in pair[1]]
        if len(box) != 4 or not all(0 <= edge <= PAGE for edge in box):
            raise PipelineError(
                f"word_boxes has the box {box} for {word!r}: give left, top, right and bottom from "
                f"0 to {PAGE}, in thousandths of the page."
            )
        if box[0] > box[2] or box[1] > box[3]:
            raise PipelineError(
                f"word_boxes has the box {box} for {word!r}, which ends before it starts."
            )
        words.append(word)
        boxes.append(box)
    return words, boxes
