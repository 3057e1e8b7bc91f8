import itertools
import json
import time

import keras
import pytest
import tiny

from keras_lite.training import Options
from keras_lite.training.benchmark import benchmark_training
from ledger import read_results, training_speed


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_every_image_counts_once(monkeypatch, steps_per_execution):
    if steps_per_execution > 1 and keras.backend.backend() == "torch":
        pytest.skip("PyTorch always runs one step")
    # A clock that goes on by a second whenever it is read: each kind reads it before and after three steps of four.
    monkeypatch.setattr(time, "perf_counter", map(float, itertools.count()).__next__)
    options = Options.of(tiny.RECIPE, steps_per_execution=steps_per_execution)
    [speed] = benchmark_training([("tiny", tiny.RECIPE, options)], steps=4 if steps_per_execution == 2 else 3, rounds=2)
    expected = 16 if steps_per_execution == 2 else 12
    assert speed.step == speed.fit == [expected, expected]
    figures = speed.to_dict()
    assert figures["images_per_second"]["fit"] == expected
    assert figures["batch_size"] == 4


@pytest.mark.slow
@pytest.mark.tensorflow_only
def test_tool_measures_rows_with_their_recipes(run_tool, tmp_path):
    output = tmp_path / "speed.json"
    arguments = ("--steps", 1, "--rounds", 1, "--batch_size", 4, "--pytorch", "--output", output)
    arguments += ("--results_dir", tmp_path / "results", "--remark", "a test")
    finished = run_tool(training_speed, "cifar100_first/resnet20/ours", *arguments)
    assert finished.returncode == 0, finished.stderr
    [row] = [line.split() for line in finished.stdout.splitlines() if line.startswith("cifar100_first/")]
    assert row[:3] == ["cifar100_first/resnet20/ours", "4", "32x32"]
    assert all(float(figure) > 0 for figure in [*row[3:7], *row[-2:]])
    written = json.loads(output.read_text(encoding="utf-8"))
    assert written["environment"]["backend"] == "tensorflow"
    assert written["speeds"][0]["name"] == "cifar100_first/resnet20/ours"
    [recorded] = read_results(tmp_path / "results")
    assert (recorded.batch_size, recorded.remark) == (4, "a test")
    assert recorded.pytorch_images_per_second["cifar100_first/resnet20/ours"] > 0
    assert recorded.images_per_second["cifar100_first/resnet20/ours"] == float(
        f"{written['speeds'][0]['images_per_second']['fit']:.1f}"
    )


@pytest.mark.tensorflow_only
def test_wrong_row_ends_in_one_line(run_tool, assert_one_line_error):
    assert_one_line_error(run_tool(training_speed), "received none")
    assert_one_line_error(run_tool(training_speed, "cifar100_first/resnet2/ours"), "cifar100_first/resnet2/ours")
