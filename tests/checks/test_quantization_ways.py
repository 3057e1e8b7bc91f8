"""The arithmetic and the page of the check that measures the ways to int8, and the photos it takes."""

import copy
import math
import statistics
import subprocess
import types

import keras
import numpy as np
import pytest
from PIL import Image

from checks import quantization_ways, ways, ways_page
from checks.ways_page import Closeness, Network
from keras_lite.data import ModelInfo, Preprocessing, write_model_info

pytestmark = pytest.mark.tensorflow_only

FACTS = {
    "command": "python checks/quantization_ways.py",
    "before": "9876543210",
    "calibration": 512,
    "given": 2512,
    "given_large": 1712,
    "large": 200,
    "seed": 0,
    "made_with": "a processor, commit 0123456789",
}


def found(difference, difference_error=0.001):
    return Closeness(
        1000, 0.02 + difference, 0.002, difference=difference, difference_error=difference_error, agreement=0.955
    )


def network(name, **ways):
    return Network(
        name,
        32,
        100,
        parameters=1234,
        ways={
            "post_training": Closeness(1000, 0.02, 0.002, difference=0.0, difference_error=0.0, agreement=0.96),
            **ways,
        },
    )


def test_divergence_of_known_probabilities():
    expected = np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    received = np.log([[0.25, 0.25, 0.5], [0.5, 0.25, 0.25]]) + 700.0  # logits mean the same wherever their zero is
    # 1/2 log(2) + 1/4 log(1) + 1/4 log(1/2)
    np.testing.assert_allclose(ways_page.divergences("logits", expected, received), [math.log(2) / 4, 0.0], atol=1e-12)


def test_errors_are_those_of_a_mean_over_photos_and_of_a_paired_one():
    rng = np.random.default_rng(4)
    expected, received, other = rng.normal(size=(3, 50, 7))

    def by_hand(logits):
        total = []
        for wanted, given in zip(expected, logits, strict=True):
            p = [math.exp(value) / sum(map(math.exp, wanted)) for value in wanted]
            q = [math.exp(value) / sum(map(math.exp, given)) for value in given]
            total.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
        return total

    own, pairs = by_hand(received), [a - b for a, b in zip(by_hand(received), by_hand(other), strict=True)]
    received_figures = ways_page.closeness(expected, received, other)
    assert received_figures == Closeness(
        photos=50,
        divergence=pytest.approx(statistics.mean(own)),
        error=pytest.approx(statistics.stdev(own) / math.sqrt(50)),
        difference=pytest.approx(statistics.mean(pairs)),
        difference_error=pytest.approx(statistics.stdev(pairs) / math.sqrt(50)),
        agreement=sum(int(np.argmax(a) == np.argmax(b)) for a, b in zip(expected, received, strict=True)) / 50,
    )


def test_verdicts_name_what_is_two_standard_errors_off():
    text = ways_page.verdicts([
        network("good", stock=found(0.0019), default=found(0.0019)),  # within two errors
        network("spoilt", stock=found(0.01), default=found(0.0021)),
        network("beaten", stock=found(-0.0021), default=found(-0.01)),
        network("begun"),
    ])  # fmt: skip
    assert "default's KL is above `post_training`'s by more than two standard errors on: spoilt." in text
    assert "above the stock converter's by more than two standard errors on: beaten." in text
    assert "), begun (stock converter, litert-quantizer, `post_training` before, default command)." in text
    text = ways_page.verdicts([network("closer", before=found(0.01)), network("farther", before=found(-0.001))])
    assert "above 1.02 times that before on: farther (1.05)." in text
    assert "on: none." in ways_page.verdicts([network("good", stock=found(0.1), default=found(0.0))])


def test_page_has_each_figure_and_equally_long_rows():
    ours = network("ours", stock=found(0.01), default=found(-0.001))
    text = ways_page.page([ours, network("begun")], FACTS)
    assert "| ours (32 px, 100 classes, 1,234 parameters) | stock converter | 1,000 | 0.03000 ± 0.00200 |" in text
    assert "|  | default command | 1,000 | 0.01900 ± 0.00200 | -0.00100 ± 0.00100 | 95.5% |" in text
    assert "commit 0123456789" in text
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_start_is_the_same_but_for_rounding():
    report = {"tried": [{"closeness": {"divergence": 0.01}}, {"closeness": {"divergence": 0.02}}]}
    rounded, other = copy.deepcopy(report), copy.deepcopy(report)
    rounded["tried"][1]["closeness"]["divergence"] *= 1.0001
    other["tried"][1]["closeness"]["divergence"] *= 1.01
    assert ways.same_start(rounded, report)
    assert not ways.same_start(other, report)
    assert not ways.same_start({"tried": report["tried"][:1]}, report)


@pytest.fixture
def subject(tmp_path):
    """A network of probabilities, and 80 photos to train, 10 to test and 10 to validate, each of another gray."""
    for split, first, count in (("train", 0, 80), ("test", 100, 10), ("valid", 200, 10)):
        for index in range(count):
            path = tmp_path / "photos" / split / f"class {index % 3}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 9), (first + index,) * 3).save(path)
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Dense(4, "softmax")(keras.layers.GlobalAveragePooling2D()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "gray.keras")
    preprocessing = Preprocessing((8, 8), (0.0,) * 3, (1.0,) * 3)
    write_model_info(tmp_path / "gray.keras", ModelInfo("gray", list("abcd"), preprocessing, "probabilities"))
    values = copy.deepcopy(quantization_ways.FLAGS)
    values(["check", "--smoke", f"--photos_dir={tmp_path / 'photos'}", f"--cache_dir={tmp_path / 'cache'}"])
    return ways.Subject("gray", str(tmp_path / "gray.keras"), values)


def test_photos_that_are_measured_on_set_nothing(subject):
    outputs, facts = ways.measure(subject, "float")
    given, measured = ({int(image[0, 0, 0]) for image in subject.images(name)} for name in ("given", "measured"))
    assert given == set(range(80))
    assert len(measured) == 16
    assert set(range(100, 110)) < measured < set(range(100, 110)) | set(range(200, 210))
    files = sorted((subject.folder / "photos").iterdir())
    assert [np.asarray(Image.open(file))[0, 0, 0] for file in files] == [
        image[0, 0, 0] for image in subject.images("given")
    ]
    train, calibration = subject.split()
    # A tenth is held out to measure on, and a fifth of the others to judge.
    assert len(train) == 58 and len(calibration) == 16
    of_training = {int(image[0, 0, 0]) for image in train.images(np.arange(58))}
    assert {round(float(image[0, 0, 0]) * 255) for image in calibration} < of_training < given
    assert facts == {"parameters": 16, "classes": 4, "pixels": 8}
    # The outputs are logits: a softmax makes the network's probabilities of them.
    probabilities = keras.models.load_model(subject.file).predict(
        np.asarray(subject.images("measured")) / np.float32(255), verbose=0
    )
    exponentials = np.exp(outputs)
    np.testing.assert_allclose(exponentials / exponentials.sum(1, keepdims=True), probabilities, atol=1e-6)


def test_a_process_that_dies_gets_a_second_try_without_onednn(subject, monkeypatch, capsys):
    tries, run = [], subprocess.run

    def die_with_onednn(command, **options):
        if "env" not in options:  # git's
            return run(command, **options)
        tries.append(command[-1])
        if options["env"].get("TF_ENABLE_ONEDNN_OPTS") == "0":
            with monkeypatch.context() as patch:
                patch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
                quantization_ways._measure(subject, "float")
        return types.SimpleNamespace(returncode=-6 if len(tries) == 1 else 0)

    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setattr(subprocess, "run", die_with_onednn)
    assert quantization_ways._run(subject, "float")
    assert tries == ["--unit=gray,float"] * 2
    assert "ended with -6" in capsys.readouterr().out
    assert quantization_ways._found(subject, "float")["without_onednn"]


def test_what_was_made_from_an_older_figure_goes_with_it(subject, monkeypatch):
    monkeypatch.setattr(quantization_ways, "measure", lambda subject, way: (np.zeros((2, 4)), {}))
    for way in ("float", "stock", "post_training", "stock"):
        quantization_ways._measure(subject, way)
    assert sorted(file.stem for file in subject.folder.glob("*.json")) == ["float", "post_training", "stock"]
    quantization_ways._measure(subject, "float")
    assert [file.stem for file in subject.folder.glob("*.json")] == ["float"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["resnet20=x.keras"], "resnet20"),
        (["some.keras"], "NAME=MODEL.keras"),
        (["--ways", "guess"], "guess"),
        (["--networks", "vgg"], "vgg"),
    ],
)
def test_a_wrong_command_line_is_one_line(run_tool, assert_one_line_error, tmp_path, arguments, expected):
    flags = (f"--cifar_dir={tmp_path}", f"--photos_dir={tmp_path}", f"--cache_dir={tmp_path}")
    assert_one_line_error(run_tool(quantization_ways, *flags, *arguments), expected)
