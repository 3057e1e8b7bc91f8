"""The latency recipe: a table beside the published one, from files that stay."""

import json

import keras
import pytest

from keras_lite.runtime import benchmark
from ledger import latency, read_results
from ledger.latency import latency_table, run_latency

pytestmark = pytest.mark.tensorflow_only


def test_smoke_measures_and_records(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(benchmark, "_ROUNDS", 1)  # each file in each round is a process
    arguments = [
        "--smoke",
        "--precisions",
        "float32",
        "--output_dir",
        str(tmp_path / "files"),
        "--results_dir",
        str(tmp_path / "results"),
    ]
    written = []
    for results in ("one", "two"):
        with pytest.raises(SystemExit) as stopped:
            run_latency("usage", [*arguments[:-1], str(tmp_path / results)])
        printed = capfd.readouterr()
        assert stopped.value.code == 0, printed.err
        written.append(printed.out.count("writing "))
    assert written == [2, 0]
    (result,) = read_results(tmp_path / "two")
    assert set(result.milliseconds) == {"latency/shufflenetv2/original", "latency/shufflenetv2/ours"}
    assert (result.precision, result.threads) == ("float32", 1)
    figures = json.loads((tmp_path / "files" / "latency.json").read_text())
    assert [figure["file"] for figure in figures] == [
        "shufflenetv2_original_float32.tflite",
        "shufflenetv2_ours_float32.tflite",
    ]


@pytest.mark.slow
def test_phone_friendly_files_are_of_the_networks_that_can_be(tmp_path, monkeypatch):
    written = {}
    monkeypatch.setattr(latency, "_write", lambda model, path, *_: written.update({path.name: model}))
    rows = ["ghostnet/ours", "shufflenetv2/ours"]
    files = latency.write_files(rows, ["int8"], tmp_path, phone_friendly=True)
    assert [*files] == [
        ("ghostnet/ours", "int8"),
        ("ghostnet/ours", "int8 phone-friendly"),
        ("shufflenetv2/ours", "int8"),
    ]
    assert [*written] == [path.name for path in files.values()]
    # The seven attentions of GhostNet hold what is missing.
    parts = [layer.count_params() for layer in written["ghostnet_ours_int8.tflite"].layers if "attention" in layer.name]
    sizes = [model.count_params() for model in written.values()]
    assert (len(parts), sizes[0] - sizes[1]) == (7, sum(parts))


def test_stock_files_are_of_the_float_network(tmp_path, monkeypatch):
    written = {}
    monkeypatch.setattr(
        latency, "to_tflite", lambda model, path, *precision, **options: written.update({path: (model, options)})
    )
    rows = ["shufflenetv2/ours", "cifar100_first/resnet20/original"]
    (key, path), (_, other) = latency.write_files(rows, ["stock-int8"], tmp_path).items()
    model, options = written[path]
    assert key == ("shufflenetv2/ours", "stock-int8")
    assert written[other][1]["calibration"].shape[1:] == (32, 32, 3)  # a row of another table
    assert isinstance(model, keras.Model)  # a quantized one is of tf_keras
    assert options["calibration"].shape[1:] == (224, 224, 3)


def test_table_has_ratios_beside_the_published():
    times = {("ghostnet/original", "int8", 2): 4.0, ("ghostnet/ours", "int8", 2): 3.0}
    lines = latency_table(times).splitlines()
    assert lines[0].split("  ")[-2:] == ["AMD Ryzen 5 5600H", "MediaTek Dimensity 1000+"]
    (ours,) = [line for line in lines if line.startswith("ghostnet/ours")]
    assert "3.00 (0.75)" in ours
    times["ghostnet/ours", "int8 phone-friendly", 2] = 2.0
    lines = latency_table(times).splitlines()
    assert "int8 phone-friendly, threads: 2" in lines[0]
    (original,) = [line for line in lines if line.startswith("ghostnet/original")]
    assert original.split()[1:3] == ["4.00", "-"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rows", "vgg/ours"], ["--rows", "vgg/ours"]),
        (["--precisions", "int4"], ["--precisions", "int4"]),
        (["--threads", "none"], ["--threads", "none"]),
        (["files"], ["files"]),
    ],
)
def test_wrong_flags_are_one_line(arguments, expected, tmp_path, capfd):
    with pytest.raises(SystemExit) as stopped:
        run_latency("usage", [*arguments, "--output_dir", str(tmp_path)])
    assert stopped.value.code == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert all(text in line for text in expected)
