"""What ``dovetail doctor`` says about kernels."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from dovetail.cli.doctor import doctor
from dovetail_quantizers import kernels
from dovetail_quantizers.doctor import kernels as findings


def test_every_kind_is_explained() -> None:
    report = json.loads(CliRunner().invoke(doctor, ["--json"]).output)
    notes = report["checks"]["quantization kernels"]
    assert [note["subject"] for note in notes] == ["half", "int4", "int8", "rows"]
    assert {note["level"] for note in notes} == {"note"}


def test_a_machine_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.fbgemm, "ENGINE", "absent")
    reasons = kernels.chosen.__wrapped__("int8")
    assert reasons.kernel is None
    assert "fbgemm int8: this build of torch has no FBGEMM" in reasons.why


def test_the_notes_name_kernel_or_reason() -> None:
    for finding in findings():
        assert finding.subject in ("half", "int4", "int8", "rows")
        assert "fbgemm" in finding.problem or "tinygemm" in finding.problem
