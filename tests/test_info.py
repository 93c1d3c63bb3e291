import json
import platform
import subprocess

import pytest
import torch

from fastladder import backends, extension, info


def test_environment_is_plain_and_complete(monkeypatch):
    monkeypatch.setenv("FASTLADDER_BACKEND", "reference")
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/fastladder", "train", "--run", "a b"])
    stamp = info.environment(seed=3)
    assert json.loads(json.dumps(stamp)) == stamp
    assert stamp["command"] == "fastladder train --run 'a b'"
    assert stamp["seed"] == 3
    assert stamp["threads"] == torch.get_num_threads()
    assert stamp["versions"]["torch"] == torch.__version__
    assert stamp["versions"]["python"] == platform.python_version()
    assert stamp["variables"]["FASTLADDER_BACKEND"] == "reference"
    assert info.cpu_name() in stamp["device"]


def test_a_package_that_is_absent_has_no_version(monkeypatch):
    monkeypatch.setattr(info, "PACKAGES", ("torch", "no-such-package"))
    assert info.versions()["no-such-package"] is None
    assert "no-such-package" in info.doctor()
    assert "fastladder[train]" in info.doctor()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A package in a fresh git checkout of one commit."""
    module = tmp_path / "fastladder" / "info.py"
    module.parent.mkdir()
    module.write_text("")
    monkeypatch.setattr(info, "__file__", str(module))

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    git("tag", "-a", "v1", "-m", "a tag does not stand for the commit")
    return module, git


def test_commit(checkout):
    module, git = checkout
    assert info.commit() == git("rev-parse", "HEAD")
    for path in ("results/table.json", "bench/results/bench.json", "RESULTS.md"):
        result = module.parent.parent / path
        result.parent.mkdir(parents=True, exist_ok=True)
        result.write_text("before")
        git("add", path)
    git("commit", "-q", "-m", "results")
    head = git("rev-parse", "HEAD")
    result.write_text("after")  # results are not what makes them
    assert info.commit() == head
    git("add", ".")
    assert info.commit() == head
    module.write_text("changed")
    assert info.commit() == f"{head}-dirty"


def test_no_commit_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(info, "__file__", str(tmp_path / "fastladder" / "info.py"))
    assert info.commit() is None


def test_doctor_says_for_each_absent_backend_why_and_what_to_do(monkeypatch):
    monkeypatch.setitem(backends._absent, ("native", "cpu"), "the extension is broken; mend it")
    monkeypatch.setitem(backends._absent, ("native", "cuda"), None)
    lines = {line.split("  ")[1]: line for line in info.doctor().splitlines() if line.startswith("  ")}
    assert "absent: the extension is broken; mend it" in lines["native on cpu"]
    assert lines["native on cuda"].endswith(" runs")
    assert "reference" in lines
    for device in ("cpu", "cuda"):
        reason = backends.unavailable_reason("triton", device)
        assert (reason or "runs") in lines[f"triton on {device}"]


@pytest.mark.parametrize("built", [True, False])
def test_doctor_shows_the_build(built, monkeypatch):
    class Module:
        @staticmethod
        def build_info():
            return {"compiler": "cc 1.2", "simd": "AVX9", "torch_target": "2.10", "cuda_architectures": "8.0;9.0"}

    monkeypatch.setattr(extension, "module", Module if built else None)
    report = info.doctor()
    for words in ("cc 1.2", "AVX9", "2.10", "8.0;9.0"):
        assert (words in report) == built
    assert ("not built" in report) != built


def test_doctor_shows_versions_machine_and_variables(monkeypatch):
    monkeypatch.setenv("FASTLADDER_DATA", "/some/where")
    report = info.doctor()
    for words in (torch.__version__, platform.python_version(), info.cpu_name(), "FASTLADDER_DATA", "/some/where"):
        assert words in report
