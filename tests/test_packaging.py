"""A wheel, built and installed into a fresh environment, works outside the checkout; without a compiler too."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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


def run(*command, cwd, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FASTLADDER", "PYTHON"))}
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def build_wheel(source, folder, **environment):
    pip = (
        sys.executable,
        "-m",
        "pip",
        "wheel",
        source,
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        folder,
    )
    run(*pip, cwd=folder, **environment)
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
def wheel(tmp_path_factory):
    # The kernels for GPUs are checked on their own; here they would only cost time.
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"), FASTLADDER_CUDA="0")


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"fastladder", next(top for top in tops if top.endswith(".dist-info"))}
    for needed in ("fastladder/kernels/lstm_gates.py", "fastladder/py.typed", "fastladder/nn/__init__.py"):
        assert needed in names
    assert any(name.startswith("fastladder/_C.") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_works_outside_the_checkout(wheel, tmp_path):
    python = install(wheel, tmp_path / "environment")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = run(python, "-c", USE, cwd=elsewhere)
    assert '"backend": "native"' in said
    assert '"gradient": true' in said
    assert str(tmp_path / "environment") in said
    doctor = run(tmp_path / "environment" / "bin" / "fastladder", "doctor", cwd=elsewhere)
    assert "native on cpu" in doctor


def test_installs_without_a_compiler(tmp_path):
    source = tmp_path / "source"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    hidden = {"PATH": str(Path(sys.executable).parent), "CC": "no-compiler", "CXX": "no-compiler", "CUDA_HOME": ""}
    wheel = build_wheel(source, wheels, **hidden)
    assert not any("_C." in name for name in zipfile.ZipFile(wheel).namelist())

    python = install(wheel, tmp_path / "environment")
    said = run(python, "-c", USE, cwd=wheels)
    assert '"backend": "reference"' in said
    assert '"gradient": true' in said
    doctor = run(tmp_path / "environment" / "bin" / "fastladder", "doctor", cwd=wheels)
    assert "absent" in doctor
    assert "install a C++ compiler" in doctor
    asked = "import fastladder; fastladder.use_backend('native')"
    failed = subprocess.run([str(python), "-c", asked], cwd=wheels, capture_output=True, text=True, check=False)
    assert failed.returncode != 0
    assert "install a C++ compiler" in failed.stderr
