import re
import zlib
from pathlib import Path

import pytest

from keras_lite import published
from keras_lite.errors import InputError
from keras_lite.files import read_json, write_json
from ledger import LatencyResult, SpeedResult, read_results, report, write_result
from ledger.tables import OPEN, pages_in, results_markdown

pytestmark = pytest.mark.tensorflow_only
REPOSITORY = Path(__file__).parents[2]


def lines_of(text, section, row):
    """The cells of a row's lines in a section, without italics."""
    section = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and f"`{row}`" in line]
    return [[re.sub(r"^\*([^*]*)\*$", r"\1", cell.strip()) for cell in line.split("|")[1:-1]] for line in lines]


FIRST = "CIFAR-100, first hyper-parameter set"
RESNET20 = "resnet20/ours"


def test_results_of_the_repository_are_what_the_files_say():
    text = (REPOSITORY / "RESULTS.md").read_text(encoding="utf-8")
    folder = REPOSITORY / "results"
    assert text == results_markdown(read_results(folder), pages=pages_in(folder)), "make report"
    for link in re.findall(r"\]\((results/[^)]+)\)", text):
        assert (REPOSITORY / link).is_file()
    for plot in (REPOSITORY / "results").glob("*.png"):
        assert plot.stat().st_size < 100_000


def test_other_pages_are_linked_by_their_titles(tmp_path):
    (tmp_path / "speed.md").write_text("# How fast it is\n\nVery.\n")
    assert "## Other measurements" not in results_markdown([])
    text = results_markdown([], pages=pages_in(tmp_path))
    assert "## Other measurements\n\n- [How fast it is](results/speed.md)\n" in text


def test_rows_that_were_not_run_are_open():
    text = results_markdown([])
    lines = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 12]
    assert len(lines) == len(published.rows())
    assert all(line.endswith("|" + f" {OPEN} |" * 7) for line in lines)
    assert "0 of 58 published rows have a run" in text
    (line,) = lines_of(text, FIRST, RESNET20)
    assert line[1:4] == ["282,000", "37.8 M", "68.30"]
    # What the tables can't show: nothing was printed.
    (line,) = lines_of(text, "CIFAR-100, ablation", "ghostnet/stem")
    assert line[1:4] == ["", "", "74.20"]
    for row in published.rows():
        assert all(remark in text for remark in row.remarks)


def test_mean_and_spread_over_seeds(run_result):
    """70, 71 and 73 are off their mean by -1.33, -0.33 and 1.67: the squares add to 4.67, the half of which is 2.33."""
    runs = [run_result(share, seed=seed, best_accuracy=0.74) for seed, share in ((2, 0.73), (0, 0.7), (1, 0.71))]
    (line,) = lines_of(results_markdown(runs), FIRST, RESNET20)
    assert line[4:] == ["71.33 ± 1.53", "74.00 ± 0.00 test", "+3.03", "3 (0, 1, 2)", "200 of 200", "`published`", ""]
    (line,) = lines_of(results_markdown(runs[:1]), FIRST, RESNET20)
    assert line[4:8] == ["73.00", "74.00 test", "+4.70", "1 (2)"]


def test_fewer_epochs_are_marked(run_result):
    short = run_result(0.46, epochs=10)
    text = results_markdown([short])
    (line,) = lines_of(text, FIRST, RESNET20)
    assert line[4:] == ["46.00", "75.00 test", "-22.30", "1 (0)", "**10 of 200**", "`published`", "**fewer epochs**"]
    assert "0 of 58 published rows have a run with all epochs, 1 more only shorter ones. 1 run in all." in text
    # Beside complete runs they have a line of their own, below, whatever their seed.
    text = results_markdown([short, run_result(0.68, seed=1), run_result(0.69, seed=0)])
    complete, marked = lines_of(text, FIRST, RESNET20)
    assert (complete[4], complete[7], complete[8]) == ("68.50 ± 0.71", "2 (0, 1)", "200 of 200")
    assert marked == line
    assert "1 of 58 published rows have a run with all epochs, 0 more" in text
    # Also in the list of all runs.
    assert [line[3] for line in lines_of(text.replace("| [", "| `run` ["), "Every run", "run")] == [
        "**10 of 200**", "200 of 200", "200 of 200",
    ]  # fmt: skip


def test_what_else_departs_has_a_line_of_its_own(run_result):
    runs = [
        run_result(0.60, protocol="held_out", last_accuracy=0.62, best_accuracy=0.63),
        run_result(0.61, image_size=[48, 48]),
        run_result(0.62, changes={"label_smoothing": 0.1, "ema": True}),
        run_result(0.63, epochs=250, remark="longer."),
    ]
    text = results_markdown(runs)
    found = {line[4]: (line[5], *line[8:]) for line in lines_of(text, FIRST, RESNET20)}
    assert found == {
        "60.00": ("63.00 validation", "200 of 200", "`held_out`", ""),
        "61.00": ("75.00 test", "200 of 200", "`published`", "**48 pixels**"),
        "62.00": ("75.00 test", "200 of 200", "`published`", "`--ema true`, `--label_smoothing 0.1`"),
        "63.00": ("75.00 test", "**250 of 200**", "`published`", "**more epochs**"),
    }
    assert "- `resnet20/ours`: 250 epochs, seed 0: longer.\n" in text
    assert len({run.file_name for run in runs}) == 4
    lines = lines_of(results_markdown([run_result(seed=1), run_result(recipe="modern")]), FIRST, RESNET20)
    assert [line[7:] for line in lines] == [
        ["1 (0)", "200 of 200", "`published`", "recipe `modern`"],
        ["1 (1)", "200 of 200", "`published`", "recipe `cifar100_resnet`"],
    ]


def test_one_network_in_two_tables_is_run_once(run_result):
    text = results_markdown([run_result(0.75, row="cifar100_second/ghostnet/original")])
    (second,) = lines_of(text, "CIFAR-100, second hyper-parameter set", "ghostnet/original")
    (ablation,) = lines_of(text, "CIFAR-100, ablation", "ghostnet/original")
    assert (second[3:5], second[6]) == (["74.00", "75.00"], "+1.00")
    assert (ablation[3:5], ablation[6]) == (["76.00", "75.00"], "-1.00")


def test_runs_of_other_recipes_and_int8_files(run_result):
    quantized = {
        "int8_accuracy": 0.7612, "float_accuracy": 0.77, "agreement": 0.951, "bytes": 822600, "latency_ms": 6.861,
        "threads": 1, "images": 10000, "split": "test", "epochs": 2,
    }  # fmt: skip
    run = run_result(0.77, row=None, recipe="modern", model="small", published_epochs=None, quantized=quantized)
    text = results_markdown([run])
    (line,) = lines_of(text, "Runs without a published row", "modern --model small")
    assert line[1:] == ["77.00", "75.00 test", "1 (0)", "200", "`published`", ""]
    (line,) = lines_of(text, "Int8 files", "small")
    assert line[3:9] == ["77.00%", "76.12%", "95.10%", "10,000 test", "823 kB", "6.86 ms, threads: 1"]


def test_latency(tmp_path):
    times = {"latency/ghostnet/original": 8.0, "latency/ghostnet/ours": 6.0}
    result = LatencyResult(
        device="Pixel 7 (big core)",
        threads=2,
        precision="int8",
        milliseconds=times,
        versions={},
        commit=None,
        remark=None,
    )
    assert write_result(result, tmp_path).name == "latency-pixel-7-big-core-2threads-int8.json"
    text = results_markdown(read_results(tmp_path))
    assert "Measured here on Pixel 7 (big core), 2 threads:\n\n| row | int8 |" in text
    printed, ours = lines_of(text, "Latency", "ghostnet/ours")
    assert printed[1:] == ["11.70 (1.03)", "26.80 (0.73)"]
    assert ours[1:] == ["6.00 (0.75)"]
    _, ours = lines_of(text, "Latency", "shufflenetv2/ours")
    assert ours[1:] == [OPEN]


def test_latency_of_further_rows_and_int8_beside_the_other_precisions(tmp_path):
    times = {
        "float32": {"latency/ghostnet/ours": 8.0, "sports100/carnet18/ours": 20.0},
        "int8": {"latency/ghostnet/ours": 6.0, "sports100/carnet18/ours": 9.0},
        "stock-int8": {"latency/ghostnet/ours": 12.0},
    }
    for precision, milliseconds in times.items():
        result = LatencyResult(
            device="Pixel 7",
            threads=1,
            precision=precision,
            milliseconds=milliseconds,
            versions={},
            commit=None,
            remark=None,
        )
        write_result(result, tmp_path)
    text = results_markdown(read_results(tmp_path))
    assert "| row | float32 | int8 | stock-int8 | int8 / float32 | int8 / stock-int8 |" in text
    (carnet,) = lines_of(text, "Latency", "sports100/carnet18/ours")
    assert carnet[1:] == ["20.00", "9.00", OPEN, "0.45", OPEN]
    _, ghostnet = lines_of(text, "Latency", "ghostnet/ours")
    assert ghostnet[1:] == ["8.00", "6.00", "12.00", "0.75", "0.50"]


def test_a_seed_has_one_file(run_result, tmp_path):
    """Neither a second number for a seed nor a copy that passes for another run gets into the report."""
    path = write_result(run_result(0.68), tmp_path)
    assert path.name == "cifar100_first-resnet20-ours-200epochs-seed0-published.json"
    with pytest.raises(InputError, match="received another one of the same name"):
        write_result(run_result(0.70), tmp_path)
    write_json(tmp_path / "better.json", read_json(path) | {"test_accuracy": 0.681})
    with pytest.raises(InputError, match=rf"^Expected the name {path.name} .*better\.json"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-20], "which can't be read as such"),
        (lambda text: "[]", "Expected a result of schema 1"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "Expected a result of schema 1"),
        (lambda text: text.replace('"kind": "run"', '"kind": "walk"'), "Expected a result of kind run or latency"),
        (lambda text: text.replace('"seed"', '"sed"'), "missing or unknown: sed, seed"),
        (lambda text: text.replace('"seed": 0', '"seed": "0"'), "Expected seed to be of type int, received '0'"),
        (lambda text: text.replace('"test_accuracy": 0.68', '"test_accuracy": 68'), "shares from 0 to 1"),
        (lambda text: text.replace("[0.4, ", '["0.4", '), "shares from 0 to 1, received '0.4'"),
        (lambda text: text.replace('"cpus"', '"cores"'), "Expected hardware to have the entries devices"),
        (lambda text: text.replace('"epochs": 200', '"epochs": 300'), "Expected 300 train_accuracies, received 200"),
        (lambda text: text.replace("resnet20/ours", "resnet21/ours"), "Expected the id of a published row"),
        (lambda text: text.replace('"last_accuracy": 0.68', '"last_accuracy": 0.7'), "by the published protocol"),
        (lambda text: text.replace('"protocol": "published"', '"protocol": "own"'), "Expected protocol to be"),
    ],
)
def test_broken_file_is_named_in_one_line(change, message, run_result, tmp_path, run_tool, assert_one_line_error):
    path = write_result(run_result(), tmp_path)
    path.write_text(change(path.read_text()))
    finished = run_tool(report, "--results_dir", tmp_path, "--output", tmp_path / "RESULTS.md")
    assert_one_line_error(finished, path, message)
    assert not (tmp_path / "RESULTS.md").exists()


def test_tool_writes_text_and_small_plots_the_same_each_time(run_result, tmp_path, run_tool):
    folder = tmp_path / "ledger"
    for seed in range(3):
        for row in ("cifar100_first/resnet20/ours", "cifar100_first/wrn40_3/original"):
            # Curves as ragged as real ones.
            curve = [zlib.crc32(f"{row}{seed}{epoch}".encode()) % 100 / 2000 + 0.6 for epoch in range(200)]
            write_result(run_result(0.68, seed=seed, row=row, epoch_accuracies=curve), folder)
    write_result(run_result(0.46, epochs=10), folder)
    contents = []
    for _ in range(2):
        finished = run_tool(report, "--results_dir", folder, "--output", tmp_path / "RESULTS.md")
        assert finished.returncode == 0, finished.stderr
        plots = sorted(folder.glob("*.png"))
        assert [plot.name for plot in plots] == ["accuracy_macs.png", "curves_cifar100_first.png"]
        contents.append([path.read_bytes() for path in (*plots, tmp_path / "RESULTS.md")])
    assert contents[0] == contents[1]
    assert all(len(plot) < 60_000 for plot in contents[0][:2])
    text = contents[0][2].decode()
    assert "(ledger/curves_cifar100_first.png)" in text
    assert text == results_markdown(read_results(folder), "ledger")


def test_folder_that_does_not_exist(tmp_path, run_tool, assert_one_line_error):
    assert_one_line_error(run_tool(report, "--results_dir", tmp_path / "none"), "Expected --results_dir")


def claims_of(results):
    section = results_markdown(results).partition("\n## What the CARNet page claims\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ") for line in section.splitlines()[3:] if line.startswith("|")]
    return {text.strip("| "): (verdict.strip("*"), evidence) for text, verdict, evidence in cells}


def test_claims_are_open_until_they_are_measured(run_result):
    verdicts = {text: verdict for text, (verdict, _) in claims_of([]).items()}
    assert list(verdicts.values()) == ["open", "holds", "holds", "holds in part", "open", "open"]
    counted = claims_of([])
    assert "653,376 and 11,217,444, one to 17.2" in counted["0.65 M parameters instead of 11.2 M"][1]
    assert "smaller by 94.2%: 2.6 and 44.9 MB" in counted["A model smaller by 94.2%: 360 MB instead of 618"][1]


def sports(run_result, model, shares, memory, **changes):
    values = {
        "row": f"sports100/{model}",
        "recipe": "sports100_carnet",
        "model": model,
        "protocol": "held_out",
        "epoch_accuracies": shares,
        "train_accuracies": shares,
        "peak_memory_bytes": memory,
        "image_size": [96, 96],
        "batch_size": 16,
    }
    return run_result(shares[-1], len(shares), **(values | changes))


def test_claims_say_what_was_measured(run_result):
    carnet = sports(run_result, "carnet18/ours", [0.1, 0.3, 0.5], 2_000_000_000)
    resnet = sports(
        run_result, "resnet18/original", [0.05, 0.2], 3_000_000_000, changes={"precision": "mixed_bfloat16"}
    )
    found = claims_of([carnet, resnet])
    verdict, evidence = found["81.8% against 79.14%, after 50 epochs"]
    assert verdict == "open"
    assert "after 2 epochs 30.0% against 20.0% of the validation images" in evidence
    assert "CARNet18 after 3: 50.0% of the test images" in evidence
    assert "CARNet18 in float32, ResNet18 in mixed_bfloat16" in evidence
    assert found["Less memory in training"][0] == "open"
    assert "at most 2.00 and 3.00 GB" in found["Less memory in training"][1]
    same = sports(run_result, "resnet18/original", [0.05, 0.2], 3_000_000_000)
    assert claims_of([carnet, same])["Less memory in training"][0] == "holds"
    long = [
        sports(run_result, "carnet18/ours", [0.82] * 50, 3),
        sports(run_result, "resnet18/original", [0.79] * 50, 2),
    ]
    found = claims_of(long)
    assert [found[text][0] for text in ("81.8% against 79.14%, after 50 epochs", "Less memory in training")] == [
        "holds",
        "does not hold",
    ]
    other_size = sports(run_result, "resnet18/original", [0.79] * 50, 2, image_size=[128, 128])
    assert claims_of([long[0], other_size])["Less memory in training"][0] == "open"


def speed_result(**changes):
    rows = {"sports100/carnet18/ours": 60.0, "sports100/resnet18/original": 40.0}
    values = {
        "device": "Some CPU, 2 cores",
        "backend": "tensorflow",
        "precision": "float32",
        "batch_size": 16,
        "image_size": [96, 96],
        "images_per_second": rows,
        "step_images_per_second": {"sports100/carnet18/ours": 61.0, "sports100/resnet18/original": 50.0},
        "versions": {"keras": "3.15.1"},
        "commit": "0123456789abcdef",
        "remark": "quiet.",
    }
    return SpeedResult(**(values | changes))


def test_training_speed_has_a_table(tmp_path):
    speed = speed_result()
    write_result(speed, tmp_path)
    assert read_results(tmp_path) == [speed]
    assert speed.file_name == ("speed-some-cpu-2-cores-tensorflow-float32-96px-batch16-sports100-carnet18-ours.json")
    text = results_markdown([speed])
    (line,) = lines_of(text, "Training speed", "sports100/resnet18/original")
    assert line[1:] == ["40", "80%", OPEN, OPEN, "16", "96", "float32", "tensorflow", "Some CPU, 2 cores"]
    assert "quiet." in text
    verdict, evidence = claims_of([speed])["Half the time to train"]
    assert (verdict, evidence[:36]) == ("holds in part", "0.67 of ResNet18's time (60 and 40 i")
    pytorch = {"sports100/carnet18/ours": 30.0, "sports100/resnet18/original": 20.0}
    (line,) = lines_of(
        results_markdown([speed_result(pytorch_images_per_second=pytorch)]), "Training speed", "sports100/carnet18/ours"
    )
    assert line[1:5] == ["60", "98%", "30", "2.00"]
    for wrong in (
        {"images_per_second": {}},
        {"pytorch_images_per_second": {"sports100/carnet18/ours": 30.0}},
        {"images_per_second": {"x/y/z": 1.0}, "step_images_per_second": {"x/y/z": 1.0}},
    ):
        with pytest.raises(InputError):
            speed_result(**wrong)
