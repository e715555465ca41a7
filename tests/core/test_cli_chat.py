"""``dovetail chat``: turns, commands, pipes, interruptions."""

from __future__ import annotations

import io
import json

import pytest
import torch

import dovetail
from dovetail.cli import execute
from dovetail.cli.chat import sampling


class Echo:
    """A tokenizer of single characters and a model that repeats the last question, in one
    object.
    """

    device = "cpu"

    def __init__(self) -> None:
        self.prompts: list = []
        self.settings: list = []
        self.interrupt = False
        self.loaded: list = []

    def from_pretrained(self, name, **options):
        self.loaded.append((name, options))
        return self

    def eval(self):
        return self

    def to(self, device):
        self.device = device
        return self

    def apply_chat_template(self, messages, *, chat_template, **options):
        assert options == {
            "add_generation_prompt": True,
            "return_tensors": "pt",
            "return_dict": True,
        }
        self.prompts.append((chat_template, [dict(message) for message in messages]))
        text = messages[-1]["content"]
        ids = torch.tensor([[ord(letter) for letter in text]])
        return {"input_ids": ids, "token_type_ids": torch.zeros_like(ids)}

    def decode(self, ids, **options):
        return "".join(map(chr, ids))

    def generate(self, input_ids, streamer, tokenizer, **settings):
        self.settings.append(settings)
        streamer.put(input_ids)
        if self.decode(input_ids[0].tolist()) == "fail":
            raise ValueError("no")
        for number in [*input_ids[0].tolist(), ord("!"), ord(" ")]:
            streamer.put(torch.tensor([number]))
        if self.interrupt:
            raise KeyboardInterrupt
        streamer.end()


@pytest.fixture
def echo(monkeypatch):
    echo = Echo()
    monkeypatch.setattr(dovetail, "AutoTokenizer", echo, raising=False)
    monkeypatch.setattr(dovetail, "AutoModelForCausalLM", echo, raising=False)
    return echo


@pytest.fixture
def say(monkeypatch, echo):
    def run(*lines: str, options: tuple[str, ...] = (), typed: bool = False) -> int:
        stdin = io.StringIO("\n".join(lines) + "\n")
        stdin.isatty = lambda: typed
        monkeypatch.setattr("sys.stdin", stdin)
        return execute(["chat", "org/model", *options])

    return run


def test_every_piped_line_is_a_turn_with_the_whole_talk_before_it(say, echo, capsys):
    assert say("hello you", "", "again", options=("--system", "Be brief.")) == 0
    assert capsys.readouterr().out == "hello you! \nagain! \n"
    assert echo.prompts[1][1] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello you"},
        {"role": "assistant", "content": "hello you!"},
        {"role": "user", "content": "again"},
    ]
    assert echo.settings[0] == {"max_new_tokens": 512}


def test_commands_change_the_conversation(say, echo, tmp_path, capsys):
    target = tmp_path / "talk.json"
    lines = (
        "a",
        "/undo",
        "b",
        "/set temperature=0.5",
        "/reset",
        "c",
        f"/save {target}",
        "/exit",
        "d",
    )
    assert say(*lines, options=("-s", "S")) == 0
    assert [prompt[1][1:] for prompt in echo.prompts] == [
        [{"role": "user", "content": letter}] for letter in "abc"
    ]
    assert echo.settings[-1]["temperature"] == 0.5
    assert [message["content"] for message in json.loads(target.read_text())] == ["S", "c", "c!"]
    assert "Saved 3 messages" in capsys.readouterr().err


def test_a_new_system_prompt_begins_anew(say, echo):
    assert say("a", "/system Rhyme.", "b") == 0
    assert echo.prompts[-1][1][0] == {"role": "system", "content": "Rhyme."}
    assert len(echo.prompts[-1][1]) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/frobnicate", "There is no command /frobnicate"),
        ("/save", "/save needs something after it"),
        ("/set x", "'x' is not of the form key=value"),
    ],
)
def test_a_wrong_command_ends_a_piped_talk_but_not_a_typed_one(say, echo, line, message, capsys):
    assert say(line, "a") == 2
    assert echo.prompts == []
    assert message in capsys.readouterr().err
    assert say(line, "a", typed=True) == 0
    assert len(echo.prompts) == 1
    assert message in capsys.readouterr().err


def test_an_interrupted_answer_is_kept_as_far_as_it_was_heard(say, echo, capsys):
    echo.interrupt = True
    assert say("hello you", "b") == 0
    assert "[interrupted]" in capsys.readouterr().out
    assert echo.prompts[1][1][1] == {"role": "assistant", "content": "hello you!"}


def test_help_and_greeting_go_to_standard_error(say, capsys):
    assert say("/help", typed=True) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "/reset" in captured.err
    assert "Type /help" in captured.err


def test_options_reach_loading_and_generation(say, echo, tmp_path):
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages }}")
    options = ("--device", "cpu:0", "--dtype", "bfloat16", "--revision", "v1", "-n", "5")
    options += ("--temperature", "0.3", "--top-p", "0.9", "-a", "top_k=7")
    assert say("a", options=(*options, "--template", str(template))) == 0
    origin = {"revision": "v1", "trust_remote_code": False}
    assert echo.loaded == [
        ("org/model", origin),
        ("org/model", {**origin, "torch_dtype": "bfloat16"}),
    ]
    assert echo.device == "cpu:0"
    assert echo.prompts[0][0] == "{{ messages }}"
    assert echo.settings[0] == {
        "max_new_tokens": 5,
        "do_sample": True,
        "temperature": 0.3,
        "top_p": 0.9,
        "top_k": 7,
    }


def test_a_failing_answer_takes_its_question_back(say, echo, capsys):
    assert say("fail") == 1
    assert "ValueError: no" in capsys.readouterr().err


def test_temperature_zero_is_greedy():
    assert sampling(0, 0.5) == {"do_sample": False}
    assert sampling(None, None) == {}
