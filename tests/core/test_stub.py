"""The stub of public names is that of today's tables and declarations."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

import dovetail
from dovetail.names import core_modules

SCRIPT = Path(__file__).parents[2] / "scripts" / "public_stub.py"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dovetail_models_text") is None,
    reason="the stub names what all official packages provide",
)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("public_stub", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stub_is_up_to_date(script):
    assert script.STUB.read_text() == script.stub(), "run `make docs`"


def test_the_stub_names_what_can_be_imported(script):
    tree = ast.parse(script.STUB.read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    listed = {alias.asname: (node.module, alias.name) for node in imports for alias in node.names}
    assert set(core_modules()) <= set(listed)
    available = set(dir(dovetail))
    for name, (module, _) in listed.items():
        if importlib.util.find_spec(module.partition(".")[0]):
            assert name in available


def test_sections_of_packages_that_are_not_installed_are_kept(script, tmp_path, monkeypatch):
    stub = tmp_path / "stub.pyi"
    stub.write_text("\n# dovetail-of-another-machine\n\nfrom away import A as A\n")
    monkeypatch.setattr(script, "STUB", stub)
    monkeypatch.setattr(script.sys, "argv", ["public_stub.py", "--check"])
    assert script.main() == 1
    monkeypatch.setattr(script.sys, "argv", ["public_stub.py"])
    assert script.main() == 0
    assert "\n# dovetail-of-another-machine\n\nfrom away import A as A\n" in stub.read_text()
    assert script.main() == 0


def test_strangers_do_not_get_into_the_stub(script, install):
    install(
        "acme-names",
        "@hookimpl\ndef dovetail_names(): return [NamesDeclaration({'Acme': 'acme_names:Acme'})]",
    )
    assert "Acme" in dir(dovetail)
    assert "acme" not in script.stub()
