"""The pipeline bases: batching, iterators, devices, registration, and answers to bad input."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

import dovetail
from dovetail import registry
from dovetail.caches import DynamicCache
from dovetail.errors import PipelineError, UnknownNameError
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.pipelines import (
    PIPELINE_REGISTRY,
    ChunkPipeline,
    KeyDataset,
    KeyPairDataset,
    Pipeline,
    PipelineException,
)
from dovetail.pipelines.batching import PadCollate, unbatch

WORDS = ["a", "bb", "ccc", "dddd", "eeeee"]


class Summing(nn.Module):
    """Sums the embeddings of ids that are not masked."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(128, 4)
        self.config = types.SimpleNamespace(task_specific_params={"shout": {"loud": True}})
        self.config.update = self.config.__dict__.update
        self.batches: list[int] = []

    def can_generate(self) -> bool:
        return False

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        self.batches.append(len(input_ids))
        states = self.embedding(input_ids) * attention_mask[..., None]
        return {"sum": states.sum(1), "per_token": states}


class Letters:
    """A tokenizer whose ids are code points."""

    padding_side = "right"
    pad_token_id: int | None = 0

    def __call__(self, text: str) -> dict[str, Tensor]:
        ids = torch.tensor([[ord(letter) for letter in text]])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


class SumPipeline(Pipeline):
    def _sanitize_parameters(self, suffix: str | None = None, factor: int | None = None, **kwargs):
        assert not kwargs
        preprocess = {} if suffix is None else {"suffix": suffix}
        return preprocess, {}, {} if factor is None else {"factor": factor}

    def preprocess(self, text: str, suffix: str = "") -> dict[str, Any]:
        return {**self.tokenizer(text + suffix), "text": text}

    def _forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        inputs = dict(inputs)
        text = inputs.pop("text")
        return {**self.model(**inputs), "text": text}

    def postprocess(self, outputs: dict[str, Any], factor: int = 1) -> dict[str, Any]:
        assert outputs["sum"].shape == (1, 4)
        return {"text": outputs["text"], "sum": (factor * outputs["sum"][0]).tolist()}


class LetterPipeline(ChunkPipeline):
    """One chunk per letter."""

    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text: str) -> Iterator[dict[str, Any]]:
        for index, letter in enumerate(text):
            yield {
                "letter": letter,
                "is_last": index == len(text) - 1,
                **self.tokenizer(letter * (index + 1)),
            }

    def _forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        aside = {name: inputs[name] for name in ("letter", "is_last")}
        tensors = {name: value for name, value in inputs.items() if name not in aside}
        return {**aside, **self.model(**tensors)}

    def postprocess(self, outputs: list[dict[str, Any]]) -> tuple[str, float]:
        text = "".join(output["letter"] for output in outputs)
        return text, round(float(sum(output["sum"].sum() for output in outputs)), 3)


class Numbers(Dataset):
    def __len__(self) -> int:
        return len(WORDS)

    def __getitem__(self, index: int) -> dict[str, str]:
        return {"word": WORDS[index], "other": WORDS[-index]}


@pytest.fixture
def pipe() -> SumPipeline:
    return SumPipeline(Summing(), tokenizer=Letters())


@pytest.fixture
def chunks() -> LetterPipeline:
    return LetterPipeline(Summing(), tokenizer=Letters())


@pytest.fixture
def forget() -> Iterator[None]:
    """Take back the tasks that a test registers."""
    before = set(registry.pipelines().names())
    yield
    for name in set(registry.pipelines().names()) - before:
        registry.pipelines().remove(name)


def sums(results: Any) -> list[list[float]]:
    return [[round(value, 4) for value in result["sum"]] for result in results]


def test_one_input_gives_one_result_and_a_list_a_list(pipe):
    one = pipe("a")
    assert one["text"] == "a"
    assert pipe(["a"]) == [one]
    assert pipe([]) == []


@pytest.mark.parametrize("batch_size", [2, 3, 5, 8])
def test_batches_change_nothing(pipe, batch_size):
    alone = pipe(WORDS)
    pipe.model.batches.clear()
    together = pipe(WORDS, batch_size=batch_size)
    assert sums(together) == sums(alone)
    assert [result["text"] for result in together] == WORDS
    whole, rest = divmod(len(WORDS), batch_size)
    assert pipe.model.batches == [batch_size] * whole + [rest] * bool(rest)


def test_batch_size_and_other_arguments_can_be_set_once(pipe):
    preset = SumPipeline(pipe.model, tokenizer=Letters(), batch_size=5, factor=2, suffix="!")
    expected = pipe(WORDS, factor=2, suffix="!")
    pipe.model.batches.clear()
    assert sums(preset(WORDS)) == sums(expected)
    assert pipe.model.batches == [5]
    assert sums([preset("a", factor=1)]) == sums([pipe("a!")])


def test_generators_are_read_a_batch_at_a_time(pipe):
    taken = []

    def generate():
        for word in WORDS:
            taken.append(word)
            yield word

    results = pipe(generate(), batch_size=2)
    assert taken == []
    assert next(results)["text"] == "a"
    assert taken == ["a", "bb"]
    assert [result["text"] for result in results] == WORDS[1:]
    with pytest.raises(TypeError, match="no length"):
        len(results)
    assert sums(pipe(iter(WORDS))) == sums(pipe(WORDS))


def test_datasets_give_iterators_with_a_length(pipe):
    results = pipe(KeyDataset(Numbers(), "word"), batch_size=2)
    assert len(results) == len(WORDS)
    bar = tqdm(results, disable=True)
    assert [result["text"] for result in bar] == WORDS
    pair = KeyPairDataset(Numbers(), "word", "other")
    assert len(pair) == len(WORDS)
    assert pair[1] == {"text": "bb", "text_pair": "eeeee"}


@pytest.mark.parametrize("batch_size", [1, 2])
def test_workers_change_nothing(pipe, chunks, batch_size):
    arguments = {"num_workers": 2, "batch_size": batch_size}
    assert sums(pipe(WORDS, **arguments)) == sums(pipe(WORDS))
    assert sums(pipe(iter(WORDS), **arguments)) == sums(pipe(WORDS))
    assert sums(pipe(KeyDataset(Numbers(), "word"), **arguments)) == sums(pipe(WORDS))
    assert chunks(WORDS, **arguments) == chunks(WORDS)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 20])
def test_chunks_come_back_grouped(chunks, batch_size):
    expected = [chunks.run_single(word, {}, {}, {}) for word in WORDS]
    assert [text for text, _ in expected] == WORDS
    assert chunks(WORDS, batch_size=batch_size) == expected
    assert chunks(WORDS[3], batch_size=batch_size) == expected[3]
    assert list(chunks(iter(WORDS), batch_size=batch_size)) == expected


def test_run_multi_equals_a_list(pipe):
    assert pipe.run_multi(WORDS, {}, {}, {}) == pipe(WORDS)
    assert pipe.transform(WORDS) == pipe.predict(WORDS) == pipe(WORDS)


class WholeBatches(SumPipeline):
    def preprocess_many(self, inputs: list[str], **kwargs: Any) -> Any:
        if "bb" in inputs:
            return None
        items = [self.preprocess(text, **kwargs) for text in inputs]
        return self._collate()(items)


def test_a_task_may_prepare_whole_batches(pipe):
    whole = WholeBatches(pipe.model, tokenizer=Letters())
    assert whole._prepares_many
    assert sums(whole(WORDS, batch_size=2)) == sums(pipe(WORDS))

    class Louder(WholeBatches):
        def preprocess(self, text: str, suffix: str = "") -> dict[str, Any]:
            return super().preprocess(text.upper(), suffix)

    louder = Louder(pipe.model, tokenizer=Letters())
    assert not louder._prepares_many
    assert sums(louder(WORDS, batch_size=2)) == sums(pipe([word.upper() for word in WORDS]))


def test_results_need_no_gradients_and_can_have_them(pipe):
    outputs = pipe.forward(pipe.preprocess("abc"))
    assert not outputs["sum"].requires_grad
    (outputs["sum"] * torch.ones(4, requires_grad=True)).sum().backward()


def test_tensors_are_moved_however_they_are_nested(pipe):
    pipe.device = torch.device("meta")
    output = BaseModelOutputWithPast(
        last_hidden_state=torch.ones(1), hidden_states=(torch.ones(1),)
    )
    moved = pipe.ensure_tensor_on_device(a=torch.ones(1), b=[torch.ones(1), "x"], c=output, d=3)
    assert moved["a"].is_meta
    assert moved["b"][0].is_meta
    assert moved["b"][1] == "x"
    assert type(moved["c"]) is BaseModelOutputWithPast
    assert moved["c"].hidden_states[0].is_meta
    assert moved["d"] == 3


def test_model_is_put_into_evaluation_mode_and_type(pipe):
    model = Summing().train()
    made = SumPipeline(model, tokenizer=Letters(), torch_dtype="bfloat16")
    assert not made.model.training
    assert made.model.embedding.weight.dtype is torch.bfloat16
    assert pipe.device == torch.device("cpu")
    assert SumPipeline(model, tokenizer=Letters(), device=-1).device == torch.device("cpu")


def test_task_specific_parameters_are_adopted():
    made = SumPipeline(Summing(), tokenizer=Letters(), task="shout")
    assert made.model.config.loud is True


def test_model_type_is_checked(pipe, caplog):
    pipe.check_model_type({"x": "Summing"})
    assert not caplog.records
    pipe.check_model_type(["BertModel"])
    assert "'Summing' is not made for the task" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: it must be at least 1"),
        ({"num_workers": -1}, "num_workers=-1"),
    ],
)
def test_counts_that_cannot_be(pipe, arguments, message):
    with pytest.raises(PipelineError, match=message):
        pipe(WORDS, **arguments)


def test_batching_needs_a_padding_token(pipe):
    pipe.tokenizer.pad_token_id = None
    assert pipe(WORDS)
    with pytest.raises(PipelineError, match=r"pad_token = pipe\.tokenizer\.eos_token"):
        pipe(WORDS, batch_size=2)


@pytest.mark.parametrize(
    "device", ["nowhere", "cuda:x", *([] if torch.cuda.is_available() else [0, "cuda"])]
)
def test_devices_that_are_none(device):
    with pytest.raises(PipelineError, match="is no device that torch can use"):
        SumPipeline(Summing(), tokenizer=Letters(), device=device)


def test_device_and_device_map_exclude_each_other():
    model = Summing()
    model.hf_device_map = {"embedding": "cpu", "head": "disk"}
    with pytest.raises(PipelineError, match=r"spread over \['cpu', 'disk'\]"):
        SumPipeline(model, tokenizer=Letters(), device="cpu")
    assert SumPipeline(model, tokenizer=Letters()).device == torch.device("cpu")


def test_other_frameworks_are_refused(pipe):
    with pytest.raises(PipelineError, match="framework='tf'"):
        SumPipeline(pipe.model, tokenizer=Letters(), framework="tf")


def test_surplus_positional_arguments_are_reported(pipe, caplog):
    pipe("a", "b")
    assert "ignores the positional arguments ('b',)" in caplog.text


# Collation and its inverse.


def item(length: int, **extra: Any) -> dict[str, Any]:
    return {"input_ids": torch.arange(1, length + 1)[None], **extra}


def test_collation_pads_on_the_asked_side():
    batch = PadCollate({"input_ids": 9}, "left")([item(2), item(3)])
    assert batch["input_ids"].tolist() == [[9, 1, 2], [1, 2, 3]]
    batch = PadCollate({"input_ids": 9})([item(2, name="x"), item(3, name="y")])
    assert batch["input_ids"].tolist() == [[1, 2, 9], [1, 2, 3]]
    assert batch["name"] == ["x", "y"]


def test_collation_of_frames_and_of_equal_shapes():
    frames = [{"input_features": torch.ones(1, n, 3)} for n in (2, 4)]
    assert PadCollate({})(frames)["input_features"].shape == (2, 4, 3)
    pictures = [{"pixel_values": torch.ones(1, 3, 2, 2)}] * 2
    assert PadCollate({})(pictures)["pixel_values"].shape == (2, 3, 2, 2)


def test_collation_refuses_what_does_not_stack():
    with pytest.raises(PipelineError, match=r"'input_ids' of one input has the shape \(2, 3\)"):
        PadCollate({})([item(1), {"input_ids": torch.ones(2, 3)}])
    with pytest.raises(PipelineError, match=r"shape \(\)"):
        PadCollate({})([{"score": torch.tensor(1.0)}] * 2)
    with pytest.raises(PipelineError, match="different keys"):
        PadCollate({})([item(1), item(1, extra=1)])
    pictures = [{"pixel_values": torch.ones(1, 3, 2, n)} for n in (2, 3)]
    with pytest.raises(PipelineError, match=r"'pixel_values'.*\(1, 3, 2, 2\), \(1, 3, 2, 3\)"):
        PadCollate({})(pictures)


def test_unbatching_keeps_the_kind_of_output():
    cache = DynamicCache.from_legacy_cache(((torch.rand(2, 1, 3, 4), torch.rand(2, 1, 3, 4)),))
    states = (torch.rand(2, 3, 4), torch.rand(2, 3, 4))
    output = BaseModelOutputWithPast(
        last_hidden_state=states[-1], hidden_states=states, past_key_values=cache
    )
    first, second = unbatch(output, 2)
    assert type(first) is BaseModelOutputWithPast
    assert torch.equal(second.last_hidden_state, states[1][1:])
    assert [tuple(state.shape) for state in first.hidden_states] == [(1, 3, 4)] * 2
    assert first.past_key_values[0][0].shape == (1, 1, 3, 4)
    assert first.attentions is None


def test_unbatching_of_other_values():
    output = {"list": ["a", "b"], "none": None, "array": np.arange(4).reshape(2, 2), "n": 7}
    output["scalar"] = torch.tensor(1.5)
    first, second = unbatch(output, 2)
    assert (first["list"], second["list"], first["none"], second["n"]) == ("a", "b", None, 7)
    assert second["array"].tolist() == [[2, 3]]
    assert first["scalar"] == second["scalar"] == 1.5
    assert [t.tolist() for t in unbatch(torch.tensor([[1], [2]]), 2)] == [[[1]], [[2]]]


# Registration and the factory.


def test_registered_tasks_are_found(pipe, forget):
    PIPELINE_REGISTRY.register_pipeline("sum-letters", SumPipeline, pt_model=Summing, type="text")
    assert "sum-letters" in PIPELINE_REGISTRY.get_supported_tasks()
    name, entry, languages = PIPELINE_REGISTRY.check_task("sum-letters")
    assert (name, entry["impl"], entry["pt"], languages) == (
        "sum-letters",
        SumPipeline,
        (Summing,),
        None,
    )
    made = dovetail.pipeline("sum-letters", model=pipe.model, tokenizer=Letters(), suffix="!")
    assert type(made) is SumPipeline
    assert made.task == "sum-letters"
    assert sums([made("a")]) == sums([pipe("a!")])


def test_a_class_of_ones_own_needs_no_registration(pipe):
    made = dovetail.pipeline(
        "anything", model=pipe.model, tokenizer=Letters(), pipeline_class=SumPipeline
    )
    assert sums([made("a")]) == sums([pipe("a")])


def test_unknown_tasks_name_their_neighbours(forget):
    PIPELINE_REGISTRY.register_pipeline("sum-letters", SumPipeline)
    with pytest.raises(UnknownNameError, match=r"no task 'sum-leters'.*'sum-letters'"):
        dovetail.pipeline("sum-leters")


def test_a_task_without_default_model_asks_for_one(forget):
    PIPELINE_REGISTRY.register_pipeline("sum-letters", SumPipeline)
    with pytest.raises(PipelineError, match=r"no default model.*model=\.\.\."):
        dovetail.pipeline("sum-letters")
    with pytest.raises(PipelineError, match="write"):
        PIPELINE_REGISTRY.register_pipeline("sum-letters", SumPipeline, default={"pt": 3})


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, RuntimeError, "needs a task or a model"),
        ({"task": "x", "tokenizer": "y"}, RuntimeError, "a tokenizer but no model"),
        ({"task": "x", "feature_extractor": "y"}, RuntimeError, "a feature_extractor but no"),
        ({"task": "x", "model": "y", "framework": "tf"}, ValueError, "framework='tf'"),
        ({"task": "x", "model": "y", "device": 0, "device_map": "auto"}, ValueError, "exclude"),
        (
            {
                "task": "x",
                "model": "y",
                "torch_dtype": "auto",
                "model_kwargs": {"torch_dtype": "auto"},
            },
            ValueError,
            "give it once",
        ),
    ],
)
def test_arguments_that_contradict_each_other(arguments, kind, message):
    with pytest.raises(kind, match=message):
        dovetail.pipeline(**arguments)


def test_the_retired_name_of_the_token(pipe):
    arguments = {"model": pipe.model, "tokenizer": Letters(), "pipeline_class": SumPipeline}
    with pytest.warns(FutureWarning, match="write token"):
        assert dovetail.pipeline("anything", use_auth_token="t", **arguments)("a")
    with (
        pytest.warns(FutureWarning, match="write token"),
        pytest.raises(PipelineError, match="give token alone"),
    ):
        dovetail.pipeline("anything", use_auth_token="t", token="u", **arguments)


def test_a_model_without_a_known_task_asks_for_one():
    with pytest.raises(RuntimeError, match="task of a Summing is not known"):
        dovetail.pipeline(model=Summing())


def test_a_folder_without_config_says_so(tmp_path: Path):
    with pytest.raises(OSError, match=r"config\.json"):
        dovetail.pipeline(model=str(tmp_path))


def test_saving_refuses_a_file(pipe, tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(PipelineError, match="needs a folder"):
        pipe.save_pretrained(tmp_path / "taken")


def test_exception_knows_task_and_model():
    error = PipelineException("fill-mask", "bert", "no mask")
    assert (error.task, error.model, str(error)) == ("fill-mask", "bert", "no mask")


def test_task_classes_can_be_imported_from_the_package():
    import dovetail.pipelines

    with pytest.raises(AttributeError):
        _ = dovetail.pipelines.nothing_of_the_kind
