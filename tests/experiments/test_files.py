"""Files that are kept are there whole, in the old state or the new, whatever goes wrong while they are written."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor

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
    assert done == [f"{tmp_path}/a.json.partial", "replace", str(tmp_path)]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    (tmp_path / "a.json.partial").write_bytes(NEW)
    write_json(tmp_path / "a.json", {"ä": [1, None]})
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == '{\n  "\\u00e4": [\n    1,\n    null\n  ]\n}\n'


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write(tmp_path / "link", "ä")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == "ä".encode()


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
