"""Saves are old or new, never a mix: killed, failing or watched at every point."""

import errno
import json
import os
import stat
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from dovetail import atomic
from dovetail.atomic import (
    JOURNAL,
    MANIFEST,
    STAGING_PREFIX,
    atomic_write,
    check_manifest,
    fingerprint,
    published_folder,
    reading,
    recover,
)
from dovetail.errors import CheckpointError

OLD = {"config.json": b"old", "model-1-of-2.bin": b"o" * 100, "model-2-of-2.bin": b"o" * 50}
NEW = {"config.json": b"new", "model-1-of-1.bin": b"n" * 200, "sub/extra.txt": b"deep"}
OBSOLETE = ("model-*.bin",)
posix = pytest.mark.skipif(os.name != "posix", reason="uses fork and file locks")


def save(folder, files):
    with published_folder(folder, obsolete=OBSOLETE) as staging:
        for name, content in files.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(content)


def content(folder):
    """The files a loader would see, our own bookkeeping left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def leftovers(folder):
    return [path.name for path in folder.rglob(".*") if path.name != MANIFEST]


# --- one file ---


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "x.json"
    atomic_write(path, "é")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_ordinary_permissions(tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    atomic_write(tmp_path / "x", "x")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(tmp_path, monkeypatch, function):
    path = tmp_path / "x"
    atomic_write(path, "old")

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, function, fail)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, "new")
    assert content(tmp_path) == {"x": b"old"}


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "absent" / "x", "x")


# --- a folder ---


def test_files_appear_together_and_old_ones_go(tmp_path):
    folder = tmp_path / "new" / "folder"
    save(folder, OLD)
    (folder / "README.md").write_text("mine")
    assert content(folder) == {**OLD, "README.md": b"mine"}
    save(folder, NEW)
    assert content(folder) == {**NEW, "README.md": b"mine"}
    assert leftovers(folder) == []


def test_nothing_is_visible_before_the_end(tmp_path):
    save(tmp_path, OLD)
    with published_folder(tmp_path) as staging:
        (staging / "config.json").write_bytes(b"new")
        assert (tmp_path / "config.json").read_bytes() == b"old"
    assert (tmp_path / "config.json").read_bytes() == b"new"


@pytest.mark.parametrize("failure", [ValueError("stop"), KeyboardInterrupt()])
def test_an_exception_discards_the_save(tmp_path, failure):
    save(tmp_path, OLD)

    def save_partly():
        with published_folder(tmp_path, obsolete=OBSOLETE) as staging:
            (staging / "config.json").write_bytes(b"new")
            raise failure

    with pytest.raises(type(failure)):
        save_partly()
    assert content(tmp_path) == OLD
    assert leftovers(tmp_path) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file is a file; choose a folder"):
        save(tmp_path / "file", NEW)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_disk_that_fails_at_any_point(tmp_path, monkeypatch, function):
    """Every call of fsync and rename fails once: the state after is the old or the new one."""
    real = getattr(os, function)
    outcomes = []
    for failing in range(1, 30):
        folder = tmp_path / str(failing)
        save(folder, OLD)
        calls = 0

        def fail(*args, at=failing):
            nonlocal calls
            calls += 1
            if calls == at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args)

        monkeypatch.setattr(atomic.os, function, fail)
        try:
            save(folder, NEW)
        except OSError:
            assert calls >= failing
        else:
            assert calls < failing
            break
        finally:
            monkeypatch.setattr(atomic.os, function, real)
        recover(folder)
        state = content(folder)
        assert state in (OLD, NEW), f"a mix after call {failing} of {function} failed"
        assert leftovers(folder) == []
        outcomes.append(state == NEW)
    assert outcomes == sorted(outcomes)
    assert False in outcomes


DRIVER = """
import json, os, resource, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.core.test_atomic import NEW, OLD, content, leftovers, save
from dovetail import atomic
from dovetail.atomic import check_manifest, recover

atomic.os.fsync = lambda handle: None  # slow, and no point at which anything changes
base, mode = Path(sys.argv[1]), sys.argv[2]
state = {{"folder": "", "left": -1}}
WRITING = os.O_WRONLY | os.O_RDWR

def watch(event, args):
    if state["left"] < 0:
        return
    if event == "open":
        touches = bool(args[2] & WRITING)
    else:
        touches = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")
    if touches and state["folder"] in str(args[0]):
        state["left"] -= 1
        if state["left"] == 0:
            os._exit(9)

sys.addaudithook(watch)

def attempt(point):
    folder = base / str(point)
    save(folder, OLD)
    child = os.fork()
    if child == 0:
        if mode == "kill":
            state.update(folder=str(folder), left=point)
        else:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (point * 30, point * 30))
        try:
            save(folder, NEW)
        except OSError:
            os._exit(7)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    recover(folder)
    found = content(folder)
    found = {{name: data for name, data in found.items() if "staging" not in name}}
    check_manifest(folder, found)
    kind = "old" if found == OLD else "new" if found == NEW else "mix"
    if mode == "limit":
        assert code == 0 or not leftovers(folder), leftovers(folder)
    save(folder, OLD)
    assert OLD.items() <= content(folder).items(), "the next save works"
    assert not [name for name in leftovers(folder) if "staging" in name or "journal" in name]
    return code, kind

results = []
for point in range(1, 80):
    results.append(attempt(point))
    if results[-1][0] == 0:
        break
print(json.dumps(results))
"""


def drive(tmp_path, mode):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = textwrap.dedent(DRIVER.format(root=root))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path), mode],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@posix
def test_a_kill_at_every_point_leaves_the_old_or_the_new_state(tmp_path):
    results = drive(tmp_path, "kill")
    killed = [kind for code, kind in results if code == 9]
    assert len(killed) > 15
    assert results[-1] == [0, "new"]
    assert set(killed) == {"old", "new"}
    assert killed == sorted(killed, reverse=True), "once it is new it stays new"


@posix
def test_a_file_size_limit_leaves_the_old_state(tmp_path):
    results = drive(tmp_path, "limit")
    assert results[-1] == [0, "new"]
    assert {kind for code, kind in results if code == 7} == {"old"}


@posix
def test_a_reader_sees_one_of_the_two(tmp_path):
    save(tmp_path, OLD)
    stop = threading.Event()

    def write():
        turn = 0
        while not stop.is_set():
            turn += 1
            save(tmp_path, (OLD, NEW)[turn % 2])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = []
        limit = time.monotonic() + 20
        while len(seen) < 300 and time.monotonic() < limit:
            with reading(tmp_path):
                found = {
                    name: (tmp_path / name).read_bytes()
                    for name in {**OLD, **NEW}
                    if (tmp_path / name).exists()
                }
            found.pop("sub/extra.txt", None)
            seen.append(found)
    finally:
        stop.set()
        writer.join()
    whole = (OLD, {name: data for name, data in NEW.items() if "/" not in name})
    assert all(found in whole for found in seen)


@posix
def test_what_killed_saves_left_is_swept_but_living_ones_stay(tmp_path):
    dead = tmp_path / f"{STAGING_PREFIX}dead"
    dead.mkdir()
    (dead / "config.json").write_text("half")
    old_temporary = tmp_path / ".x.1234.dovetail-tmp"
    old_temporary.write_text("half")
    os.utime(old_temporary, (1, 1))
    with published_folder(tmp_path) as first:
        (first / "a").write_text("a")
        with published_folder(tmp_path) as second:
            (second / "b").write_text("b")
        assert first.exists()
    assert content(tmp_path) == {"a": b"a", "b": b"b"}
    assert leftovers(tmp_path) == []


def test_recovery_without_rights_says_so(tmp_path, monkeypatch):
    interrupted(tmp_path)

    def refuse(source, target):
        raise PermissionError(errno.EACCES, "Permission denied", str(target))

    monkeypatch.setattr(atomic.os, "replace", refuse)
    with pytest.raises(CheckpointError, match="with the account that saved it"):
        recover(tmp_path)


def interrupted(folder):
    staging = folder / f"{STAGING_PREFIX}x"
    staging.mkdir()
    (staging / "config.json").write_text("new")
    journal = {"staging": staging.name, "files": ["config.json"], "remove": []}
    (folder / JOURNAL).write_text(json.dumps(journal))


def test_recovery_finishes_the_save(tmp_path):
    (tmp_path / "config.json").write_text("old")
    interrupted(tmp_path)
    recover(tmp_path)
    assert content(tmp_path) == {"config.json": b"new"}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "journal",
    [
        {"staging": "../other", "files": ["config.json"]},
        {"staging": f"{STAGING_PREFIX}x", "files": ["../../config.json"], "remove": []},
        {"staging": f"{STAGING_PREFIX}x", "files": [], "remove": ["../precious"]},
        {"staging": f"{STAGING_PREFIX}x", "files": [], "remove": ["/etc/passwd"]},
        {"staging": 3},
        {"staging": f"{STAGING_PREFIX}x", "files": 3, "remove": []},
        {"staging": ".", "files": [], "remove": []},
        {"files": 3},
        [],
    ],
)
def test_a_hostile_journal_reaches_nothing_outside(tmp_path, journal):
    (tmp_path / "precious").write_text("keep")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / f"{STAGING_PREFIX}x").mkdir()
    (folder / JOURNAL).write_text(json.dumps(journal))
    with pytest.raises(CheckpointError):
        recover(folder)
    assert (tmp_path / "precious").read_text() == "keep"
    assert folder.is_dir()


# --- the manifest ---


def test_the_manifest_lists_sizes_and_fingerprints(tmp_path):
    save(tmp_path, OLD)
    save(tmp_path, {"tokenizer.json": b"{}"})
    files = json.loads((tmp_path / MANIFEST).read_text())["files"]
    assert files["tokenizer.json"] == {
        "size": 2,
        "sha256": fingerprint(tmp_path / "tokenizer.json"),
    }
    assert "config.json" in files
    assert "model-1-of-2.bin" not in files
    check_manifest(tmp_path, ["config.json", "tokenizer.json"])


def test_a_mix_of_two_saves_is_refused(tmp_path):
    save(tmp_path, OLD)
    (tmp_path / "model-1-of-2.bin").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match=r"mixes two saves: model-1-of-2.bin changed"):
        check_manifest(tmp_path, ["model-1-of-2.bin", "model-2-of-2.bin"])
    (tmp_path / "model-1-of-2.bin").unlink()
    with pytest.raises(CheckpointError, match="mixes two saves"):
        check_manifest(tmp_path, ["model-1-of-2.bin", "model-2-of-2.bin"])


def test_a_checkpoint_that_was_replaced_altogether_passes(tmp_path):
    save(tmp_path, OLD)
    for name in ("model-1-of-2.bin", "model-2-of-2.bin"):
        (tmp_path / name).write_bytes(b"another tool wrote this")
    check_manifest(tmp_path, ["model-1-of-2.bin", "model-2-of-2.bin"])
    check_manifest(tmp_path / "config.json", ["x"])
    (tmp_path / MANIFEST).unlink()
    check_manifest(tmp_path, ["model-1-of-2.bin"])


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"files": {"a": 1}}', "\x00"])
def test_a_damaged_manifest_is_named_and_the_next_save_mends_it(tmp_path, text):
    save(tmp_path, OLD)
    (tmp_path / MANIFEST).write_text(text)
    if text != '{"files": {"a": 1}}':
        with pytest.raises(CheckpointError, match="manifest"):
            check_manifest(tmp_path, ["config.json"])
    save(tmp_path, OLD)
    check_manifest(tmp_path, OLD)


def test_fingerprints_of_large_files_see_small_changes_everywhere_sampled(tmp_path):
    path = tmp_path / "large"
    data = bytearray(os.urandom(3_000_000))
    path.write_bytes(data)
    before = fingerprint(path)
    assert before == fingerprint(path)
    for place in (0, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert fingerprint(path) != before
    path.write_bytes(data + b"x")
    assert fingerprint(path) != before
