"""Which optional packages are installed."""

import subprocess
import sys

import pytest

from dovetail import availability


def test_what_is_installed_is_available():
    for name in ("torch", "tokenizers", "safetensors"):
        function = getattr(availability, f"is_{name}_available")
        assert function() is True
        assert function.__name__ == f"is_{name}_available"
        assert name in function.__doc__
    assert not availability.is_installed("no_such_package_here")
    assert not availability.is_installed("no_such_package_here.part")


def test_other_frameworks_are_not():
    assert availability.is_tf_available() is False
    assert availability.is_flax_available() is False


def test_devices_are_looked_for():
    assert availability.is_torch_npu_available(check_device=True) in (True, False)
    assert availability.is_torch_xpu_available() in (True, False)


def test_unknown_names():
    with pytest.raises(AttributeError, match="no attribute 'is_nonsense_available'"):
        availability.is_nonsense_available  # noqa: B018
    with pytest.raises(AttributeError):
        availability.something  # noqa: B018


def test_asking_imports_nothing():
    code = """
import sys
from dovetail.availability import is_torch_available, is_vision_available
assert is_torch_available()
is_vision_available()
assert not {"torch", "PIL"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
