"""Files that are kept are there whole, in the old state or the new, whatever goes wrong while they are written."""

import errno
import fcntl
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from fastladder.experiments.errors import RunError
from fastladder.experiments.files import WriteError, write, write_figure, write_json

OLD, NEW = b"old" * 10_000, b"new" * 20_000


def no_space(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("before", [OLD, None], ids=["replaced", "new"])
@pytest.mark.parametrize("failure", ["midway", "fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(failure, before, tmp_path, monkeypatch, disk_full):
    path = tmp_path / "last.ckpt"
    if before:
        path.write_bytes(before)
    with monkeypatch.context() as patch, disk_full(len(NEW) // 2 if failure == "midway" else len(NEW)):
        if failure != "midway":
            patch.setattr(os, failure, no_space)
        with pytest.raises(WriteError, match=rf"{path}: cannot be written \((No space left|File too large)"):
            write(path, NEW)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([before] if before else [])


def test_file_and_folder_are_synced_around_the_one_step(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(os.readlink(f"/proc/self/fd/{file}")), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    write(tmp_path / "a.json", "x")
    assert done[0].startswith(f"{tmp_path}/.a.json.")
    assert done[0].endswith(".partial")
    assert done[1:] == ["replace", str(tmp_path)]


def test_what_a_killed_process_left_is_removed_when_nobody_can_be_writing_it(tmp_path):
    names = {name: tmp_path / name for name in (".a.json.1.partial", ".a.json.2.partial", ".b.json.1.partial")}
    for name, path in names.items():
        path.write_bytes(NEW)
        if name != ".a.json.2.partial":
            os.utime(path, (0, 0))
    write_json(tmp_path / "a.json", {"ä": [1, None]})
    assert {file.name for file in tmp_path.iterdir()} == {"a.json", ".a.json.2.partial", ".b.json.1.partial"}
    assert (tmp_path / "a.json").read_text() == '{\n  "\\u00e4": [\n    1,\n    null\n  ]\n}\n'


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write(tmp_path / "link", "ä")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == "ä".encode()


def test_links_that_lead_nowhere_or_lie_in_wait(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(WriteError, match=r"loop: cannot be written \(Too many levels of symbolic links\)"):
        write(tmp_path / "loop", NEW)
    (tmp_path / "other").write_bytes(OLD)
    (tmp_path / "a.partial").symlink_to("other")
    write(tmp_path / "a", NEW)
    assert (tmp_path / "other").read_bytes() == OLD


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_file_keeps_its_mode_and_a_new_one_has_that_of_the_umask(tmp_path):
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "old").chmod(0o664)
    for name in ("old", "new"):
        write(tmp_path / name, NEW)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("old", "new")] == [0o664, 0o640]


def test_a_file_that_may_not_be_written_to_is_not_replaced():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to all but its owner
        os.chmod(folder, 0o777)
        path = Path(folder) / "a"
        path.write_bytes(OLD)
        path.chmod(0o444)
        user = os.geteuid()
        if user == 0:  # who may write to everything
            os.seteuid(65534)
        try:
            with pytest.raises(WriteError, match=r"a: cannot be written \(Permission denied\)"):
                write(path, NEW)
        finally:
            os.seteuid(user)
        assert path.read_bytes() == OLD


def test_a_folder_that_somebody_has_locked(tmp_path):
    """As `flock FOLDER fastladder ...` does."""
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(write, tmp_path / "a", NEW).result(timeout=20)
        finally:
            os.close(folder)


def test_an_unnamed_pipe_is_written_to():
    """As a shell's >(...) and /dev/stdout before a |."""
    reader, writer = os.pipe()
    write(Path(f"/dev/fd/{writer}"), b"x")
    os.close(writer)
    with os.fdopen(reader, "rb") as end:
        assert end.read() == b"x"


def test_a_device_is_written_to_and_stays_one(tmp_path):
    with pytest.raises(WriteError, match="/dev/full: cannot be written"):
        write(tmp_path.joinpath("/dev/full"), NEW)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe, b"x")
    assert os.read(reader, 9) == b"x"
    os.close(reader)
    assert pipe.is_fifo()


def test_several_writers_of_one_file_do_not_meet(tmp_path):
    """As when two tables are reproduced at once, which share a report."""
    path = tmp_path / "RESULTS.md"
    texts = [letter * 50_000 for letter in "abcd"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: [write(path, text) for _ in range(10)], texts))
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_has_the_format_of_its_name(tmp_path):
    write_figure(tmp_path / "a.png", Figure())
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    write_figure(tmp_path / "a.pdf", Figure())
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(RunError, match=r"a.xyz: Format 'xyz' is not supported"):
        write_figure(tmp_path / "a.xyz", Figure())
