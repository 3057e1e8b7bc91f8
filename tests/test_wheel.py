"""The wheel, installed where the repository is not."""

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
MODULES = (
    "profiling",
    "evaluate",
    "predict",
    "export",
    "export.benchmark",
    "export.compare_precisions",
    "export.android_benchmark",
    "quantize",
)
COMMANDS = (
    "profile",
    "evaluate",
    "predict",
    "export",
    "benchmark",
    "compare-precisions",
    "android-benchmark",
    "quantize",
)

pytestmark = pytest.mark.tensorflow_only


def run(*command, **options):
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", folder, REPOSITORY)
    [path] = folder.glob("keras_lite-*.whl")
    return path


def fresh_environment(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def check_tools(python: Path, folder: Path):
    options = {"cwd": folder, "env": os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}}
    where = run(python, "-c", "import keras_lite; print(keras_lite.__file__)", **options)
    assert Path(where.strip()).is_relative_to(python.parents[1])
    assert "653,376  1,600,720,576" in run(python, "-m", "keras_lite.profiling", "carnet18", **options)
    # One process for all: each tool's module imports, has its help, and an entry point of its own.
    program = (
        "import importlib, io, contextlib, sys\n"
        f"for name in {MODULES}:\n"
        "    module = importlib.import_module('keras_lite.' + name)\n"
        "    if hasattr(module, '__path__'): module = importlib.import_module(module.__name__ + '.__main__')\n"
        "    sys.argv, text = [name, '--help'], io.StringIO()\n"
        "    try:\n"
        "        with contextlib.redirect_stdout(text): module.cli()\n"
        "    except SystemExit as stopped: assert stopped.code == 0\n"
        "    assert 'Flags:' in text.getvalue(), name\n"
    )
    run(python, "-c", program, **options)
    for name in COMMANDS:
        assert (python.parent / f"keras-lite-{name}").is_file()


def test_wheel_without_the_repository(wheel, tmp_path):
    """The wheel alone is installed; the packages it needs are those that the tests run with."""
    python = fresh_environment(tmp_path / "environment")
    run(python, "-m", "pip", "install", "-q", "--no-deps", wheel)
    packages = next((tmp_path / "environment").glob("lib/python*/site-packages"))
    # A path in a .pth file adds a folder's packages, but not what the folder's own .pth files add: no editable install.
    (packages / "needed.pth").write_text("\n".join(site.getsitepackages()))
    check_tools(python, tmp_path)


@pytest.mark.slow
def test_wheel_with_its_own_requirements(wheel, tmp_path):
    python = fresh_environment(tmp_path / "environment")
    constraints = REPOSITORY / "constraints.txt"
    run(python, "-m", "pip", "install", "-q", "--constraint", constraints, f"{wheel}[quantization]")
    run(python, "-m", "pip", "check")
    check_tools(python, tmp_path)
