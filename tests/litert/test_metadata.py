"""TFLite Model Metadata, read back by the positions that its public schema gives the fields."""

import io
import struct
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated
from run_graph import constant, normal, open_file, run

from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.errors import InputError
from keras_lite.litert import (
    FloatGraph,
    Operator,
    QuantizationParameters,
    QuantizedGraph,
    Tensor,
    model_metadata,
    takes_pixels,
    with_ends,
    write,
)

pytestmark = pytest.mark.tensorflow_only


class Table:
    """A table of a FlatBuffer: an offset to its list of offsets stands where it begins."""

    def __init__(self, content, place):
        self.content, self.place = content, place

    def number(self, form, place):
        return struct.unpack_from(f"<{form}", self.content, place)[0]

    def at(self, position):
        offsets = self.place - self.number("i", self.place)
        slot = offsets + 4 + 2 * position
        offset = self.number("H", slot) if slot < offsets + self.number("H", offsets) else 0
        return self.place + offset if offset else None

    def follow(self, place):
        return place + self.number("I", place)

    def byte(self, position):
        return self.content[self.at(position)]

    def table(self, position):
        return Table(self.content, self.follow(self.at(position)))

    def tables(self, position):
        start = self.follow(self.at(position))
        return [Table(self.content, self.follow(start + 4 + 4 * n)) for n in range(self.number("I", start))]

    def text(self, position):
        start = self.follow(self.at(position))
        return self.content[start + 4 : start + 4 + self.number("I", start)].decode()

    def numbers(self, position):
        start = self.follow(self.at(position))
        return np.frombuffer(self.content, "<f4", self.number("I", start), start + 4)


def classifier(channels=3, outputs=4):
    source, pooled = Tensor("photos", (1, 8, 6, channels)), Tensor("pool", (1, channels))
    scores = Tensor("scores", (1, outputs))
    operators = [
        Operator("MEAN", [source, constant([1, 2])], [pooled], {"keep_dims": False}),
        Operator("FULLY_CONNECTED", [pooled, constant(normal(outputs, channels))], [scores]),
    ]
    return FloatGraph("colors", [source], [scores], operators)


def describe(info, channels=3, outputs=4, graph=None, **more):
    graph = graph or classifier(channels, outputs)
    described = model_metadata(graph, info, **more)
    content = write(graph, metadata=described.metadata, files=described.files)
    model = schema_py_generated.ModelT.InitFromObj(schema_py_generated.Model.GetRootAs(content))
    [entry] = model.metadata
    assert entry.name == b"TFLITE_METADATA"
    metadata = model.buffers[entry.buffer].data.tobytes()
    assert metadata[4:8] == b"M001"
    return content, Table(metadata, int.from_bytes(metadata[:4], "little"))


def test_a_classifier_of_photos():
    info = ModelInfo("colors", ["red", "blue", "grün", "hot pink"], Preprocessing((8, 6)), "logits")
    content, model = describe(info, description="Names a color.", version="1.2")

    # ModelMetadata: name 0, description 1, version 2, subgraph_metadata 3, author 4, min_parser_version 7.
    assert (model.text(0), model.text(1), model.text(2), model.text(7)) == ("colors", "Names a color.", "1.2", "1.0.0")
    assert model.at(4) is None
    [subgraph] = model.tables(3)
    [source], [target] = subgraph.tables(2), subgraph.tables(3)

    # TensorMetadata: name 0, content 3, process_units 4, stats 5, associated_files 6. A union: its member, its table.
    assert source.text(0) == "photos"
    assert source.table(3).byte(0) == 2  # ImageProperties
    assert source.table(3).table(1).byte(0) == 1  # RGB
    [unit] = source.tables(4)
    assert unit.byte(0) == 1  # NormalizationOptions
    mean, std = unit.table(1).numbers(0), unit.table(1).numbers(1)
    np.testing.assert_allclose(mean, [123.675, 116.28, 103.53])
    np.testing.assert_allclose(std, [58.395, 57.12, 57.375])
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 6, 3), "uint8")
    np.testing.assert_allclose((pixels - mean) / std, info.preprocessing(pixels), atol=1e-5)
    np.testing.assert_allclose(source.table(5).numbers(0), (255 - mean) / std, rtol=1e-5)
    np.testing.assert_allclose(source.table(5).numbers(1), -mean / std, rtol=1e-5)

    assert target.text(0) == "scores"
    [file] = target.tables(6)
    assert (file.text(0), file.byte(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        [entry] = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read("labels.txt").decode().split("\n") == info.class_names


def test_the_file_still_runs_and_is_the_same_each_time():
    info = ModelInfo("colors", list("abcd"), Preprocessing((8, 6)), "probabilities")
    (first, model), (second, _) = describe(info), describe(info)
    assert first == second
    images = normal(1, 8, 6, 3)
    np.testing.assert_allclose(run(first, images), images.mean((1, 2)) @ normal(4, 3).T, rtol=1e-4, atol=1e-6)
    assert [details["name"] for details in open_file(first).get_input_details()] == ["photos"]
    [target] = model.tables(3)[0].tables(3)
    assert (target.table(5).numbers(0).tolist(), target.table(5).numbers(1).tolist()) == ([1.0], [0.0])
    # Neither description nor version were given.
    assert (model.at(1), model.at(2)) == (None, None)


def test_gray_images_and_outputs_without_names():
    preprocessing = Preprocessing((8, 6), mean=(0.5,), std=(0.25,))
    content, model = describe(ModelInfo("shapes", [], preprocessing, "embedding"), channels=1)
    [source], [target] = model.tables(3)[0].tables(2), model.tables(3)[0].tables(3)
    assert source.table(3).table(1).byte(0) == 2  # GRAYSCALE
    [unit] = source.tables(4)
    assert (unit.table(1).numbers(0).tolist(), unit.table(1).numbers(1).tolist()) == ([127.5], [63.75])
    assert target.at(6) is None
    assert not zipfile.is_zipfile(io.BytesIO(content))


def test_one_probability_of_two_classes():
    info = ModelInfo("pets", ["cat", "dog"], Preprocessing((8, 6)), "sigmoid")
    assert model_metadata(classifier(outputs=1), info).files == {"labels.txt": b"dog"}


def int8_classifier(preprocessing):
    """Return a mean over the pixels, of an input whose numbers reach over all that pixels become."""
    lowest, highest = (each(preprocessing.limits()) for each in (np.min, np.max))
    photos = Tensor("photos", (1, 8, 6, 3), dtype="int8", quantization=QuantizationParameters.between(lowest, highest))
    pooled = Tensor("pooled", (1, 3), dtype="int8", quantization=photos.quantization)
    scores = Tensor("scores", (1, 3), dtype="int8", quantization=QuantizationParameters(1 / 256, -128))
    operators = [
        Operator("MEAN", [photos, constant([1, 2])], [pooled], {"keep_dims": False}),
        Operator("LOGISTIC", [pooled], [scores]),
    ]
    return QuantizedGraph("colors", [photos], [scores], operators)


HALVES = Preprocessing((8, 6), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
UNIT = Preprocessing((8, 6), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("preprocessing", [HALVES, UNIT, Preprocessing((8, 6))], ids=["halves", "unit", "imagenet"])
@pytest.mark.parametrize("ends", ["int8", "uint8", "float32"])
def test_quantized_models(preprocessing, ends):
    graph = with_ends(int8_classifier(preprocessing), ends)
    info = ModelInfo("colors", ["red", "green", "blue"], preprocessing, "sigmoid")
    content, model = describe(info, graph=graph)
    [source], [target] = model.tables(3)[0].tables(2), model.tables(3)[0].tables(3)

    # The standard: float and quantized models have the same normalization.
    mean, std = source.tables(4)[0].table(1).numbers(0), source.tables(4)[0].table(1).numbers(1)
    np.testing.assert_allclose(mean, 255 * np.array(preprocessing.mean), rtol=1e-6)
    np.testing.assert_allclose(std, 255 * np.array(preprocessing.std), rtol=1e-6)
    assert zipfile.ZipFile(io.BytesIO(content)).read("labels.txt") == b"red\ngreen\nblue"

    # Normalized by it and rounded by what the file has beside its input, black and white are the ends of its range.
    [details] = open_file(content).get_input_details()
    highest, lowest = source.table(5).numbers(0), source.table(5).numbers(1)
    for pixel, numbers in ((0, lowest), (255, highest)):
        expected = (pixel - mean) / std
        if ends != "float32":
            scale, zero_point = details["quantization"]
            expected = np.clip(expected / scale + zero_point, *((0, 255) if ends == "uint8" else (-128, 127)))
            np.testing.assert_array_equal(numbers, numbers.astype(ends))
        np.testing.assert_allclose(numbers, expected, atol=0.501 if ends != "float32" else 1e-5)
    stats = target.table(5)
    received = (stats.numbers(1).tolist(), stats.numbers(0).tolist())
    assert received == {"int8": ([-128], [127]), "uint8": ([0], [255]), "float32": ([0], [1])}[ends]

    # MediaPipe gives the pixels themselves to a uint8 input.
    pixels = ends == "uint8" and preprocessing in (HALVES, UNIT)
    assert takes_pixels(graph.inputs[0], preprocessing) == pixels
    assert source.text(1).endswith("its pixels as they are") == pixels
    if pixels:
        photo = np.random.default_rng(0).integers(0, 256, (1, 8, 6, 3), "uint8")
        expected = 1 / (1 + np.exp(-preprocessing(photo).mean((1, 2))))
        np.testing.assert_allclose(run(content, photo) / 256, expected, atol=1.5 / 256)
    else:
        assert source.text(1).endswith(f"zero point {details['quantization'][1]}") == (ends != "float32")


@pytest.mark.parametrize(
    "names, size, expected",
    [
        (["cat", "dog"], (8, 6), "a name for each of the 4 outputs of pets, received 2"),
        (["cat", "dog", "one\ntwo", "fish"], (8, 6), r"class names of one line each, .* received 'one\\ntwo'"),
        (["cat", "dog\n", "owl", "fish"], (8, 6), r"class names of one line each, .* received 'dog\\n'"),
        (list("abcd"), (8, 8), r"an input of shape \(1, 8, 8, 3\), as preprocessed, received \(1, 8, 6, 3\)"),
    ],
)
def test_what_does_not_fit(names, size, expected):
    with pytest.raises(InputError, match=expected):
        model_metadata(classifier(), ModelInfo("pets", names, Preprocessing(size), "logits"))


def test_several_outputs():
    source, parts = Tensor("x", (1, 8, 6, 4)), [Tensor("a", (1, 8, 6, 2)), Tensor("b", (1, 8, 6, 2))]
    split = Operator("SPLIT", [constant(np.int32(3)), source], parts, {"num_splits": 2})
    info = ModelInfo("halves", [], Preprocessing((8, 6)), "embedding")
    with pytest.raises(InputError, match="one input and one output, received 1 and 2"):
        model_metadata(FloatGraph("halves", [source], parts, [split]), info)
