"""The program on real, tiny models: nothing stands in for anything."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from dovetail import BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM
from dovetail import PreTrainedTokenizerFast as Fast
from dovetail.cli import execute

WORDS = ["[PAD]", "[UNK]", "[MASK]", "user", ":", "the", "sky", "is", "blue", "grey", "high"]
TEMPLATE = "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}"
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


def save_tokenizer(folder: Path) -> None:
    engine = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    Fast(tokenizer_object=engine, chat_template=TEMPLATE, **tokens).save_pretrained(folder)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, bos_token_id=None, eos_token_id=None)
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(**SIZES)).save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


def records(capsys) -> list:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_fill_mask_in_batches_from_a_file(bert, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("the sky is [MASK]\nthe [MASK] is blue\n[MASK] sky\n")
    words = ["run", "fill-mask", str(tmp_path / "in.txt"), "-m", bert, "-f", "jsonl"]
    assert execute([*words, "-a", "top_k=2"]) == 0
    alone = records(capsys)
    assert [len(record["output"]) for record in alone] == [2, 2, 2]
    assert execute([*words, "-a", "top_k=2", "-b", "2"]) == 0
    together = records(capsys)
    for one, other in zip(alone, together, strict=True):
        assert one["input"] == other["input"]
        for a, b in zip(one["output"], other["output"], strict=True):
            assert a["token_str"] == b["token_str"]
            assert a["score"] == pytest.approx(b["score"], abs=1e-5)


def test_text_generation(llama, capsys):
    words = ["run", "text-generation", "-t", "the sky is", "-m", llama, "-f", "jsonl"]
    assert execute([*words, "-a", "max_new_tokens=3", "-a", "do_sample=false"]) == 0
    ((answer,),) = (record["output"] for record in records(capsys))
    assert answer["generated_text"].startswith("the sky is")
    assert 3 < len(answer["generated_text"].split()) <= 6  # special tokens are not shown


def test_a_wrong_argument_of_the_pipeline_is_explained(llama, capsys):
    words = ["run", "text-generation", "-t", "the sky is", "-m", llama, "-a", "top_p=2"]
    assert execute([*words, "-a", "do_sample=true", "-a", "max_new_tokens=3"]) == 1
    heard = capsys.readouterr().err
    assert "top_p" in heard
    assert "Traceback" not in heard


def test_chat_from_a_pipe(llama, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("the sky\nis blue\n"))
    assert execute(["chat", llama, "-n", "4", "--temperature", "0"]) == 0
    answers = capsys.readouterr().out.splitlines()
    assert len(answers) == 2
    assert all(set(answer.split()) <= set(WORDS) for answer in answers)
