"""What a model's numbers mean, from its file to what the tools say: classes, labels, values, vectors."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_lite.cli import export as export_tool
from keras_lite.cli import predict
from keras_lite.data import ArraySource, ModelInfo, Preprocessing, interpret, read_model_info, write_model_info
from keras_lite.errors import InputError
from keras_lite.export import to_tflite, write_model_card
from keras_lite.inference import evaluation
from keras_lite.inference.classifier import Classifier
from keras_lite.inference.report import format_report, report
from keras_lite.pipelines.quantize import QuantizationOptions, quantize_run
from keras_lite.runtime import benchmark

pytestmark = pytest.mark.tensorflow_only
PREPROCESSING = Preprocessing((8, 12), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
# activation, weights of the mean red, green and blue for each output, names
HEADS = {
    "logits": (None, [[2, -1, 0], [0, 1, -1], [-2, 0, 1]], ["red", "green", "blue"]),
    "probabilities": ("softmax", [[2, -1, 0], [0, 1, -1], [-2, 0, 1]], ["red", "green", "blue"]),
    "sigmoid two classes": ("sigmoid", [[3, 0, -2]], ["cold", "warm"]),
    "sigmoid one label": ("sigmoid", [[3, 0, -2]], ["warm"]),
    "sigmoid labels": ("sigmoid", [[2, -1, 0], [0, 1, -1], [-2, 0, 1]], ["red", "green", "blue"]),
    "regression": (None, [[1, 0, 0], [0.5, 0.5, -1]], ["redness", "contrast"]),
    "embedding": (None, [[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, -1, 2], [0.5, 0, 0]], []),
}


def build(head):
    activation, weights, names = HEADS[head]
    inputs = keras.Input((8, 12, 3))
    dense = keras.layers.Dense(len(weights), activation=activation, use_bias=False)
    model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(inputs)))
    dense.set_weights([np.array(weights, "float32").T])
    return model, ModelInfo("small", names, PREPROCESSING, head.partition(" ")[0])


def photos(count=9):
    """Plain photos, and the numbers that reach the last layer."""
    pixels = np.random.default_rng(5).integers(0, 256, (count, 1, 1, 3), "uint8").repeat(8, 1).repeat(12, 2)
    return pixels, (pixels[:, 0, 0] / 255 - 0.5) / 0.25


def expected(head, colors):
    """Return what is to be shown, by NumPy alone."""
    activation, weights, _ = HEADS[head]
    numbers = colors @ np.array(weights).T
    if activation == "softmax" or head == "logits":
        return np.exp(numbers) / np.exp(numbers).sum(1, keepdims=True)
    if activation == "sigmoid":
        shares = 1 / (1 + np.exp(-numbers))
        return np.concatenate([1 - shares, shares], 1) if head == "sigmoid two classes" else shares
    return numbers


@pytest.fixture(params=HEADS)
def saved(request, tmp_path):
    model, info = build(request.param)
    model.save(tmp_path / "model.keras")
    write_model_info(tmp_path / "model.keras", info)
    return request.param, tmp_path / "model.keras"


def test_keras_and_tflite_files_say_the_same(saved):
    head, path = saved
    pixels, colors = photos()
    samples = PREPROCESSING(pixels)
    to_tflite(keras.models.load_model(path), path.with_suffix(".tflite"), samples=samples, info=read_model_info(path))
    for file in (path, path.with_suffix(".tflite")):
        received = Classifier(file).predict(pixels)
        np.testing.assert_allclose(received, expected(head, colors), atol=2e-5)
    card = path.with_suffix(".md").read_text()
    entries = json.loads(path.with_suffix(".json").read_text())
    assert (entries["output"], entries["class_names"]) == (head.partition(" ")[0], HEADS[head][2])
    sentence = {
        "logits": "batch and classes. These are logits; a softmax makes probabilities of them.",
        "probabilities": "batch and classes. These are probabilities, which sum to 1.",
        "sigmoid two classes": "This is the probability of `warm`; that of `cold` is 1 minus it.",
        "sigmoid one label": "This is the probability of `warm`, from 0 to 1.",
        "sigmoid labels": "These are probabilities, of each label by itself",
        "regression": "batch and values. These are the values themselves.",
        "embedding": "the embedding's numbers. This is an embedding, a vector",
    }[head]
    assert sentence in card
    assert ("same top-1 class" in card) == (head in ("logits", "probabilities"))
    assert ("## Labels" in card) == (head in ("sigmoid one label", "sigmoid labels"))


def test_predict_prints_what_the_numbers_mean(saved, run_tool):
    head, path = saved
    pixels, colors = photos(4)
    files = []
    for number, image in enumerate(pixels):
        files.append(path.with_name(f"{number}.png"))
        Image.fromarray(image).save(files[-1])

    finished = run_tool(predict, path, *files, "--top", "2")

    assert finished.returncode == 0, finished.stderr
    lines = [line.partition(".png: ")[2] for line in finished.stdout.splitlines() if ".png: " in line]
    assert len(lines) == 4
    names = HEADS[head][2]
    for row, line in zip(expected(head, colors), lines, strict=True):
        order = np.argsort(-row)
        if head == "regression":
            words = line.replace(",", "").split()
            assert words[::2] == ["redness", "contrast"]
            np.testing.assert_allclose(np.array(words[1::2], float), row, atol=1e-5)
        elif head == "embedding":
            assert line.startswith(f"5 numbers of norm {np.linalg.norm(row):.4g} ({row[0]:.4g}, {row[1]:.4g}, ")
            others = np.array([other for other in expected(head, colors) if not np.array_equal(other, row)])
            cosines = others @ row / np.linalg.norm(others, axis=1) / np.linalg.norm(row)
            for cosine in np.sort(cosines)[::-1][:2]:
                assert f".png {cosine:.3f}" in line.partition("; cosine with ")[2]
        else:
            above = [i for i in order if row[i] >= 0.5]
            shown = above if head == "sigmoid labels" and above else order[:2]
            text = ", ".join(f"{names[i]} {row[i]:.1%}" for i in shown)
            assert line == (text if head != "sigmoid labels" or above else f"no label reaches 50%; {text}")


def colors_of(names, count):
    """Noisy plain images in the colors with these names, in turn."""
    color = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
    labels = np.arange(count) % len(names)
    rng = np.random.default_rng(1)
    pixels = np.array([color[names[label]] for label in labels])[:, None, None] + rng.integers(
        -19, 20, (count, 8, 12, 3)
    )
    return ArraySource(pixels.astype("uint8"), labels, names)


def saved_classifier(head, folder, **changes):
    model, info = build(head)
    model.save(folder / "model.keras")
    fields = {"name": info.name, "class_names": info.class_names, "preprocessing": PREPROCESSING, "output": info.output}
    write_model_info(folder / "model.keras", ModelInfo(**(fields | changes)))
    return Classifier(folder / "model.keras")


def test_two_classes_of_one_sigmoid_are_right_by_one_half(tmp_path):
    classifier = saved_classifier("sigmoid two classes", tmp_path, class_names=["blue", "red"])
    found = evaluation.evaluate(classifier, colors_of(["red", "blue"], 8))
    assert (found.top1, found.labels.tolist()) == (1.0, [1, 0] * 4)
    assert found.predicted.tolist() == found.labels.tolist()


def test_of_many_labels_the_most_probable_counts(tmp_path):
    source = colors_of(["green", "red"], 6)
    found = evaluation.evaluate(saved_classifier("sigmoid labels", tmp_path), source)
    assert (found.top1, found.task) == (1.0, "multilabel")
    assert "the most probable label counts" in evaluation.summary(found)


def test_an_embedding_is_right_by_its_nearest_neighbor(tmp_path):
    classifier = saved_classifier("embedding", tmp_path)
    source = colors_of(["green", "red", "blue"], 12)
    found = evaluation.evaluate(classifier, source)
    assert (found.top1, found.top5, found.task, found.class_names) == (1.0, 1.0, "embedding", ["green", "red", "blue"])
    assert found.confidence.min() > 0.98
    assert "most similar other image" in evaluation.summary(found)
    # Another class for one image: it is wrong, and nobody's nearest neighbor of its class.
    vectors = classifier.predict(source.images(np.arange(12))).astype("float64")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T - 3 * np.eye(12)
    labels = source.labels.copy()
    labels[4] = 0
    found = evaluation.evaluate(classifier, ArraySource(source.images(np.arange(12)), labels, source.class_names))
    assert found.top1 == (labels[cosines.argmax(1)] == labels).mean() < 1


def test_what_folders_of_classes_cannot_measure(tmp_path):
    source = colors_of(["red", "blue"], 4)
    with pytest.raises(InputError, match=r"names of both classes in .*model\.json, the second one 'warm'"):
        evaluation.evaluate(saved_classifier("sigmoid one label", tmp_path), source)
    with pytest.raises(InputError, match=r"predicts values \('redness', \.\.\.\)"):
        evaluation.evaluate(saved_classifier("regression", tmp_path), source)
    with pytest.raises(InputError, match=r"model\.keras: Expected 3 class names"):
        saved_classifier("logits", tmp_path, class_names=["a", "b"])


class Shifted:
    """A model whose outputs are near another's."""

    def __init__(self, model):
        self.model = model

    def predict(self, images, verbose):
        outputs = self.model.predict(images, verbose=verbose)
        return outputs + np.random.default_rng(3).normal(0, 0.1, outputs.shape)


@pytest.mark.parametrize("head", HEADS)
def test_report_counts_what_the_head_is_for(head, tmp_path):
    model, info = build(head)
    pixels, colors = photos(40)
    shown = expected(head, colors)
    classes = {"sigmoid two classes": ["cold", "warm"], "logits": ["blue", "red", "green"]}.get(head, HEADS[head][2])
    classes = classes or ["any"]
    source = ArraySource(pixels, np.arange(40) % len(classes), classes)

    figures = report(model, {}, source, info, quantized=Shifted(model))

    keras_row, other = figures.rows
    wanted = model.predict(PREPROCESSING(pixels), verbose=0)
    received = Shifted(model).predict(PREPROCESSING(pixels), 0)
    if head in ("sigmoid one label", "regression", "embedding"):
        assert (keras_row.top1, keras_row.drop) == (None, None)
    else:
        right = np.array(info.class_names)[shown.argmax(1)] == np.array(classes)[source.labels]
        assert keras_row.top1 == right.mean()
        now = interpret(received, info).argmax(1)
        right = np.array(info.class_names)[now] == np.array(classes)[source.labels]
        assert other.drop == pytest.approx(100 * (keras_row.top1 - right.mean()))
    if head == "regression":
        agreement = np.corrcoef((wanted - wanted.mean(0)).ravel(), (received - received.mean(0)).ravel())[0, 1]
    elif head == "embedding":
        lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(received, axis=1)
        agreement = ((wanted * received).sum(1) / lengths).mean()
    elif head.startswith("sigmoid"):
        agreement = ((wanted > 0.5) == (received > 0.5)).mean()
    else:
        agreement = (wanted.argmax(1) == received.argmax(1)).mean()
    assert other.agreement == pytest.approx(agreement)
    table = format_report(figures)
    assert ("top-1" in table) == ("drop" in table) == (keras_row.top1 is not None)
    title = {"regression": "correlation with Keras", "embedding": "cosine with Keras"}.get(head, "agrees with Keras")
    assert title in table
    text = f"{agreement:.4f}" if head in ("regression", "embedding") else f"{agreement:.2%}"
    assert text in table

    path = tmp_path / "model.tflite"
    to_tflite(model, path, samples=PREPROCESSING(pixels), info=info)
    write_model_card(path, accuracy=figures.accuracy_entry("test"))
    card = path.with_suffix(".md").read_text()
    top1 = "" if keras_row.top1 is None else f" {other.top1:.2%} |"
    assert f"| Keras fake-quantized |{top1} {text} |" in card


@pytest.mark.parametrize(
    ("head", "flags", "message"),
    [
        ("sigmoid two classes", ["--class_names=cold,warm"], None),
        ("sigmoid one label", ["--class_names=warm"], None),
        ("regression", ["--class_names=redness,contrast", "--output_kind=regression"], None),
        ("embedding", ["--output_kind=embedding"], None),
        ("logits", [], "Expected both --class_names and --image_size for logits"),
        ("sigmoid labels", ["--class_names=a,b"], "Expected 3 class names"),
        ("sigmoid one label", ["--class_names=a,b,c"], "one name (the label) or two"),
    ],
)
def test_export_takes_the_kind_from_the_last_layer_or_a_flag(
    head, flags, message, run_tool, tmp_path, assert_one_line_error
):
    model, _ = build(head)
    model.save(tmp_path / "bare.keras")
    pixels, colors = photos()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    half, quarter = "--mean=0.5,0.5,0.5", "--std=0.25,0.25,0.25"

    finished = run_tool(
        export_tool, tmp_path / "bare.keras", "--data_dir", tmp_path, "--image_size=8,12", half, quarter, *flags
    )

    if message:
        assert_one_line_error(finished, message)
        return
    assert finished.returncode == 0, finished.stderr
    received = Classifier(tmp_path / "bare_float32.tflite").predict(pixels)
    np.testing.assert_allclose(received, expected(head, colors), atol=2e-5)


def test_int8_file_of_a_sigmoid_outputs_its_probability(run_tool, tmp_path):
    """That of a softmax outputs logits; no other head is left out of the file."""
    model, _ = build("sigmoid two classes")
    model.save(tmp_path / "bare.keras")
    pixels, colors = photos(20)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    flags = ["--image_size=8,12", "--mean=0.5,0.5,0.5", "--std=0.25,0.25,0.25", "--class_names=cold,warm"]

    finished = run_tool(
        export_tool, tmp_path / "bare.keras", "--data_dir", tmp_path, "--precision", "int8", "--min_agreement=0", *flags
    )

    assert finished.returncode == 0, finished.stderr
    assert read_model_info(tmp_path / "bare_int8.tflite").output == "sigmoid"
    received = Classifier(tmp_path / "bare_int8.tflite").predict(pixels)
    assert np.abs(received - expected("sigmoid two classes", colors)).max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("head", ["sigmoid one label", "regression", "embedding"])
def test_quantize_takes_photos_without_classes(head, tmp_path, monkeypatch):
    """The float model's outputs are the target; nothing is asked of the photos' folders."""
    monkeypatch.setattr(benchmark, "_ROUNDS", 1)
    model, info = build(head)
    pixels, _ = photos(60)
    source = ArraySource(pixels, np.zeros(60, int), info.class_names or ["photo"])
    options = QuantizationOptions(epochs=1, batch_size=16, calibration_images=32)
    result = quantize_run(model, info, {"unlabeled": source}, tmp_path, options=options)
    assert {row.top1 for row in result.report.rows} == {None}
    assert result.report.row("int8").agreement >= 0.9
    assert read_model_info(tmp_path / "small_int8.tflite") == info


def test_a_model_that_takes_more_than_a_photo_is_refused(tmp_path):
    photo, number = keras.Input((8, 12, 3), name="photo"), keras.Input((1,), name="number")
    features = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(photo), number])
    model = keras.Model([photo, number], keras.layers.Dense(2, activation="softmax")(features))
    model.save(tmp_path / "both.keras")
    write_model_info(tmp_path / "both.keras", ModelInfo("both", ["a", "b"], PREPROCESSING, "probabilities"))
    with pytest.raises(InputError, match=r"received \(8, 12, 3\) and \(1,\); the commands read photos, so call it in"):
        Classifier(tmp_path / "both.keras")
