"""The source distribution, and the wheel built from it and installed into a fresh environment, work by themselves.

Nothing here sees the checkout, so that what a distribution lacks is missed. The wheel is built once, with Clang where
it is there, as the extension of the checkout mostly comes from GCC.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.csrc.clones import check_instructions, check_running

ROOT = Path(__file__).parent.parent
CLANG = shutil.which("clang++")
USE = """
import fastladder, json, pathlib, torch
from fastladder import ops
projection, cell = torch.randn(2, 12, 5, requires_grad=True), torch.randn(2, 3, 5)
hidden, _ = ops.lstm_gates(projection, cell, norm="layer")
hidden.sum().backward()
print(json.dumps({
    "backend": fastladder.backends.select_backend("lstm_gates", cell.device, cell.dtype),
    "folder": str(pathlib.Path(fastladder.__file__).parent),
    "gradient": bool(projection.grad.abs().sum() > 0),
}))
"""
BUILD = """
import json
from fastladder.extension import module
print(json.dumps([module.__file__, module.build_info()]))
"""
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
HELP = """
from fastladder.cli import COMMANDS, main
for command in COMMANDS:
    try:
        main([command, "--help"])
    except SystemExit as stop:
        assert stop.code == 0, command
    else:
        raise AssertionError(command)
"""
MINIATURE = """
import sys
from dataclasses import replace
from fastladder.cli import main
from fastladder.experiments.tables import Scale
from fastladder.experiments.shapes import tables
shared = {
    "data": {"dataset": "shapes", "sizes": [20, 5, 8], "batch_size": 5},
    "model": {"widths": [12, 8, 6], "learning_rate": 1e-3},
    "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    "test": {"groups": 4, "objects": 3, "iterations": 5},
}
rows = {"layer": {"model": {"norm": "layer"}}}
tables.TABLE1 = replace(tables.TABLE1, scales={"small": Scale("Hardly anything.", shared, rows)})
sys.exit(main(["reproduce", "tagger-table1", "--row=layer"]))
"""


def attempt(*command, cwd, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FASTLADDER", "PYTHON"))}
    return subprocess.run(
        [str(c) for c in command], cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False
    )


def run(*command, cwd, **environment):
    done = attempt(*command, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def build_wheel(sdist, folder, **environment):
    # The kernels for GPUs are checked on their own; here they would only cost time.
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder)
    run(*pip, sdist, cwd=folder, FASTLADDER_CUDA="0", **environment)
    (wheel,) = folder.glob("fastladder-*.whl")
    return wheel


def install(wheel, folder):
    """A new environment with the wheel; torch comes from this one, fastladder does not."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=wheel.parent)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    run(*pip, cwd=wheel.parent)
    return python


@pytest.fixture(scope="module")
def files():
    """Every file of the checkout that is not ignored."""
    if not (ROOT / ".git").exists():  # as in a source distribution, which may lie in somebody's repository
        pytest.skip("needs a checkout with git, which knows its files from those that lie beside them")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).exists()})


@pytest.fixture(scope="module")
def sdist(files, tmp_path_factory):
    checkout, folder = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("sdist")
    for name in files:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    run(sys.executable, "setup.py", "sdist", "--dist-dir", folder, cwd=checkout)
    (archive,) = folder.glob("fastladder-*.tar.gz")
    return archive


@pytest.fixture
def unpacked(sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    return build_wheel(sdist, tmp_path_factory.mktemp("wheel"), **({"CXX": CLANG} if CLANG else {}))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of an environment with the wheel."""
    return install(wheel, tmp_path_factory.mktemp("installed") / "environment")


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def installed_name(file):
    """Where a wheel has a file of the checkout; kernels/ lies at its top."""
    return file if file.startswith("fastladder/") else f"fastladder/{file}"


def test_sdist_holds_sources_and_tests_and_nothing_else(files, unpacked):
    held = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    for folder in ("csrc", "fastladder", "kernels", "tests"):
        wanted = {name for name in files if name.startswith(f"{folder}/")}
        assert {name for name in held if name.startswith(f"{folder}/")} == wanted
    assert held >= {"setup.py", "pyproject.toml", "README.md", "LICENSE", "Makefile", "constraints.txt"}
    assert not any(name.startswith(("bench/results", "results", ".ci", ".git")) for name in held)


def test_tests_of_packaging_are_passed_over_without_a_checkout(unpacked):
    said = run(sys.executable, "-m", "pytest", "-q", "tests/test_packaging.py", cwd=unpacked)
    assert "needs a checkout with git" in said
    assert "passed" not in said


def test_incomplete_sources_are_an_error(unpacked):
    """Else the compiler's error would become a warning, which pip hides."""
    (unpacked / "csrc" / "tensors.h").unlink()
    done = attempt(sys.executable, "setup.py", "bdist_wheel", cwd=unpacked)
    assert done.returncode != 0
    assert "csrc/ lacks tensors.h" in done.stderr


def test_wheel_holds_the_package_and_nothing_else(files, wheel):
    names = zipfile.ZipFile(wheel).namelist()
    (metadata,) = {name.split("/")[0] for name in names if not name.startswith("fastladder/")}
    assert metadata.endswith(".dist-info")
    assert any(name.endswith("licenses/LICENSE") for name in names)
    extension, held = set(), set()
    for name in names:
        if name.startswith("fastladder/"):
            (extension if name.startswith("fastladder/_C.") else held).add(name)
    assert len(extension) == 1
    assert held == {installed_name(name) for name in files if name.startswith(("fastladder/", "kernels/"))}


def test_wheel_works_outside_the_checkout(python, elsewhere):
    said = json.loads(run(python, "-c", USE, cwd=elsewhere))
    assert said["backend"] == "native"
    assert said["gradient"]
    assert said["folder"].startswith(str(python.parent.parent))
    report = run(python.parent / "fastladder", "doctor", cwd=elsewhere).splitlines()
    (native,) = (line.split(maxsplit=3) for line in report if line.startswith("  native on cpu"))
    assert native[3] == "runs"


def test_every_module_imports(files, python, elsewhere):
    sources = [name for name in files if name.startswith(("fastladder/", "kernels/")) and name.endswith(".py")]
    modules = [installed_name(name).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources]
    run(python, "-c", IMPORT, *modules, cwd=elsewhere)


def test_every_command_helps(python, elsewhere):
    run(python, "-c", HELP, cwd=elsewhere)


def test_reproduce_writes_its_report(python, elsewhere):
    run(python, "-c", MINIATURE, cwd=elsewhere)
    result = json.loads((elsewhere / "results/tagger-table1/small/layer-0.json").read_text())
    assert result["complete"]
    assert "Tagger, layer norm" in (elsewhere / "RESULTS.md").read_text()


@pytest.mark.skipif(CLANG is None, reason="there is no clang++ on the PATH")
def test_clang_compiles_the_same_kernels(python, unpacked, elsewhere):
    library, build = json.loads(run(python, "-c", BUILD, cwd=elsewhere))
    assert "clang" in build["compiler"].lower()
    if platform.machine() == "x86_64":
        check_instructions(library)
        check_running(library, build["simd"], python, cwd=elsewhere)
    for folder in ("tests", "bench"):
        shutil.copytree(unpacked / folder, elsewhere / folder)
    shutil.copy(unpacked / "conftest.py", elsewhere)
    pytest_some = ("-m", "pytest", "-q", "tests/ops/test_contract.py", "-k", "test_any_memory_layout or test_any_dtype")
    run(python, *pytest_some, cwd=elsewhere)


def test_installs_without_a_compiler(sdist, tmp_path):
    hidden = {"PATH": str(Path(sys.executable).parent), "CC": "no-compiler", "CXX": "no-compiler", "CUDA_HOME": ""}
    wheel = build_wheel(sdist, tmp_path, **hidden)
    assert not any("_C." in name for name in zipfile.ZipFile(wheel).namelist())

    python = install(wheel, tmp_path / "environment")
    said = json.loads(run(python, "-c", USE, cwd=tmp_path))
    assert said["backend"] == "reference"
    assert said["gradient"]
    doctor = run(python.parent / "fastladder", "doctor", cwd=tmp_path)
    assert "absent" in doctor
    assert "install a C++ compiler" in doctor
    failed = attempt(python, "-c", "import fastladder; fastladder.use_backend('native')", cwd=tmp_path)
    assert failed.returncode != 0
    assert "install a C++ compiler" in failed.stderr
