"""Config files that a stranger wrote: damaged, absurd, or meant to do harm."""

import json
import subprocess
import sys
import textwrap
import time

import pytest

from dovetail.configs import PretrainedConfig
from dovetail.errors import CheckpointError, ConfigError, DovetailError
from dovetail.json_files import MAX_BYTES, parse_json_object, read_json_object

DEEP = 100_000
DAMAGED = {
    "empty": (b"", "not valid JSON"),
    "truncated": (b'{"hidden_size": 8', "not valid JSON"),
    "trailing": (b'{"a": 1} {"b": 2}', "not valid JSON: Extra data"),
    "python": (b"{'a': 1}", "not valid JSON"),
    "html": (b"<html>404</html>", "not valid JSON"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "not valid JSON"),
    "array": (b"[1, 2]", "holds a JSON array where an object"),
    "string": (b'"x"', "holds a JSON string"),
    "number": (b"3", "holds a JSON number"),
    "boolean": (b"true", "holds a JSON boolean"),
    "null": (b"null", "holds a JSON null"),
    "not UTF-8": (b'{"a": "\xff\xfe"}', "not UTF-8 text: byte 7"),
    "zeros": (b"\0" * 1000, "not valid JSON"),
    "duplicated key": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' appears twice"),
    "NaN": (b'{"a": NaN}', "'NaN' is no number"),
    "endless digits": (b'{"a": ' + b"9" * 10_000 + b"}", "not valid JSON"),
    "deep arrays": (b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}", "deeper than 64 levels"),
    "deep objects": (b'{"a": ' * 200 + b"1" + b"}" * 200, "deeper than 64 levels"),
    "unclosed depth": (b'{"a": ' * DEEP, "deeper than 64 levels"),
    "huge": (b'{"a": "' + b"x" * MAX_BYTES + b'"}', "larger than"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_give_one_clear_error(tmp_path, kind):
    data, message = DAMAGED[kind]
    (tmp_path / "config.json").write_bytes(data)
    started = time.monotonic()
    with pytest.raises(ConfigError, match=message) as caught:
        PretrainedConfig.from_pretrained(tmp_path)
    assert time.monotonic() - started < 1
    assert str(tmp_path / "config.json") in str(caught.value)
    assert "intact" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"index.json cannot be read: No such file"):
        read_json_object(tmp_path / "index.json", error=CheckpointError)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_json_object(tmp_path)


def test_what_is_unusual_but_right():
    assert parse_json_object(b'\xef\xbb\xbf{"a": 1}', "x") == {"a": 1}
    infinities = parse_json_object('{"a": [Infinity, -Infinity, {"__float__": "Infinity"}]}', "x")
    assert infinities == {"a": [float("inf"), float("-inf"), float("inf")]}
    assert parse_json_object("{" + '"a": {' * 50 + "}" * 51, "x")


ABSURD = [
    {"hidden_size": 10**18},
    {"num_hidden_layers": 10**9},
    {"num_labels": 10**12},
    {"id2label": "x" * 10_000},
    {"vocab_size": -(2**63)},
    {"vocab_size": 1e300},
    {"torch_dtype": "__import__('os').system('true')"},
    {"torch_dtype": ["float16"]},
    {"problem_type": {"a": 1}},
    {"architectures": [["x"]]},
    {"pruned_heads": {"x": [1]}},
    {"from_pretrained": "x"},
    {"save_pretrained": None},
    {"__init__": 1},
    {"__dict__": {}},
    {"__reduce__": "os.system"},
    {"_set_hidden": 1},
]


class SizedConfig(PretrainedConfig):
    model_type = "sized"
    vocab_size: int = 8
    hidden_size: int = 8

    def check(self):
        if not 0 < self.vocab_size < 2**20 or not 0 < self.hidden_size < 2**20:
            raise ConfigError(f"vocab_size={self.vocab_size}, hidden_size={self.hidden_size}")


@pytest.mark.parametrize("values", ABSURD, ids=lambda values: next(iter(values)))
def test_absurd_values_are_refused_within_a_second(tmp_path, values):
    (tmp_path / "config.json").write_text(json.dumps(values))
    started = time.monotonic()
    with pytest.raises(DovetailError) as caught:
        SizedConfig.from_pretrained(tmp_path)
    assert time.monotonic() - started < 1
    assert next(iter(values)) in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_file_may_not_choose_what_only_the_caller_may(tmp_path):
    values = {
        "_attn_implementation": "stranger/kernel",
        "attn_implementation": "stranger/kernel",
        "_attn_implementation_internal": "stranger/kernel",
        "_commit_hash": "../../elsewhere",
        "_auto_class": "AutoModel",
        "sub_configs": {"text_config": "os:system"},
        "attribute_map": {"hidden_size": "vocab_size"},
        "text_config": {"_attn_implementation": "stranger/kernel", "_commit_hash": "x"},
    }
    (tmp_path / "config.json").write_text(json.dumps(values))
    for config in (
        SizedConfig.from_pretrained(tmp_path),
        SizedConfig.from_json_file(tmp_path / "config.json"),
        SizedConfig.from_dict(values),
    ):
        assert config._attn_implementation is None
        assert config._commit_hash is None
        assert config.text_config == {}
        assert type(config).sub_configs == {}
        assert type(config)._auto_class is None
        config.hidden_size = 5
        assert (config.hidden_size, config.vocab_size) == (5, 8)
        config.save_pretrained(tmp_path / "again")
        assert [path.name for path in (tmp_path / "again").iterdir()] == ["config.json"]


HOSTILE = [
    {"auto_map": {"AutoConfig": "evil.Config", "AutoModel": "../evil.Model"}},
    {"auto_map": {"AutoConfig": "stranger/repo--evil.Config"}, "trust_remote_code": True},
    {"model_type": "os:system"},
    {"model_type": "../../evil"},
    {"_name_or_path": "http://127.0.0.1:9/x", "name_or_path": "/etc/passwd"},
    {"tokenizer_class": "os.system", "architectures": ["os.system", "__import__"]},
    {"_attn_implementation": "stranger/kernel:function"},
    {"text_config": {"model_type": "os:system", "attn_implementation": "stranger/kernel"}},
    {"text_config": {"model_type": ["x"]}},
    {"text_config": {"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "evil"}},
    {"sub_configs": {"text_config": "evil:Config"}, "text_config": {}},
    {"quantization_config": {"quant_method": "evil:Quantizer", "modules": "os"}},
    {"torch_dtype": "evil"},
    {"dtype": "torch.load"},
    {"custom_pipelines": {"x": {"impl": "evil.Pipeline"}}},
    {"configuration_files": ["../secret.json", "config.4.0.0/../../secret.json"]},
    {"configuration_files": ["config.4.0.0.json"]},
    {"configuration_files": "../secret.json"},
    {"_configuration_file": "../secret.json", "base_config_key": "x", "gguf_file": "../secret"},
    {"rope_scaling": {"rope_type": "evil:function", "factor": 2.0}},
    {"py/object": "os.system", "!!python/object/apply:os.system": ["true"]},
    {"chat_template": "{{ ''.__class__.__mro__[1].__subclasses__() }}"},
    {"__class__": "evil.Config"},
    {"task_specific_params": {"x": "$(touch marker)"}, "prefix": "`touch marker`"},
]

WATCHER = """
import json, os, sys
from pathlib import Path
import dovetail
from dovetail.auto import AutoConfig
from dovetail.configs import PretrainedConfig
from dovetail.errors import DovetailError

class Nested(PretrainedConfig):
    model_type = "nested"
    sub_configs = {"text_config": "auto"}
    rope_theta: float = 1.0
    rope_scaling: dict | None = None

base = Path(sys.argv[1])
seen, watching = [], False
HARMLESS = ("object.__getattr__", "sys._getframe", "builtins.id", "os.listdir", "os.scandir")
HARMLESS += ("sys._current_frames", "glob.glob", "code.__new__", "object.__setattr__")

def watch(event, args):
    if not watching or event in HARMLESS:
        return
    if event == "open" and isinstance(args[0], str) and args[0].startswith(str(base)):
        return
    if event == "open" and str(args[0]).startswith(os.path.dirname(dovetail.__file__)):
        return
    if event == "import" and args[0].split(".")[0].startswith("dovetail"):
        return
    seen.append((event, repr(args)[:200]))

sys.path.insert(0, str(base / "0"))
sys.addaudithook(watch)
outcomes = []
for round in range(2):  # the first only imports what reading a config needs
    for folder in sorted(base.iterdir()):
        if not folder.is_dir():
            continue
        for cls in (Nested, AutoConfig):
            watching = round == 1
            try:
                config = cls.from_pretrained(str(folder))
                config.to_dict(), repr(config), config.get_text_config()
                outcome = "loaded"
            except DovetailError as error:
                outcome = type(error).__name__
            finally:
                watching = False
            outcomes.append(outcome)
result = {"seen": list(seen), "outcomes": outcomes, "ran": Path(sys.argv[2]).exists()}
watching = True
try:
    AutoConfig.from_pretrained(str(base / "0"), trust_remote_code=True)
except DovetailError:
    pass
watching = False
result["control"] = len(seen) > len(result["seen"]) and Path(sys.argv[2]).exists()
print(json.dumps(result))
"""


def test_hostile_configs_do_nothing(tmp_path):
    """An audit hook watches: no import, code, socket, process or file outside the folder."""
    base = tmp_path / "models"
    marker = tmp_path / "marker"
    (tmp_path / "secret.json").write_text('{"secret": 1}')
    for number, values in enumerate(HOSTILE):
        folder = base / str(number)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(values))
        (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
        (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (base / "secret.json").write_text('{"secret": 1}')
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WATCHER), str(base), str(marker)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["seen"] == []
    assert not result["ran"]
    assert result["control"], "with consent the code runs, and the hook sees it"
    assert "loaded" in result["outcomes"]
    assert "secret" not in done.stdout


@pytest.mark.parametrize(
    "names", [["config.4.0.0/../../secret.json"], ["../config.4.0.0.json"], "x", [1], {"a": 1}]
)
def test_versioned_files_stay_in_the_folder(tmp_path, names):
    (tmp_path / "secret.json").write_text('{"stolen": 1}')
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"configuration_files": names}))
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        assert not hasattr(PretrainedConfig.from_pretrained(folder), "stolen")
    else:
        with pytest.raises(ConfigError, match="configuration_files"):
            PretrainedConfig.from_pretrained(folder)
