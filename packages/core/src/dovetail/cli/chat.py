"""``dovetail chat MODEL``: talk to a model, its answer appearing as it is made; works from a pipe
too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from dovetail.cli.options import key_values, model_options
from dovetail.errors import DovetailError

Message = dict[str, str]

FED = ("input_ids", "attention_mask")

HELP = """\
/help           this list
/reset          forget the conversation, keep the system prompt
/system TEXT    set the system prompt and forget the conversation
/set KEY=VALUE  change an argument of generate, for instance temperature=0.2
/undo           take back the last question and its answer
/save FILE      write the conversation as JSON
/exit           leave (so does the end of the input)"""


class Conversation:
    """The messages so far, the model that answers, and the arguments with which it generates."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: dict[str, Any],
        system: str | None,
        template: str | None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.settings = settings
        self.template = template
        self.messages: list[Message] = []
        self.reset(system)

    @property
    def system(self) -> str | None:
        """The system prompt, if there is one."""
        first = self.messages[:1]
        return first[0]["content"] if first and first[0]["role"] == "system" else None

    def reset(self, system: str | None) -> None:
        """Begin anew with this system prompt."""
        self.messages = [{"role": "system", "content": system}] if system else []

    def undo(self) -> None:
        """Take back the last question together with its answer."""
        while self.messages and self.messages[-1]["role"] != "system":
            if self.messages.pop()["role"] == "user":
                return

    def ask(self, question: str, say: Callable[[str], object]) -> None:
        """Put `question` and `say` the answer piece by piece.

        An interrupted answer stays on record as far as it was heard; a question that failed is
        taken back.
        """
        self.messages.append({"role": "user", "content": question})
        heard: list[str] = []

        def hear(text: str) -> None:
            heard.append(text)
            say(text)

        try:
            self._generate(hear)
        except KeyboardInterrupt:
            say(" [interrupted]")
        finally:
            if heard:
                self.messages.append({"role": "assistant", "content": "".join(heard).strip()})
            else:
                self.messages.pop()

    def _generate(self, hear: Callable[[str], None]) -> None:
        from dovetail import TextStreamer

        class Speaker(TextStreamer):
            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
                hear(text)

        inputs = self.tokenizer.apply_chat_template(
            self.messages,
            chat_template=self.template,
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        speaker = Speaker(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        # Some tokenizers add token types, which no decoder takes.
        fed = {name: inputs[name].to(self.model.device) for name in FED if name in inputs}
        given = {"tokenizer": self.tokenizer, **self.settings}
        self.model.generate(**fed, **given, streamer=speaker)


def obey(conversation: Conversation, line: str) -> bool:
    """Carry out a line that begins with ``/``; False when the talk is over.

    Raises:
        click.UsageError: an unknown command, or one without its argument.
    """
    word, _, rest = line[1:].partition(" ")
    rest = rest.strip()
    if word in ("exit", "quit"):
        return False
    if word in ("system", "set", "save") and not rest:
        raise click.UsageError(f"/{word} needs something after it; /help shows what.")
    match word:
        case "help":
            click.echo(HELP, err=True)
        case "reset":
            conversation.reset(conversation.system)
        case "system":
            conversation.reset(rest)
        case "set":
            conversation.settings |= key_values([rest], "/set")
        case "undo":
            conversation.undo()
        case "save":
            save(conversation.messages, rest)
        case _:
            raise click.UsageError(f"There is no command /{word}; /help lists them.")
    return True


def save(messages: list[Message], path: str) -> None:
    """Write the conversation as JSON, whole or not at all."""
    from dovetail.hub import atomic_write

    atomic_write(path, json.dumps(messages, ensure_ascii=False, indent=2) + "\n")
    click.echo(f"Saved {len(messages)} messages to {path}.", err=True)


def lines() -> Iterator[str]:
    """What the user types or pipes in, without blank lines."""
    typed = sys.stdin.isatty()
    if typed:
        click.echo("Type /help for commands, /exit to leave.", err=True)
    while True:
        if typed:
            click.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def converse(conversation: Conversation) -> None:
    """Answer line after line; what goes wrong with one of them ends a piped talk, but not a typed
    one.
    """
    for line in lines():
        try:
            if not line.startswith("/"):
                conversation.ask(line, lambda piece: click.echo(piece, nl=False))
                click.echo()
            elif not obey(conversation, line):
                return
        except (click.UsageError, DovetailError, OSError) as error:
            if not sys.stdin.isatty():
                raise
            click.echo(f"Error: {error}", err=True)


@click.command()
@click.argument("model")
@click.option("-s", "--system", help="System prompt.")
@model_options
@click.option(
    "-n",
    "--max-new-tokens",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Longest answer.",
)
@click.option(
    "--temperature",
    type=float,
    help="Sample at this temperature; 0 always takes the likeliest token.",
)
@click.option(
    "--top-p",
    type=float,
    help="Sample from the likeliest tokens that together have this probability.",
)
@click.option(
    "-a",
    "--arg",
    "arguments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Further argument of generate (repeatable).",
)
@click.option(
    "--template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Chat template (Jinja file) in place of the tokenizer's.",
)
def chat(
    model: str,
    system: str | None,
    revision: str | None,
    device: str | None,
    dtype: str,
    trust_remote_code: bool,
    max_new_tokens: int,
    temperature: float | None,
    top_p: float | None,
    arguments: tuple[str, ...],
    template: Path | None,
) -> None:
    """Talk to MODEL, a folder or Hub id whose tokenizer has a chat template.

    Lines that begin with / are commands: /help lists them. From a pipe every line is a question.
    """
    settings = {
        "max_new_tokens": max_new_tokens,
        **sampling(temperature, top_p),
        **key_values(arguments),
    }

    from dovetail import AutoModelForCausalLM, AutoTokenizer

    origin: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    tokenizer = AutoTokenizer.from_pretrained(model, **origin)
    network = AutoModelForCausalLM.from_pretrained(model, torch_dtype=dtype, **origin)
    network = network.to(device) if device else network
    text = template.read_text(encoding="utf-8") if template else None
    converse(Conversation(network.eval(), tokenizer, settings, system, text))


def sampling(temperature: float | None, top_p: float | None) -> dict[str, Any]:
    """The arguments of `generate` that stand for the two options."""
    if temperature == 0:
        return {"do_sample": False}
    given = {"temperature": temperature, "top_p": top_p}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return {"do_sample": True, **chosen} if chosen else {}
