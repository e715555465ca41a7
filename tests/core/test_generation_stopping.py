"""Stopping criteria and streamers."""

from __future__ import annotations

import asyncio
import threading
import time
from queue import Empty

import pytest
import torch

from dovetail.errors import GenerationError
from dovetail.generation import (
    AsyncTextIteratorStreamer,
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
    TextIteratorStreamer,
    TextStreamer,
    validate_stopping_criteria,
)


class Bytes:
    """A tokenizer whose tokens are strings of bytes, some of which hold half a character."""

    def __init__(self, *tokens: str | bytes) -> None:
        self.tokens = [token.encode() if isinstance(token, str) else token for token in tokens]

    def decode(self, token_ids: list[int], **kwargs: object) -> str:
        return b"".join(self.tokens[index] for index in token_ids).decode(errors="replace")


def ids(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows)


def test_length_and_time() -> None:
    assert MaxLengthCriteria(3)(ids([1, 2, 3], [4, 5, 6]), None).tolist() == [True, True]
    assert MaxLengthCriteria(4)(ids([1, 2, 3]), None).tolist() == [False]
    assert MaxTimeCriteria(60)(ids([1]), None).tolist() == [False]
    assert MaxTimeCriteria(60, time.time() - 61)(ids([1]), None).tolist() == [True]


def test_a_text_beyond_the_model_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    criterion = MaxLengthCriteria(10_003, max_position_embeddings=2)
    assert not criterion(ids([1, 2]), None).any()
    assert not criterion(ids([1, 2, 3]), None).any()
    assert caplog.text.count("beyond the 2 positions") == 1


@pytest.mark.parametrize("ends", [7, [7], [5, 7], torch.tensor([7, 5]), torch.tensor(7)])
def test_end_tokens(ends: int | list[int] | torch.Tensor) -> None:
    done = EosTokenCriteria(ends)(ids([1, 7], [7, 1], [1, 1]), None)
    assert done.tolist() == [True, False, False]


def test_any_criterion_stops_a_row() -> None:
    class Odd(StoppingCriteria):
        def __call__(
            self, input_ids: torch.Tensor, scores: object, **kwargs: object
        ) -> torch.Tensor:
            return input_ids[:, -1] % 2 == 1

    criteria = StoppingCriteriaList([EosTokenCriteria(4), MaxLengthCriteria(3), Odd()])
    assert criteria(ids([1, 2], [1, 3], [1, 4]), None).tolist() == [False, True, True]
    assert criteria(ids([1, 2, 2]), None).tolist() == [True]
    assert StoppingCriteriaList()(ids([1]), None).tolist() == [False]
    assert criteria.max_length == 3


def test_a_limit_is_added_to_criteria_without_one() -> None:
    assert validate_stopping_criteria(StoppingCriteriaList(), 9).max_length == 9
    own = StoppingCriteriaList([MaxLengthCriteria(4)])
    assert validate_stopping_criteria(own, 4).max_length == 4
    with pytest.warns(UserWarning, match="max_length=5 differs from the criteria's limit of 4"):
        assert validate_stopping_criteria(own, 5).max_length == 4


TOKENIZER = Bytes(
    "st",
    "op",
    "top",
    "s",
    "xst",
    "opx",
    " ",
    "stop",
    "o",
    "p",
    "\u00e9".encode()[:1],
    "\u00e9".encode()[1:],
)


@pytest.mark.parametrize(
    ("tokens", "done"),
    [
        ([6, 7], True),  # one token
        ([6, 0, 1], True),  # ends with a token
        ([6, 3, 2], True),  # another cut
        ([6, 4, 5], True),  # begins and ends within tokens
        ([6, 0, 8, 9], True),  # three tokens
        ([6, 7, 6], False),  # ended before
        ([6, 0, 8], False),  # not yet
        ([7, 3], False),
        ([7, 3, 0], False),
        ([7, 7], True),  # again
        ([5, 4], False),
    ],
)
def test_stop_string_ends_within_the_last_token(tokens: list[int], done: bool) -> None:
    assert StopStringCriteria(TOKENIZER, "stop")(ids(tokens), None).tolist() == [done]


def test_several_stop_strings_and_rows() -> None:
    criterion = StopStringCriteria(TOKENIZER, ["ss", "\u00e9", "never"])
    rows = ids([6, 3, 3], [3, 10, 11], [3, 3, 10], [3, 6, 3])
    assert criterion(rows, None).tolist() == [True, True, False, False]


def test_a_stop_string_longer_than_the_text() -> None:
    assert not StopStringCriteria(TOKENIZER, "stop" * 9)(ids([7]), None).any()


@pytest.mark.parametrize("strings", ["", [], ["a", ""], [3]])
def test_impossible_stop_strings(strings: object) -> None:
    with pytest.raises(GenerationError, match="give a string or a list of strings"):
        StopStringCriteria(TOKENIZER, strings)  # type: ignore[arg-type]


WORDS = Bytes("Hello", " wor", "ld", "\n", " again", "\u4e16", "\u754c", "prompt ")


def pieces(streamer: TextStreamer, *tokens: int) -> list[str]:
    given: list[str] = []
    streamer.on_finalized_text = lambda text, stream_end=False: given.append(text)  # type: ignore[method-assign]
    streamer.put(ids([7, 7]))
    for token in tokens:
        streamer.put(torch.tensor([token]))
    streamer.end()
    return [text for text in given if text]


def test_whole_words_are_handed_out() -> None:
    streamer = TextStreamer(WORDS, skip_prompt=True)
    assert pieces(streamer, 0, 1, 2, 3, 4, 5, 6, 0) == [
        "Hello ",
        "world\n",
        " ",
        "again\u4e16",
        "\u754c",
        "Hello",
    ]


def test_the_prompt_comes_first() -> None:
    assert pieces(TextStreamer(WORDS), 0) == ["prompt prompt ", "Hello"]


def test_text_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    streamer = TextStreamer(WORDS, skip_prompt=True)
    for value in (ids([7]), torch.tensor([0]), torch.tensor([1])):
        streamer.put(value)
    assert capsys.readouterr().out == "Hello "
    streamer.end()
    assert capsys.readouterr().out == "wor\n"


def test_a_streamer_follows_one_text() -> None:
    with pytest.raises(GenerationError, match="not a batch of 2"):
        TextStreamer(WORDS).put(ids([1], [2]))


def feed(streamer: TextStreamer) -> None:
    for value in (ids([7]), torch.tensor([0]), torch.tensor([1]), torch.tensor([2])):
        streamer.put(value)
    streamer.end()


def test_text_reaches_another_thread() -> None:
    streamer = TextIteratorStreamer(WORDS, skip_prompt=True, timeout=10)
    thread = threading.Thread(target=feed, args=(streamer,))
    thread.start()
    assert "".join(streamer) == "Hello world"
    thread.join()


def test_a_silent_generation_times_out() -> None:
    with pytest.raises(Empty):
        next(TextIteratorStreamer(WORDS, timeout=0.01))


def test_text_reaches_a_coroutine() -> None:
    async def collect() -> str:
        streamer = AsyncTextIteratorStreamer(WORDS, skip_prompt=True, timeout=10)
        thread = threading.Thread(target=feed, args=(streamer,))
        thread.start()
        text = "".join([piece async for piece in streamer])
        thread.join()
        return text

    assert asyncio.run(collect()) == "Hello world"


def test_a_silent_generation_times_out_in_a_coroutine() -> None:
    async def wait() -> None:
        await anext(aiter(AsyncTextIteratorStreamer(WORDS, timeout=0.01)))

    with pytest.raises(TimeoutError):
        asyncio.run(wait())
