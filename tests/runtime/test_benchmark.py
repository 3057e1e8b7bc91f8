from collections import Counter

import pytest
from int8_models import calibrated
from small_classifier import carnet_like, color_images, scramble

from keras_lite.cli import benchmark as benchmark_tool
from keras_lite.litert import write
from keras_lite.quantization.lower import lower
from keras_lite.runtime.inspection import inspect

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    model = scramble(carnet_like())
    for name, graph in (("float32", lower(model)), ("int8", calibrated(model, color_images(8, seed=0)[0]).graph)):
        (folder / f"{name}.tflite").write_bytes(write(graph))
    return [folder / "float32.tflite", folder / "int8.tflite"]


def test_files_side_by_side(run_tool, files):
    finished = run_tool(benchmark_tool, *files, "--threads", "1,2", "--runs", 20)

    assert finished.returncode == 0, finished.stderr
    rows = [line.split() for line in finished.stdout.splitlines() if "partition" in line]
    assert [row[:2] for row in rows] == [[str(file), threads] for file in files for threads in "12"]
    float_size, int_size = (file.stat().st_size for file in files)
    for row in rows:
        assert 0 < float(row[2]) <= float(row[3]) + 0.01  # median <= 95th percentile
        assert float(row[6]) == round((float_size if "float32" in row[0] else int_size) / float_size, 2)
    assert rows[0][4] == rows[1][4] == "1.00"
    assert "DEPTHWISE_CONV_2D float32" in finished.stdout
    assert "DEPTHWISE_CONV_2D int8" in finished.stdout


def test_operators_one_by_one(run_tool, files):
    finished = run_tool(benchmark_tool, *files, "--threads", "1", "--runs", 5, "--operators")

    assert finished.returncode == 0, finished.stderr
    table = finished.stdout.partition("Operators, each alone")[2].splitlines()[3:]
    counts = {line.split("  ")[0]: line.split("  ", 1)[1].split()[::3] for line in table}
    for number, file in enumerate(files):
        found = inspect(file, delegates=False).operator_counts()
        by_name = Counter()
        for kind, columns in counts.items():
            by_name[kind.split()[0]] += int(columns[number])
        assert by_name.pop("all") == sum(found.values())
        assert +by_name == Counter({name.split()[0]: count for name, count in found.items()})


def test_wrong_input_ends_in_one_line(run_tool, files, tmp_path, assert_one_line_error):
    text = tmp_path / "text.tflite"
    text.write_text("a text that is no model")
    assert_one_line_error(run_tool(benchmark_tool), "received none")
    assert_one_line_error(run_tool(benchmark_tool, tmp_path / "none.tflite"), "none.tflite", "not a file")
    assert_one_line_error(run_tool(benchmark_tool, text), "text.tflite", "something else")
    assert_one_line_error(run_tool(benchmark_tool, files[0], "--threads", "0"), "--threads")
    assert_one_line_error(run_tool(benchmark_tool, files[0], "--threads", ""), "received none")
