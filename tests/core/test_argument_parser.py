"""Options from dataclasses, against what the reference makes of the same ones."""

from __future__ import annotations

import enum
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from dovetail import (
    MODEL_CARD_NAME,
    SPIECE_UNDERLINE,
    TRANSFORMERS_CACHE,
    HfArgumentParser,
    add_end_docstrings,
    add_start_docstrings,
)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Data:
    foo: int
    bar: float = 0.5
    flag: bool = False
    on: bool = True
    opt: bool | None = None
    items: list[int] = field(default_factory=lambda: [1, 2])
    lit: Literal["a", "b", 3] = "a"
    color: Color = Color.RED
    maybe: int | None = field(default=None, metadata={"help": "perhaps", "aliases": ["--oo"]})
    some_name: str = "x"
    derived: int = field(default=0, init=False)


@dataclass
class More:
    rate: float = 0.1


@pytest.fixture
def parser() -> HfArgumentParser:
    return HfArgumentParser((Data, More))


def test_every_kind_of_field(parser: HfArgumentParser) -> None:
    line = "--foo 1 --flag --no_on --lit 3 --color blue --items 4 5 --opt yes --some-name z --oo 7"
    data, more = parser.parse_args_into_dataclasses([*line.split(), "--rate", "2"])
    expected = Data(1, 0.5, True, False, True, [4, 5], 3, "blue", 7, "z")  # type: ignore[arg-type]
    assert (data, more) == (expected, More(2.0))


def test_defaults_are_kept(parser: HfArgumentParser) -> None:
    data, _ = parser.parse_args_into_dataclasses(["--foo", "1", "--on", "no"])
    assert data == Data(1, on=False)
    other, _ = HfArgumentParser((Data, More)).parse_args_into_dataclasses(["--foo", "1"])
    assert other.items == [1, 2]
    assert other.items is not data.items


def test_unknown_arguments(parser: HfArgumentParser) -> None:
    line = ["--foo", "1", "--unknown", "3"]
    *_, rest = parser.parse_args_into_dataclasses(line, return_remaining_strings=True)
    assert rest == ["--unknown", "3"]
    with pytest.raises(ValueError, match=r"unknown arguments: \['--unknown', '3'\]"):
        parser.parse_args_into_dataclasses(line)


@pytest.mark.parametrize(
    "line", ["", "--foo x", "--foo 1 --lit c", "--foo 1 --flag perhaps", "--foo 1 --color green"]
)
def test_bad_values_end_the_program(
    parser: HfArgumentParser, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args_into_dataclasses(line.split())
    assert "error:" in capsys.readouterr().err


def test_further_options_and_files(
    parser: HfArgumentParser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser.add_argument("--extra", type=int, default=0)
    (tmp_path / "first.args").write_text("--foo 1 --bar 2")
    (tmp_path / "run.args").write_text("--foo 5")
    data, _, besides = parser.parse_args_into_dataclasses(
        ["--bar", "3", "--extra", "4"], args_filename=tmp_path / "first.args"
    )
    assert (data.foo, data.bar, besides.extra) == (1, 3.0, 4)
    flagged = ["--config", str(tmp_path / "first.args"), "--foo", "9"]
    data, *_ = parser.parse_args_into_dataclasses(flagged, args_file_flag="--config")
    assert (data.foo, data.bar) == (9, 2.0)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "run.py")])
    assert parser.parse_args_into_dataclasses()[0].foo == 5


def test_dictionaries_and_files_of_them(parser: HfArgumentParser, tmp_path: Path) -> None:
    values: dict[str, Any] = {"foo": 1, "rate": 0.5}
    expected = (Data(1), More(0.5))
    (tmp_path / "a.json").write_text(json.dumps(values))
    (tmp_path / "a.yaml").write_text("foo: 1\nrate: 0.5\n")
    assert parser.parse_dict(values) == expected
    assert parser.parse_json_file(tmp_path / "a.json") == expected
    assert parser.parse_yaml_file(tmp_path / "a.yaml") == expected
    with pytest.raises(ValueError, match=r"unknown keys: \['zz'\]. Known: bar, color"):
        parser.parse_dict({**values, "zz": 1})
    assert parser.parse_dict({**values, "zz": 1}, allow_extra_keys=True) == expected


def test_a_field_of_two_types_is_refused() -> None:
    @dataclass
    class Both:
        value: int | float = 1

    with pytest.raises(ValueError, match=r"value: .* is more than one type"):
        HfArgumentParser(Both)


def test_help_names_the_fields(parser: HfArgumentParser) -> None:
    text = parser.format_help()
    assert "--maybe" in text
    assert "perhaps" in text


def test_constants_and_docstrings() -> None:
    def documented() -> None:
        """Mine."""

    add_start_docstrings("a ", "b ")(documented)
    assert add_end_docstrings(" c")(documented).__doc__ == "a b Mine. c"
    assert (MODEL_CARD_NAME, SPIECE_UNDERLINE) == ("modelcard.json", "\u2581")
    assert Path(TRANSFORMERS_CACHE).name
