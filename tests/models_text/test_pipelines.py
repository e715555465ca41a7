"""The text pipelines beyond their results: choice of task, saving, kinds of input, errors."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import dovetail
from dovetail import SquadExample
from dovetail.errors import PipelineError, RemoteCodeError
from dovetail.pipelines import (
    PIPELINE_REGISTRY,
    KeyDataset,
    Pipeline,
    PipelineException,
)
from dovetail.testing.golden import Golden

GOLDEN = Path(__file__).parents[1] / "golden" / "pipelines"
TEXTS = ["hello world", "the capital of france is paris, not london", "great"]
CHAT = [{"role": "user", "content": "hello"}]
SHORT = {"max_new_tokens": 4, "do_sample": False}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny checkpoints by name, each with its tokenizer."""
    made = {}
    for path in GOLDEN.glob("*.json"):
        golden = Golden.read(path)
        folder = tmp_path_factory.mktemp(path.stem)
        golden.write_checkpoint(folder)
        for file in (GOLDEN / "tokenizers" / golden.content["tokenizer"]).iterdir():
            shutil.copy(file, folder)
        made[path.stem] = str(folder)
    return made


# Choice of task, class and parts.


@pytest.mark.parametrize(
    ("checkpoint", "task", "name"),
    [
        ("features", "feature-extraction", "FeatureExtractionPipeline"),
        ("masked", "fill-mask", "FillMaskPipeline"),
        ("classifier", "text-classification", "TextClassificationPipeline"),
        ("entailment", "text-classification", "TextClassificationPipeline"),
        ("tokens", "token-classification", "NerPipeline"),
        ("answers", "question-answering", "QuestionAnsweringPipeline"),
        ("continuations", "text-generation", "TextGenerationPipeline"),
        ("transformations", "text2text-generation", "Text2TextGenerationPipeline"),
    ],
)
def test_the_task_follows_from_the_model(folders, checkpoint, task, name):
    pipe = dovetail.pipeline(model=folders[checkpoint])
    assert type(pipe) is getattr(dovetail, name)
    assert pipe.task == task
    again = dovetail.pipeline(model=pipe.model, tokenizer=pipe.tokenizer)
    assert type(again) is type(pipe)


def test_parts_may_be_objects_folders_or_pairs(folders):
    folder = folders["classifier"]
    expected = dovetail.pipeline("text-classification", folder)(TEXTS)
    model = dovetail.AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = dovetail.AutoTokenizer.from_pretrained(folder)
    for arguments in (
        {"model": model, "tokenizer": tokenizer},
        {"model": model},
        {"model": Path(folder), "tokenizer": folder},
        {"model": folder, "tokenizer": (folder, {"do_lower_case": True})},
        {"model": folder, "config": folder},
        {"model": folder, "config": model.config},
    ):
        assert dovetail.pipeline("text-classification", **arguments)(TEXTS) == expected


def test_a_model_from_nowhere_needs_a_tokenizer():
    config = dovetail.BertConfig(
        vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4
    )
    model = dovetail.BertForSequenceClassification(config)
    with pytest.raises(PipelineError, match=r"needs a tokenizer.*pass tokenizer=\.\.\."):
        dovetail.pipeline("text-classification", model=model)


def test_types_and_settings_reach_the_model(folders):
    pipe = dovetail.pipeline(
        "feature-extraction",
        folders["features"],
        torch_dtype=torch.bfloat16,
        model_kwargs={"attn_implementation": "eager"},
    )
    assert pipe.torch_dtype is torch.bfloat16
    assert pipe.model.config._attn_implementation == "eager"
    assert not pipe.model.training
    assert torch.tensor(pipe("hello")).shape == (1, 3, 32)
    model = dovetail.BertModel.from_pretrained(folders["features"])
    assert dovetail.pipeline(model=model, torch_dtype="float16").torch_dtype is torch.float16


def test_a_model_of_another_task_is_reported(folders):
    with pytest.raises(ValueError, match="AutoModelForSeq2SeqLM"):
        dovetail.pipeline("summarization", folders["tokens"])


@pytest.mark.parametrize("checkpoint", ["classifier", "continuations", "answers"])
def test_saved_pipelines_load_as_they_were(folders, checkpoint, tmp_path: Path):
    pipe = dovetail.pipeline(model=folders[checkpoint])
    pipe.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    again = dovetail.pipeline(model=str(tmp_path))
    inputs: Any = {"question": "who?", "context": "sarah"} if checkpoint == "answers" else TEXTS
    arguments = SHORT if checkpoint == "continuations" else {}
    assert again(inputs, **arguments) == pipe(inputs, **arguments)


CUSTOM = """
from dovetail.pipelines import Pipeline


class LengthPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors="pt")

    def _forward(self, inputs):
        return {"length": inputs["input_ids"].shape[1], **self.model(**inputs)}

    def postprocess(self, outputs):
        return outputs["length"]
"""


def test_custom_pipelines_are_saved_and_load_with_consent(folders, tmp_path, monkeypatch):
    (tmp_path / "length_pipeline.py").write_text(CUSTOM)
    monkeypatch.syspath_prepend(str(tmp_path))
    from length_pipeline import LengthPipeline

    from dovetail import registry

    dovetail.pipelines.PIPELINE_REGISTRY.register_pipeline(
        "length", LengthPipeline, pt_model=dovetail.AutoModel
    )
    try:
        pipe = dovetail.pipeline("length", folders["features"])
        assert pipe("hello world") == 4
        pipe.save_pretrained(tmp_path / "saved")
    finally:
        registry.pipelines().remove("length")
        sys.modules.pop("length_pipeline")
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert saved["custom_pipelines"]["length"]["impl"] == "length_pipeline.LengthPipeline"
    (tmp_path / "length_pipeline.py").unlink()
    with pytest.raises(RemoteCodeError, match="trust_remote_code=True"):
        dovetail.pipeline(model=str(tmp_path / "saved"))
    again = dovetail.pipeline(model=str(tmp_path / "saved"), trust_remote_code=True)
    assert again("hello world") == 4
    assert type(again).__name__ == "LengthPipeline"


def test_every_declared_task_is_there():
    for task, entry in PIPELINE_REGISTRY.to_dict().items():
        assert issubclass(entry["impl"], Pipeline), task
        assert all(callable(cls.from_pretrained) for cls in entry["pt"]), task
        assert len(entry["default"]["model"]["pt"]) == 2, task
    assert PIPELINE_REGISTRY.task_aliases["ner"] == "token-classification"
    assert PIPELINE_REGISTRY.check_task("translation_en_to_fr")[::2] == (
        "translation",
        ("en", "fr"),
    )


# Real weights.


def test_features_of_a_real_checkpoint(minilm: Path):
    pipe = dovetail.pipeline("feature-extraction", str(minilm))
    text = "The quick brown fox jumps over the lazy dog."
    features = pipe(text, return_tensors=True)
    assert features.shape == (1, 12, 384)
    first = [0.04644398, 0.3380613, 0.20820515, 0.64679766, -0.19570939, -0.03707368]
    assert features[0, 0, :6].tolist() == pytest.approx(first, abs=1e-4)
    assert features.mean().item() == pytest.approx(0.002170721, abs=1e-6)
    assert features.std(correction=0).item() == pytest.approx(0.4614921, abs=1e-5)
    long, short = pipe([text, "Hello."], return_tensors=True, batch_size=2)
    torch.testing.assert_close(long, features, atol=1e-5, rtol=0)
    assert short.shape == (1, 12, 384)


# Kinds of input.


@pytest.mark.parametrize("checkpoint", ["classifier", "tokens", "features", "continuations"])
def test_lists_generators_and_datasets_agree(folders, checkpoint):
    pipe = dovetail.pipeline(model=folders[checkpoint])
    arguments = SHORT if checkpoint == "continuations" else {}
    expected = pipe(TEXTS, **arguments)
    assert list(pipe((text for text in TEXTS), **arguments)) == expected
    rows = KeyDataset([{"text": text} for text in TEXTS], "text")
    assert list(pipe(rows, **arguments)) == expected


@pytest.mark.parametrize("checkpoint", ["classifier", "tokens"])
def test_workers_change_nothing(folders, checkpoint):
    pipe = dovetail.pipeline(model=folders[checkpoint])
    expected = pipe(TEXTS, batch_size=2)
    ahead = pipe(TEXTS, batch_size=2, num_workers=2)
    assert [str(result)[:40] for result in ahead] == [str(result)[:40] for result in expected]
    assert len(ahead) == len(TEXTS)


def test_batches_of_prompts_generate_what_each_does(folders):
    pipe = dovetail.pipeline("text-generation", folders["continuations"])
    expected = pipe(TEXTS, **SHORT)
    pipe.tokenizer.pad_token = pipe.tokenizer.eos_token
    assert pipe(TEXTS, batch_size=3, **SHORT) == expected


def test_chats_in_every_container(folders):
    pipe = dovetail.pipeline("text-generation", folders["continuations"])
    one = pipe(CHAT, **SHORT)
    assert one[0]["generated_text"][:-1] == CHAT
    assert one[0]["generated_text"][-1]["role"] == "assistant"
    assert pipe(tuple(CHAT), **SHORT) == one
    assert pipe([CHAT, CHAT], **SHORT) == [one, one]
    assert list(pipe(iter([CHAT]), **SHORT)) == [one]
    assert list(pipe(KeyDataset([{"chat": CHAT}], "chat"), **SHORT)) == [one]
    with pytest.raises(PipelineError, match=r"Message 0 of a chat.*'role' and 'content'"):
        pipe([{"role": "user"}])


def test_prompts_may_be_empty(folders):
    pipe = dovetail.pipeline("text-generation", folders["continuations"])
    (result,) = pipe("", max_new_tokens=3, do_sample=False)
    assert isinstance(result["generated_text"], str)


def test_generation_stops_at_strings(folders):
    pipe = dovetail.pipeline("text-generation", folders["continuations"])
    arguments = {"do_sample": False, "return_full_text": False}
    (whole,) = pipe("hello the", max_new_tokens=10, **arguments)
    stop = whole["generated_text"][1:3]
    (cut,) = pipe("hello the", max_new_tokens=10, stop_strings=[stop], **arguments)
    assert stop in cut["generated_text"]
    assert whole["generated_text"].startswith(cut["generated_text"])
    assert len(cut["generated_text"]) < len(whole["generated_text"])


def test_generation_with_scores_still_gives_text(folders):
    for name in ("continuations", "transformations"):
        pipe = dovetail.pipeline(model=folders[name])
        scored = pipe("hello", return_dict_in_generate=True, output_scores=True, **SHORT)
        assert scored == pipe("hello", **SHORT)


def test_several_sequences_per_prompt(folders):
    pipe = dovetail.pipeline("text-generation", folders["continuations"])
    results = pipe(TEXTS[:2], num_return_sequences=3, num_beams=3, **SHORT)
    assert [len(result) for result in results] == [3, 3]


def test_answers_for_every_way_to_ask(folders):
    pipe = dovetail.pipeline("question-answering", folders["answers"])
    question, context = "who is it?", "my name is sarah and i live in london"
    expected = pipe(question=question, context=context)
    assert context[expected["start"] : expected["end"]] == expected["answer"]
    asked = {"question": question, "context": context}
    example = pipe.create_sample(question, context)
    assert isinstance(example, SquadExample)
    for inputs in ((asked,), (example,), (question, context), ([asked],)):
        assert pipe(*inputs) == expected
    assert list(pipe(iter([asked, asked]))) == [expected, expected]
    assert pipe([asked, example]) == [expected, expected]
    with pytest.warns(FutureWarning, match="data= is deprecated"):
        assert pipe(data=asked) == expected
    two = pipe.create_sample([question] * 2, [context] * 2)
    assert pipe(two) == [expected, expected]


def test_left_padded_tokenizers_find_the_same_answers(folders):
    pipe = dovetail.pipeline("question-answering", folders["answers"])
    pipe.tokenizer.padding_side = "left"
    contexts = ["my name is sarah and i live in london", "paris"]
    alone = [pipe(question="who?", context=context) for context in contexts]
    together = pipe(question=["who?"] * 2, context=contexts, batch_size=2)
    assert [answer["answer"] for answer in together] == [answer["answer"] for answer in alone]
    for answer, context in zip(together, contexts, strict=True):
        assert context[answer["start"] : answer["end"]] == answer["answer"]


def test_squad_examples_know_their_words():
    example = SquadExample("1", "where?", "I live in  London.", "London", 11, "t")
    assert example.doc_tokens == ["I", "live", "in", "London."]
    assert (example.start_position, example.end_position) == (3, 3)
    assert example.char_to_word_offset[:4] == [0, 0, 1, 1]
    assert SquadExample("1", "q", "c", None, None, None, is_impossible=True).end_position == 0


def test_hypotheses_too_long_to_cut_are_kept_whole(folders):
    pipe = dovetail.pipeline("zero-shot-classification", folders["entailment"])
    pipe.tokenizer.model_max_length = 8
    result = pipe("hello", candidate_labels=["politics and science and food", "food"])
    assert sum(result["scores"]) == pytest.approx(1)


def test_zero_shot_says_when_no_label_means_entailment(folders, caplog):
    dovetail.pipeline("zero-shot-classification", folders["classifier"])
    assert "No label of the model begins with 'entail'" in caplog.text


def test_languages_come_from_the_task_or_the_call(folders):
    built = []
    pipe = dovetail.pipeline("translation_en_to_de", folders["transformations"])

    def build(*texts: str, return_tensors: str, truncation: Any, src_lang: str, tgt_lang: str):
        built.append((texts, src_lang, tgt_lang))
        return pipe.tokenizer(*texts, return_tensors=return_tensors)

    pipe.tokenizer._build_translation_inputs = build
    pipe("hello", max_length=4)
    pipe("hello", src_lang="en", tgt_lang="fr", max_length=4)
    assert built == [(("hello",), "en", "de"), (("hello",), "en", "fr")]


def test_a_translation_without_languages_takes_the_models_first(folders):
    with pytest.warns(UserWarning, match="'translation_en_to_de' is used"):
        pipe = dovetail.pipeline("translation", folders["transformations"])
    assert pipe.task == "translation_en_to_de"
    assert pipe.model.config.prefix == "translate English to German: "


@pytest.mark.parametrize("task", ["translation", "translation_de_to_xx"])
def test_a_translation_has_a_default_for_three_pairs_only(task):
    with pytest.raises(PipelineError, match="translation_en_to_fr, translation_en_to_de"):
        dovetail.pipeline(task)


def test_lengths_that_make_no_sense_are_reported(folders, caplog):
    summary = dovetail.pipeline("summarization", folders["transformations"])
    summary("hello", max_length=60, max_new_tokens=2)
    assert "a summary is shorter than its text" in caplog.text
    caplog.clear()
    dovetail.pipeline("translation_en_to_de", folders["transformations"])(TEXTS[1], max_length=3)
    assert "leaves little room" in caplog.text


# Errors: what is wrong, where, what to do.


@pytest.mark.parametrize(
    ("checkpoint", "task"),
    [
        ("features", "feature-extraction"),
        ("masked", "fill-mask"),
        ("classifier", "text-classification"),
        ("tokens", "token-classification"),
        ("continuations", "text-generation"),
        ("transformations", "text2text-generation"),
    ],
)
@pytest.mark.parametrize("value", [3, None, 2.5])
def test_inputs_that_are_no_text(folders, checkpoint, task, value):
    pipe = dovetail.pipeline(task, folders[checkpoint])
    with pytest.raises(ValueError, match=f"'{task}' pipeline (takes|needs)"):
        pipe(value)
    if checkpoint not in ("masked",):
        with pytest.raises(ValueError, match=f"'{task}' pipeline (takes|needs)"):
            pipe(["fine", value])


REFUSED: list[tuple[str, Any, dict[str, Any], str]] = [
    ("masked", "no mask here", {}, r"holds no mask token: write \[MASK\]"),
    ("masked", "[MASK]", {"targets": []}, "names no token"),
    ("classifier", "x", {"function_to_apply": "tanh"}, "none of: sigmoid, softmax, none"),
    ("classifier", [["a", "b"]], {}, "takes a string"),
    ("tokens", [], {}, "at least one input"),
    ("tokens", "x", {"aggregation_strategy": "mean"}, "none of: none, simple, first"),
    ("tokens", "x", {"stride": 4}, "choose another strategy"),
    ("tokens", "x", {"stride": 64, "aggregation_strategy": "max"}, "model_max_length=64"),
    ("tokens", "x", {"offset_mapping": [[(0, 1)], [(0, 1)]]}, "2 entries for 1 inputs"),
    ("answers", {"question": "who?", "context": ""}, {}, "context.* not empty"),
    ("answers", {"question": "", "context": "x"}, {}, "question.* not empty"),
    ("answers", "only one text", {}, "cannot read str"),
    ("answers", [3], {}, "3 is no question"),
    ("answers", {"question": "q", "context": "c"}, {"top_k": 0}, "top_k=0"),
    ("answers", {"question": "q", "context": "c"}, {"max_answer_len": 0}, "max_answer_len=0"),
    ("answers", {"question": "q", "context": "c"}, {"doc_stride": 900}, "doc_stride=900"),
    ("entailment", "x", {"candidate_labels": []}, "at least one label"),
    ("entailment", "x", {}, "at least one label"),
    ("entailment", "", {"candidate_labels": "a"}, "at least one label and one sequence"),
    ("entailment", "x", {"candidate_labels": "a", "hypothesis_template": "no"}, "no place for"),
    ("continuations", "x", {"handle_long_generation": "cut"}, "only strategy is 'hole'"),
    ("continuations", "x", {"return_full_text": True, "return_tensors": True}, "exclude"),
    ("continuations", "x", {"stop_sequence": ""}, "has no token"),
    (
        "continuations",
        "the world " * 9,
        {"handle_long_generation": "hole", "max_length": 5},
        "leaves none to generate",
    ),
    (
        "continuations",
        "x",
        {"handle_long_generation": "hole", "max_new_tokens": 500},
        "do not fit into the model's 128",
    ),
    (
        "features",
        "x",
        {"truncation": True, "tokenize_kwargs": {"truncation": True}},
        "give it once",
    ),
]
TASKS = {"entailment": "zero-shot-classification"}


@pytest.mark.parametrize(("checkpoint", "inputs", "arguments", "message"), REFUSED)
def test_arguments_that_cannot_be(folders, checkpoint, inputs, arguments, message):
    pipe = dovetail.pipeline(TASKS.get(checkpoint), folders[checkpoint])
    with pytest.raises((ValueError, PipelineException), match=message):
        pipe(inputs, **arguments)


def test_questions_and_contexts_must_match(folders):
    pipe = dovetail.pipeline("question-answering", folders["answers"])
    with pytest.raises(PipelineError, match="2 questions came with 1 contexts"):
        pipe(question=["a", "b"], context=["c"])
    with pytest.raises(PipelineError, match="question is a str and context a list"):
        pipe(question="a", context=["c"])
    with pytest.raises(PipelineError, match="got nothing"):
        pipe()
    with pytest.raises(KeyError, match="'context'"):
        pipe({"question": "who?"})


def test_masks_need_a_mask_token(folders):
    tokenizer = dovetail.AutoTokenizer.from_pretrained(folders["continuations"])
    with pytest.raises(PipelineException, match="has no mask token"):
        dovetail.pipeline("fill-mask", folders["masked"], tokenizer=tokenizer)


def test_too_many_arguments_for_zero_shot(folders):
    pipe = dovetail.pipeline("zero-shot-classification", folders["entailment"])
    with pytest.raises(PipelineError, match="too many"):
        pipe("x", ["a"], ["b"])


@pytest.mark.parametrize(
    ("checkpoint", "arguments", "message"),
    [
        ("classifier", {"return_all_scores": True}, "return_all_scores is deprecated"),
        ("tokens", {"grouped_entities": True}, "aggregation_strategy='simple'"),
        ("tokens", {"grouped_entities": True, "ignore_subwords": True}, "'first'"),
    ],
)
def test_retired_arguments_say_what_to_write(folders, checkpoint, arguments, message):
    pipe = dovetail.pipeline(model=folders[checkpoint])
    with pytest.warns(FutureWarning, match=message):
        pipe("hello", **arguments)


def test_target_words_outside_the_vocabulary_are_reported(folders, caplog):
    pipe = dovetail.pipeline("fill-mask", folders["masked"])
    pipe("hello [MASK]", targets=["londons"])
    assert "'londons' is not in the vocabulary: its first piece 'london' is used" in caplog.text


def test_long_stop_sequences_are_reported(folders, caplog):
    pipe = dovetail.pipeline("text-generation", folders["continuations"])
    pipe("hello", stop_sequence="xyz", max_new_tokens=2)
    assert "3 tokens: generation stops at the first of them, 'x'" in caplog.text
