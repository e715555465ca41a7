"""Dovetail's loggers."""

import logging as standard
import subprocess
import sys

import pytest

from dovetail import logging


@pytest.fixture(autouse=True)
def _as_before():
    level, propagate = logging.get_verbosity(), standard.getLogger("dovetail").propagate
    yield
    logging.set_verbosity(level)
    logging.enable_default_handler()
    logging.reset_format()
    logging.enable_progress_bar()
    standard.getLogger("dovetail").propagate = propagate


def test_loggers_hang_below_dovetail():
    assert logging.get_logger().name == "dovetail"
    assert logging.get_logger("dovetail.configs").name == "dovetail.configs"
    assert logging.get_logger("mine").name == "dovetail.mine"
    assert logging.get_logger("dovetail.configs") is logging.get_logger("dovetail.configs")


def test_verbosity_rules_all_of_them(caplog):
    logger = logging.get_logger("dovetail.some.module")
    logging.set_verbosity_error()
    logger.warning("unheard")
    logging.set_verbosity_info()
    logger.info("heard")
    assert logging.get_verbosity() == logging.INFO
    assert caplog.messages == ["heard"]
    for setter, level in (
        (logging.set_verbosity_debug, logging.DEBUG),
        (logging.set_verbosity_warning, logging.WARNING),
    ):
        setter()
        assert logging.get_verbosity() == level


def test_once_is_once(caplog, monkeypatch):
    logging.set_verbosity_info()
    logger = logging.get_logger("dovetail.once")
    for _ in range(3):
        logger.warning_once("first of its kind")
        logger.info_once("second of its kind")
    assert caplog.messages == ["first of its kind", "second of its kind"]
    logger.warning_advice("take %s", "care")
    monkeypatch.setenv("DOVETAIL_NO_ADVISORY_WARNINGS", "1")
    logger.warning_advice("unheard")
    assert caplog.messages[2:] == ["take care"]


def test_handlers_can_be_added_and_removed():
    heard = []

    class Listener(standard.Handler):
        def emit(self, record):
            heard.append(record.getMessage())

    listener = Listener()
    logger = logging.get_logger("dovetail.handlers")
    logging.add_handler(listener)
    logging.enable_explicit_format()
    logging.disable_propagation()
    logger.warning("one")
    logging.remove_handler(listener)
    logger.warning("two")
    assert heard == ["one"]
    assert listener.formatter is not None


@pytest.mark.parametrize(
    ("environment", "setup", "expected"),
    [
        ({}, "", "a warning\n"),
        ({"DOVETAIL_VERBOSITY": "info"}, "", "news\na warning\n"),
        ({"DOVETAIL_VERBOSITY": "error"}, "", ""),
        ({}, "logging.disable_default_handler(); logging.disable_propagation()", ""),
        ({}, "import logging as s; s.basicConfig(format='app: %(message)s')", "app: a warning\n"),
        ({}, "logging.enable_explicit_format()", ">> a warning\n"),
        (
            {"DOVETAIL_VERBOSITY": "loud"},
            "",
            "DOVETAIL_VERBOSITY=loud is not one of debug, info, warning, error, critical; "
            "using 'warning'.\na warning\n",
        ),
    ],
)
def test_what_reaches_standard_error(environment, setup, expected):
    code = f"""
from dovetail import logging
logger = logging.get_logger("dovetail.x")
{setup}
logger.info("news")
logger.warning("a warning")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == ""
    assert done.stderr.endswith(expected)
    assert bool(done.stderr) == bool(expected)


def test_progress_bars_are_silent_without_terminal(capsys):
    assert list(logging.tqdm(range(3))) == [0, 1, 2]
    logging.disable_progress_bar()
    assert not logging.is_progress_bar_enabled()
    assert logging.tqdm(range(3)).disable
    logging.enable_progress_bar()
    assert logging.is_progress_bar_enabled()
    assert capsys.readouterr().err == ""
