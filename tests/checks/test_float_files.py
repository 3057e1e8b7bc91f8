"""What the check of float32 files demands, and that it goes on past what falls short."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from checks import float_figures, float_files
from checks.float_figures import Figures, Latency, OneFile, compare_files, largest_difference, measure_latency
from checks.other_models import OtherModel
from keras_lite.data import ModelInfo, Preprocessing, write_model_info
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only

FILE = OneFile(
    3e-6, operators={"CONV_2D": 4, "ADD": 2}, partitions=1, not_delegated=["GELU"], bytes=4_000, seconds=0.25
)
GOOD = Figures("net", [32, 32, 3], 16, FILE, FILE, [Latency(15, 1.0, 1.0, 1.0)])


def changed(**new):
    return dataclasses.replace(GOOD, new=dataclasses.replace(FILE, **new))


def test_a_file_as_good_as_the_stock_one_passes():
    assert GOOD.shortcomings() == []
    assert changed(difference=5e-6, operators={"CONV_2D": 4}, not_delegated=[], bytes=8_000).shortcomings() == []


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"difference": 7e-6}, ["off by 7.0e-06, 2.3 times the stock file's 3.0e-06"]),
        ({"operators": {"CONV_2D": 4, "ADD": 1, "PAD": 2}}, ["7 operators, stock 6 (-1 ADD, +2 PAD)"]),
        ({"partitions": 2}, ["2 partitions, stock 1"]),
        ({"not_delegated": ["GELU", "GELU"]}, ["2 operators outside XNNPACK (GELU), stock 1"]),
    ],
)
def test_each_demand_is_named(new, expected):
    assert changed(**new).shortcomings() == expected


def test_outputs_that_are_no_numbers_fall_short():
    assert len(changed(difference=float("nan")).shortcomings()) == 2


def test_differences_of_a_few_roundings_are_not_compared():
    stock = dataclasses.replace(FILE, difference=1e-8)
    assert dataclasses.replace(changed(difference=9e-7), stock=stock).shortcomings() == []
    assert dataclasses.replace(changed(difference=1.9e-6), stock=stock).shortcomings() == []
    [text] = dataclasses.replace(changed(difference=2.1e-6), stock=stock).shortcomings()
    assert text == "off by 2.1e-06, 2.1 times the stock file's 1.0e-08"
    # However wrong the stock file is.
    wrong = dataclasses.replace(FILE, difference=0.5)
    [text] = dataclasses.replace(changed(difference=2e-4), stock=wrong).shortcomings()
    assert text == "off by 2.00e-04 > 1e-04, stock 5.00e-01"


def test_the_last_latency_counts():
    slow, again = Latency(15, 1.1, 1.0, 1.1), Latency(45, 1.01, 1.0, 1.01)
    assert dataclasses.replace(GOOD, latencies=[]).shortcomings() == []
    assert dataclasses.replace(GOOD, latencies=[slow, again]).shortcomings() == []
    [text] = dataclasses.replace(GOOD, latencies=[again, slow]).shortcomings()
    assert "1.010 in 45 turns, 1.100 in 15 turns" in text


def test_a_difference_is_a_share_of_the_largest_output():
    expected = np.array([[1.0, -8.0], [2.0, 0.0]], "float32")
    assert largest_difference(expected, expected + np.float32([[0, 0.5], [-2, 0]])) == 2 / 8
    assert largest_difference(np.zeros((2, 2)), np.zeros((2, 2), "float32")) == 0
    assert np.isnan(largest_difference(expected, expected * np.nan))


@pytest.mark.parametrize(("factors", "turns"), [([1.0], [15]), ([1.5, 1.01], [15, 45]), ([1.5] * 3, [15, 45, 135])])
def test_a_ratio_above_is_measured_again_in_more_turns(factors, turns, tmp_path, monkeypatch):
    new, stock = tmp_path / "new.tflite", tmp_path / "stock.tflite"
    new.touch()
    stock.touch()
    tries = []

    def call_worker(action, path, folder, runs, warm_up):
        assert action == "measure_all"
        files = {name: (tmp_path / folder / name).resolve() for name in ("0.tflite", "1.tflite")}
        first = files["0.tflite"] == new
        tries.append((first, runs))
        # 4 milliseconds: 10 runs in 40. The number of processes so far says which try it is.
        factor = factors[0 if len(tries) <= 4 else 1 if len(tries) <= 4 + 10 else 2]
        return {"milliseconds": {name: 4.0 * (factor if file == new else 1.0) for name, file in files.items()}}

    monkeypatch.setattr(float_figures, "call_worker", call_worker)
    found = measure_latency(new, stock)
    assert [each.turns for each in found] == turns
    assert [each.ratio for each in found] == pytest.approx(factors)
    assert found[0].milliseconds == pytest.approx(4.0 * factors[0])
    assert tries[:4] == [(True, 5), (False, 50), (True, 50), (False, 50)]  # each file is first in turns


def small():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))


def test_both_files_of_a_model_are_examined():
    images = np.random.default_rng(0).normal(size=(9, 8, 8, 3)).astype("float32")
    figures = compare_files("small", small(), images, latency=False)
    assert figures.shortcomings() == []
    assert (figures.images, figures.input_shape, figures.latencies) == (9, [8, 8, 3], [])
    for file in (figures.new, figures.stock):
        assert file.operators == {"CONV_2D": 1, "MEAN": 1, "FULLY_CONNECTED": 1}
        assert file.difference < 1e-6
        assert (file.partitions, file.not_delegated) == (1, [])
    assert Figures.from_dict(json.loads(json.dumps(dataclasses.asdict(figures)))) == figures


@pytest.fixture
def calls(monkeypatch):
    """Replace the measurement by one that passes, but for two random models."""
    found = []

    def compare(network, model, images, latency):
        found.append((network, images.shape, latency))
        if network == "random/3":
            raise KeyError("no such\nlayer")
        new = dataclasses.replace(FILE, partitions=3 if network == "random/2" else 1)
        figures = Figures(network, list(images.shape[1:]), len(images), new, FILE, GOOD.latencies if latency else [])
        return figures

    monkeypatch.setattr(float_files, "compare_files", compare)
    monkeypatch.setattr(float_files, "build_published", lambda row, images, kept=None: None)
    monkeypatch.setattr(OtherModel, "with_known_weights", lambda model, images: None)
    monkeypatch.setattr(float_files.random_blocks, "random_model", lambda seed: None)
    return found


def test_finished_subjects_are_kept_and_what_falls_short_stops_no_other(
    run_tool, tmp_path, calls, assert_one_line_error
):
    page = tmp_path / "page.md"
    arguments = ("random", "--random_models", 5, "--images", 2, "--cache_dir", tmp_path, "--page", page)
    for _ in range(2):
        finished = run_tool(float_files, *arguments)
        assert "3/5 random/2: falls short: 3 partitions, stock 1" in finished.stdout
        assert "4/5 random/3: falls short: KeyError: 'no such\\nlayer'" in finished.stdout
        assert "5/5 random/4: passes\n3 of 5 subjects meet every demand; 2 fall short." in finished.stdout
        assert_one_line_error(finished, "received 2 that fall short")
    assert [network for network, _, _ in calls] == [*(f"random/{seed}" for seed in range(5)), "random/3"]
    text = page.read_text()
    assert "`python tools/verify_floats.py random --images 2 --page FILE`" in text
    assert "counts as 1e-06" in text
    assert "| 3 random models, the worst of each | 16 | 3.0e-06 | 3.0e-06 | 6 | 6 | 1 | 1 | 1 (1) | 1.000" in text
    assert "| random/2 | 16 | 3.0e-06 | 3.0e-06 | 6 | 6 | 3 | 1 | 1 (1) GELU | 1.000 | 0.25 | 0.25 | 4 | 4 |" in text
    assert "| KeyError: 'no such\\nlayer' |" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1

    assert run_tool(float_files, "random/0", *arguments[1:-1], tmp_path / "other.md").returncode == 0
    assert len(calls) == 6  # from the cache
    run_tool(float_files, "random/0", *arguments[1:4], 3, *arguments[5:])  # other images
    assert calls[-1] == ("random/0", (3, 16, 16, 3), True)


def test_latency_that_was_left_out_is_measured_when_it_is_asked_for(run_tool, tmp_path, calls):
    for flags, count in ((["--skip_latency"], 1), ([], 2), (["--skip_latency"], 2)):
        assert run_tool(float_files, "random/0", "--cache_dir", tmp_path, *flags).returncode == 0
        assert len(calls) == count
    assert [latency for _, _, latency in calls] == [False, True]


def test_networks_of_every_kind(run_tool, tmp_path, calls, assert_one_line_error):
    model = keras.Sequential([keras.Input((12, 10, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(tmp_path / "mine.keras")
    preprocessing = Preprocessing((12, 10), (0.0,) * 3, (1.0,) * 3)
    write_model_info(tmp_path / "mine.keras", ModelInfo("mine", ["a", "b"], preprocessing, "logits"))
    arguments = ("--images", 2, "--cache_dir", tmp_path, "--image_size", 64, "--page", tmp_path / "page.md")
    # Built-in shapes are square.
    finished = run_tool(float_files, f"mine={tmp_path / 'mine.keras'}", "cifar_resnet20__ours", *arguments)
    assert "1/2 mine: falls short: InputError: Expected" in finished.stdout
    assert (
        "tools/verify_floats.py mine=mine.keras cifar_resnet20__ours --image_size 64"
        in (tmp_path / "page.md").read_text()
    )
    finished = run_tool(float_files, "carnet", "keras.applications/MobileNet", *arguments)
    assert finished.returncode == 0, finished.stdout
    finished = run_tool(float_files, "carnet", "--trained", *arguments)
    assert finished.returncode == 0, finished.stdout
    assert [(network, shape[1]) for network, shape, _ in calls] == [
        ("cifar_resnet20__ours", 32),  # no larger than it is
        ("carnet", 64),
        ("keras.applications/MobileNet", 75),  # the least that Keras takes
        ("carnet-sports100", 96),
    ]
    assert_one_line_error(run_tool(float_files, "vgg"), "vgg", "cifar_resnet20__ours")
    assert_one_line_error(run_tool(float_files, "ghostnet__ours", "--trained"), "kept weights", "ghostnet__ours")


def test_without_names_it_is_all(tmp_path):
    values = float_files.FLAGS
    values(["check"])
    names = [subject.name for subject in float_files.choose([], values)]
    assert len(names) == len(set(names))
    for name in ("carnet", "shufflenetv2_vegfru__ours", "keras.applications/NASNetMobile", "random/0", "random/199"):
        assert name in names
    with pytest.raises(InputError, match="random/200"):
        float_files.choose(["random/200"], values)
