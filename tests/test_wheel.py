"""The wheel, unpacked where the repository is not: what is in it, and that it runs by itself."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_lite.applications import CARNet18, list_weights

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("checks", "examples", "keras_lite", "ledger", "recipes", "tests", "tools", "weights")

pytestmark = pytest.mark.tensorflow_only


def run_python(*arguments, cwd: Path, **environment: str) -> str:
    """Run Python with the environment's packages but without what .pth files add: without an editable install."""
    paths = os.pathsep.join([environment.pop("PYTHONPATH", ""), *site.getsitepackages()]).lstrip(os.pathsep)
    finished = subprocess.run(
        [sys.executable, "-S", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def build(kind: str, source: Path, folder: Path) -> Path:
    """Call the build backend itself, as pip does: no isolation, no index."""
    folder.mkdir()
    run_python("-c", f"import setuptools.build_meta as backend; backend.build_{kind}({str(folder)!r})", cwd=source)
    [path] = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository, with what an earlier build of other files left."""
    copy = tmp_path_factory.mktemp("checkout")
    for path in REPOSITORY.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, copy)
        elif path.name in FOLDERS:
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    stale = copy / "build" / "lib" / "keras_lite" / "old"
    stale.mkdir(parents=True)
    (stale / "__init__.py").write_text("raise ImportError")
    return copy


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    """The folder that the wheel was unpacked into."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build("wheel", checkout, folder / "built")) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_package_alone_and_whole(checkout, wheel):
    assert {re.sub(r"-.*\.dist-info", "", path.name) for path in wheel.iterdir()} == {"keras_lite"}
    expected = files_of(checkout / "keras_lite")
    expected |= {f"recipes/{name}" for name in files_of(checkout / "recipes")} - {"recipes/latency.py"}
    expected |= {f"weights/{name}" for name in files_of(checkout / "weights")}
    expected |= {f"examples/web/{path.name}" for path in (checkout / "examples/web").iterdir() if path.suffix != ".md"}
    assert files_of(wheel / "keras_lite") == expected
    assert {kept.file for kept in list_weights()} == files_of(wheel / "keras_lite" / "weights")


def test_source_distribution_makes_the_same_wheel(checkout, wheel, tmp_path):
    with tarfile.open(build("sdist", checkout, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.glob("keras_lite-*")
    with zipfile.ZipFile(build("wheel", source, tmp_path / "wheel")) as archive:
        assert set(archive.namelist()) == files_of(wheel)


def test_editable_installation_has_recipes_and_weights(checkout, tmp_path):
    with zipfile.ZipFile(build("editable", checkout, tmp_path / "built")) as archive:
        archive.extractall(tmp_path / "installed")
    environment = {"PYTHONPATH": str(tmp_path / "installed"), "KERAS_BACKEND": "jax"}  # it is imported soonest
    program = (
        f"import site; site.addsitedir({environment['PYTHONPATH']!r})\n"
        "import keras_lite\n"
        "from keras_lite.recipes import sports100_carnet as recipe\n"
        "print(recipe.__file__, *(kept.path() for kept in keras_lite.applications.list_weights()), sep='\\n')\n"
    )
    recipe, *weights = map(Path, run_python("-c", program, cwd=tmp_path, **environment).splitlines())
    assert recipe == checkout / "recipes" / "sports100_carnet.py"
    assert {path.parent for path in weights} == {checkout / "weights"}


def test_what_it_imports_is_among_its_requirements(wheel):
    [distribution] = importlib.metadata.distributions(path=[str(wheel)])
    required = {re.match(r"[\w-]+", line)[0].lower() for line in distribution.requires}
    names = importlib.metadata.packages_distributions()
    imported = set()
    for path in wheel.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module)
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_extra":
                imported |= {argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    packages = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names - {"keras_lite"}
    assert {"keras", "ai_edge_litert"} <= packages
    missing = {
        package
        for package in packages
        if not {name.lower().replace("_", "-") for name in names.get(package, [package])} & required
    }
    assert not missing


RUN = """
import contextlib, importlib, importlib.metadata, io, json, pkgutil, runpy, sys
import numpy as np
import keras_lite

def ended(call):
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            call()
    except SystemExit as stopped:
        assert not stopped.code, stopped.code
    return text.getvalue()

for module in pkgutil.walk_packages(keras_lite.__path__, "keras_lite."):
    importlib.import_module(module.name)

helps = {}
for entry in importlib.metadata.distribution("keras-lite").entry_points:
    sys.argv = [entry.name, "--help"]
    helps[entry.name] = ended(entry.load())

sys.argv = ["recipes", "--list"]
listed = ended(lambda: runpy.run_module("keras_lite.recipes", run_name="__main__"))
sys.argv = ["recipe", "--smoke", "--batch_size", "4", "--output_dir", "run"]
trained = ended(lambda: runpy.run_module("keras_lite.recipes.cifar100_resnet", run_name="__main__"))

model = keras_lite.applications.CARNet18(weights="sports100")
np.save("outputs.npy", model(np.load("images.npy"), training=False))
files = [module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "keras_lite"]
print(json.dumps({"files": [file for file in files if file], "helps": helps, "listed": listed, "trained": trained}))
"""


@pytest.fixture(scope="module")
def ran(wheel, tmp_path_factory):
    """What a process says that has the wheel, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("elsewhere")
    images = np.random.default_rng(0).uniform(size=(2, 96, 96, 3)).astype("float32")
    np.save(folder / "images.npy", images)
    (folder / "use.py").write_text(RUN)
    environment = {"PYTHONPATH": str(wheel), "KERAS_BACKEND": "tensorflow"}
    return json.loads(run_python("use.py", cwd=folder, **environment).splitlines()[-1]), folder


def test_every_module_is_imported_from_it(ran, wheel):
    files = {Path(file) for file in ran[0]["files"]}
    assert all(file.is_relative_to(wheel) for file in files)
    assert {path for path in wheel.rglob("*.py") if path.name != "__main__.py"} <= files


def test_every_command_has_its_help(ran):
    assert ran[0]["helps"]
    assert all(ran[0]["helps"].values())


def test_recipes_train(ran):
    said, folder = ran
    assert "cifar100_first/resnet20/ours" in said["listed"]
    assert "keras-lite train cifar100_first/resnet20/ours" in said["listed"]
    assert "accuracy 68.3" in said["trained"]  # the published one
    assert (folder / "run" / "model.keras").is_file()


def test_named_weights_output_as_the_file_of_the_repository(ran):
    folder = ran[1]
    model = CARNet18(input_shape=(96, 96, 3), weights=REPOSITORY / "weights" / "sports100-carnet18-ours.weights.h5")
    expected = model(np.load(folder / "images.npy"), training=False)
    received = np.load(folder / "outputs.npy")
    assert received.shape == (2, 100)
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-6)
