"""Runs on several simulated devices and in several processes: each ends as a run on one device does."""

import json
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tiny

from keras_lite.data import ImageGeometry, RandomCrop
from keras_lite.errors import InputError
from keras_lite.training import Extras, Options, data_parallel, fit, processes

BACKEND = keras.backend.backend()
DRIVER = Path(__file__).with_name("parallel_driver.py")
DEVICES = {"jax": 4, "tensorflow": 2}.get(BACKEND)

spreads = pytest.mark.skipif(DEVICES is None, reason="Keras has no data parallelism for PyTorch")
only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's refusal")
only_jax = pytest.mark.skipif(BACKEND != "jax", reason="several processes are JAX's")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return the environment of a driver with simulated devices."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("jax")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def environment(devices, **changes):
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        return os.environ | cache | flags | changes

    return environment


@pytest.fixture(scope="module")
def drive(environment):
    """Run recipes on several devices of one process."""

    def drive(*runs):
        command = [sys.executable, DRIVER, str(DEVICES), *map(json.dumps, runs)]
        finished = subprocess.run(
            command, env=environment(DEVICES), capture_output=True, text=True, check=False, timeout=500
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr

    return drive


@pytest.fixture(scope="module")
def runs(drive, tmp_path_factory):
    """Return the folder of a run on one device, of the same run on several, and of that one stopped after a step.

    On TensorFlow also of runs with all that looks at a whole batch, on one device and on several: to start a process
    takes longer than they do.
    """
    folder = tmp_path_factory.mktemp("runs")

    def run(name, *flags):
        return ["adam", "--seed", "3", "--output_dir", str(folder / name), *flags]

    sliced = run("sliced", "--data_parallel")
    more = whole_batches(folder) if BACKEND == "tensorflow" else []
    drive(run("one"), run("several", "--data_parallel"), [*sliced, "--max_minutes", "1e-9"], sliced, *more)
    return folder


def whole_batches(folder):
    flags = ["sgd", "--ema_decay", "0.9", "--teacher", str(folder / "one"), "--output_dir"]
    return [*flags, str(folder / "whole_one")], [*flags, str(folder / "whole_several"), "--data_parallel"]


def read_weights(path):
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]} if hasattr(item, "dtype") else {}))
    return {name: values for name, values in arrays.items() if "seed_generator" not in name}


def result(folder):
    return json.loads((folder / "result.json").read_text())


def assert_same_to_rounding(folder, other):
    """Metrics of training, validation and test, and weights.

    Without synchronized batch norm, or with the mean of uneven devices' means, they differ by more than 1e-3.
    """
    for key in ("last", "test"):
        assert result(folder)[key] == pytest.approx(result(other)[key], abs=2e-5)
    weights, other_weights = (read_weights(path / "last.weights.h5") for path in (folder, other))
    assert len(weights) >= 7
    for name, values in weights.items():
        np.testing.assert_allclose(values, other_weights[name], atol=1e-4, err_msg=name)


@spreads
def test_several_devices_give_the_result_of_one(runs):
    assert_same_to_rounding(runs / "several", runs / "one")


@spreads
def test_model_is_saved_as_that_of_one_device(runs):
    def config(name):
        # What is left out are addresses in memory.
        with zipfile.ZipFile(runs / name / "model.keras") as file:
            return json.loads(file.read("config.json"), object_hook=without_identity)["config"]

    def without_identity(fields):
        return {key: value for key, value in fields.items() if key != "shared_object_id"}

    assert config("several") == config("one")
    assert '"synchronized": false' in json.dumps(config("several"))


@spreads
def test_run_that_was_stopped_ends_as_an_uninterrupted_one(runs):
    with np.load(runs / "sliced" / "resume.npz") as file, np.load(runs / "several" / "resume.npz") as other:
        assert set(file) == set(other)
        for name in set(file) - {"progress"}:
            np.testing.assert_array_equal(file[name], other[name], err_msg=name)
    assert result(runs / "sliced")["last"] == result(runs / "several")["last"]


@spreads
@pytest.mark.slow_elsewhere
def test_what_looks_at_a_whole_batch_sees_it_whole(drive, runs):
    """Clipping, Lookahead, both regularizations, an average of the weights, and a teacher's outputs."""
    if BACKEND != "tensorflow":
        drive(*whole_batches(runs))
    assert_same_to_rounding(runs / "whole_several", runs / "whole_one")


@only_jax
def test_two_processes_give_the_result_of_one_device(environment, runs, tmp_path):
    run = ["adam", "--seed", "3", "--output_dir", str(tmp_path / "run"), "--data_parallel"]
    finished = run_two_processes(environment, run, run)
    assert [code for code, _, _ in finished] == [0, 0], finished
    assert_same_to_rounding(tmp_path / "run", runs / "one")
    # Half of each batch: 8 and a tail of 2; 8 and a tail of 1, which both read.
    reads = [json.loads(output.splitlines()[-1])[1] for _, output, _ in finished]
    assert [read["valid"] for read in reads] == [[0, 1, 2, 3, 8], [4, 5, 6, 7, 9]]
    assert [read["test"] for read in reads] == [[0, 1, 2, 3, 8], [4, 5, 6, 7, 8]]
    assert all(len(read["train"]) < 27 for read in reads)
    # The first alone wrote.
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in (runs / "one").iterdir()}


@only_jax
@pytest.mark.slow
def test_process_that_fails_does_not_leave_the_other_waiting(environment, tmp_path):
    run = ["adam", "--output_dir", str(tmp_path / "run"), "--data_parallel"]
    (code, _, said), (other_code, _, other_said) = run_two_processes(environment, run, [*run, "broken:14"])
    assert (code, other_code) == (1, 1)
    assert "error: Expected all 2 processes to go on, but one has ended." in said
    assert "error: Expected an image in late.jpg, received something else." in other_said


def run_two_processes(environment, *runs):
    """Return exit status, output and errors of both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = []
    for index, run in enumerate(runs):
        variables = {processes.ADDRESSES: address, processes.COUNT: "2", processes.INDEX: str(index)}
        command = [sys.executable, DRIVER, "1", json.dumps(run)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, env=environment(1, **variables), text=True, **pipes))
    try:
        outputs = [process.communicate(timeout=500) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(started, outputs, strict=True)]


def start(**changes):
    data_parallel.start(Options.of(tiny.RECIPE, data_parallel=True, **changes))


@pytest.fixture
def three_devices(monkeypatch):
    if BACKEND == "tensorflow":
        from keras_lite.training import replicas

        monkeypatch.setattr(replicas, "devices_of_strategy", lambda: ["CPU:0", "CPU:1", "CPU:2"])
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0", "cpu:1", "cpu:2"])


@spreads
def test_batches_that_the_devices_do_not_divide_are_an_error(three_devices, tmp_path):
    options = Options.of(tiny.RECIPE, data_parallel=True, batch_size=8)
    with pytest.raises(InputError, match="--batch_size to be a multiple of the 3 devices, received 8"):
        fit(tiny.RECIPE, tiny.data(), options, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    start(batch_size=6)


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's refusal")
def test_pytorch_is_refused(tmp_path):
    with pytest.raises(InputError, match="JAX or TensorFlow backend with --data_parallel, received torch"):
        fit(tiny.RECIPE, tiny.data(), Options.of(tiny.RECIPE, data_parallel=True), tmp_path)


@only_tensorflow
@pytest.mark.parametrize("variable", ["TF_CONFIG", processes.ADDRESSES])
def test_several_processes_on_tensorflow_are_refused(monkeypatch, variable):
    monkeypatch.setenv(variable, "127.0.0.1:1234")
    with pytest.raises(InputError, match=r"single process.*MultiWorkerMirroredStrategy; use JAX"):
        start()


@only_tensorflow
def test_loss_scaling_on_tensorflow_is_refused():
    with pytest.raises(InputError, match="no mixed_float16 with --data_parallel on TensorFlow"):
        start(extras=Extras(precision="mixed_float16"))


@only_jax
def test_teacher_in_several_processes_is_refused(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(InputError, match="no --teacher with several processes"):
        start(extras=Extras(teacher="runs/teacher"))


@only_jax
@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (["", "2", "0"], f"{processes.ADDRESSES} to be the HOST:PORT of the first process, received ''"),
        (["localhost", "2", "0"], "HOST:PORT of the first process, received 'localhost'"),
        (["localhost:1234", "two", "0"], f"{processes.COUNT} to be 1 or more, received 'two'"),
        (["localhost:1234", "2", ""], f"{processes.INDEX} to be from 0 to 1, received ''"),
        (["localhost:1234", "2", "2"], f"{processes.INDEX} to be from 0 to 1, received '2'"),
    ],
)
def test_wrong_variables_are_one_line(monkeypatch, variables, message):
    for name, value in zip((processes.ADDRESSES, processes.COUNT, processes.INDEX), variables, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        start()


@pytest.mark.tensorflow_only
def test_processes_cut_the_same_parts_of_photos_as_one():
    source = tiny.source(6, 0)
    crop, geometry = RandomCrop(), ImageGeometry((5, 5), (8, 8))
    indices = np.arange(6)
    whole = source.crops(indices, crop, geometry, np.random.default_rng(3))
    parts = [
        data_parallel.PartOfBatches(source, lambda count, rows=rows: rows).crops(
            indices, crop, geometry, np.random.default_rng(3)
        )
        for rows in (slice(0, 4), slice(4, 6))
    ]
    np.testing.assert_array_equal(parts[0][:4], whole[:4])
    np.testing.assert_array_equal(parts[1][4:], whole[4:])
    assert not parts[0][4:].any()
    assert not parts[1][:4].any()
