"""A file is found by its preferred name before another one, and in a folder before those in it."""

import pytest

from fastladder.data import DataError
from fastladder.data.folders import find_file


@pytest.fixture
def folder(tmp_path):
    for name in ("a/second", "b/first", "b/deep/third", "third/other", "second"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("names", "found"),
    [(("first", "second"), "b/first"), (("second",), "second"), (("missing", "second"), "second")],
)
def test_what_is_found(names, found, folder, monkeypatch):
    assert find_file(names, folder) == folder / found
    monkeypatch.setenv("FASTLADDER_DATA", str(folder))
    assert find_file(names) == folder / found


def test_what_is_not_found(folder, monkeypatch):
    remedy = r"name the folder that holds it \(--data-dir or FASTLADDER_DATA\)"
    with pytest.raises(DataError, match=f"holds no third or fourth, nor does a folder in it: {remedy}"):
        find_file(("third", "fourth"), folder)
    with pytest.raises(DataError, match=f"nowhere: no such folder, third is needed there: {remedy}"):
        find_file(("third",), folder / "nowhere")
    monkeypatch.delenv("FASTLADDER_DATA", raising=False)
    with pytest.raises(DataError, match=f"^third is needed: {remedy}"):
        find_file(("third",))
