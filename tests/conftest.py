"""What all tests share."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_lite.cli import command_line

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def quick_jax(tmp_path_factory):
    """JAX compiles the random numbers of each shape anew, and optimizes what runs once: most of a test's time."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    def uniform(initializer, shape, dtype=None):
        values = np.random.default_rng(initializer.seed).uniform(initializer.minval, initializer.maxval, shape)
        return values.astype(dtype or "float32")

    def normal(initializer, shape, dtype=None):
        values = np.random.default_rng(initializer.seed).normal(initializer.mean, initializer.stddev, shape)
        return values.astype(dtype or "float32")

    jax.config.update("jax_disable_most_optimizations", True)
    # What is alike is compiled once, in whichever process of the tests.
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.getbasetemp().parent / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.initializers.RandomUniform, "__call__", uniform)
        patch.setattr(keras.initializers.RandomNormal, "__call__", normal)
        yield


# Where what a Keras model outputs is what others are compared with. Elsewhere it is compared itself, traced and not.
PREDICTING = (
    *("checkpoints", "checks", "examples", "export", "inference", "ledger", "litert", "pipelines", "quantization"),
    "runtime",
)


@pytest.fixture(scope="module", autouse=True)
def quick_predictions(request):
    """TensorFlow traces each model anew before it predicts, which takes longer than to run it a few times."""
    if keras.backend.backend() != "tensorflow" or not set(PREDICTING) & set(request.path.parts):
        yield
        return

    def untraced(predict):
        def predict_untraced(model, x, batch_size=32, **others):
            arrays = keras.tree.flatten(x)
            if not all(isinstance(array, np.ndarray) for array in arrays):
                return predict(model, x, batch_size=batch_size, **others)
            outputs = []
            for start in range(0, len(arrays[0]), batch_size):
                part = keras.tree.map_structure(lambda array, start=start: array[start : start + batch_size], x)
                outputs.append(keras.tree.map_structure(keras.ops.convert_to_numpy, model(part, training=False)))
            return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)

        return predict_untraced

    with pytest.MonkeyPatch.context() as patch:
        for library in filter(None, (keras, sys.modules.get("tf_keras"))):
            patch.setattr(library.Model, "predict", untraced(library.Model.predict))
        yield


@pytest.fixture
def golden():
    """Read a golden file: (meta, weights, images, logits)."""
    from read_golden import read

    return lambda name: read(REPOSITORY / "tests" / "golden" / f"{name}.npz")


@dataclasses.dataclass
class Finished:
    """What a command-line tool left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def quick_environment():
    """Return the environment of a process that needs Keras, on whichever backend: JAX is imported soonest."""
    return os.environ | {"KERAS_BACKEND": "jax"}


@pytest.fixture
def run_script():
    """Run a script of this repository, or `-m module`, in a process of its own, as a user would."""

    def run(*arguments, **options):
        finished = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=options.pop("cwd", REPOSITORY),
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        return Finished(finished.returncode, finished.stdout, finished.stderr)

    return run


@pytest.fixture
def run_tool(capfd):
    """Run a tool's module (with `main`, `FLAGS` and a docstring) in this process, without the cost of a new one."""

    def run(module, *arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            command_line.run(module.main, module.FLAGS, module.__doc__, [str(a) for a in arguments])
        return Finished(stopped.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def assert_one_line_error():
    """Check that a finished process said one clear line and ended with 1 or 2."""

    def check(finished, *expected):
        assert finished.returncode in (1, 2), finished.stderr
        lines = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, finished.stderr
        assert "Traceback" not in finished.stderr + finished.stdout
        for text in expected:
            assert str(text) in lines[0]

    return check


@pytest.hookimpl(tryfirst=True)  # before the selection by marker
def pytest_collection_modifyitems(items):
    """Make what is `slow_elsewhere` slow on every backend but TensorFlow, and what is `slow_on_jax` on JAX."""
    backend = keras.backend.backend()
    slow = {"jax": ("slow_elsewhere", "slow_on_jax"), "torch": ("slow_elsewhere",)}.get(backend, ())
    for item in items:
        if any(item.get_closest_marker(name) for name in slow):
            item.add_marker(pytest.mark.slow)
