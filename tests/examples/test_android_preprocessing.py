"""The example app's own Java preprocessing, compiled and run, beside the package's in Python."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_lite.data import Preprocessing, read_image
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.runtime.litert_worker import to_model_type

pytestmark = [
    pytest.mark.tensorflow_only,
    pytest.mark.skipif(shutil.which("javac") is None, reason="needs a JDK: there is no javac"),
]
JAVA = Path(__file__).parents[2] / "examples/android/src/main/java/com/example/keraslite"
# Widths and heights of pictures: smaller and larger than the input, primes, exact, and lines of one pixel.
SIZES = [
    (1, 1), (2, 3), (7, 5), (31, 33), (33, 31), (47, 33), (48, 32), (53, 47), (61, 101), (97, 64),
    (113, 29), (1, 90), (140, 3), (127, 131), (199, 67), (211, 307), (333, 250), (401, 97), (96, 144), (640, 427),
]  # fmt: skip


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    sources = [JAVA / "ImagePreprocessing.java", Path(__file__).with_name("RunPreprocessing.java")]
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", folder, *sources], check=True)

    def run(folder_of_images, images, preprocessing, scale, zero_point):
        files = [folder_of_images / str(index) for index in range(len(images))]
        for file, image in zip(files, images, strict=True):
            red, green, blue, alpha = np.moveaxis(np.asarray(image.convert("RGBA")).astype("int64"), -1, 0)
            argb = (alpha << 24 | red << 16 | green << 8 | blue).astype(">u4")
            file.write_bytes(np.array(image.size, ">i4").tobytes() + argb.tobytes())
        sizes = (*preprocessing.image_size, *preprocessing.resize, str(preprocessing.keep_aspect).lower())
        words = map(
            str,
            (
                *sizes,
                preprocessing.interpolation,
                preprocessing.channels,
                *preprocessing.mean,
                *preprocessing.std,
                scale,
                zero_point,
            ),
        )
        subprocess.run(["java", "-cp", folder, "RunPreprocessing", *words, *files], check=True)
        shape = (*preprocessing.image_size, preprocessing.channels)
        return [
            [np.fromfile(f"{file}.{kind}", kind if kind == "int8" else ">f4").reshape(shape) for file in files]
            for kind in ("int8", "float32")
        ]

    return run


def pictures():
    """Noise, where every weight of the filter shows; smooth colors; and what is transparent."""
    rng = np.random.default_rng(0)
    for index, (width, height) in enumerate(SIZES):
        pixels = rng.integers(0, 256, (height, width, 4), dtype="uint8")
        if index % 3 == 1:
            ramp = np.linspace(0, 255, width * height).reshape(height, width, 1).astype("uint8")
            pixels[..., :3] = np.concatenate([ramp, ramp.T.reshape(height, width, 1), 255 - ramp], -1)
        yield Image.fromarray(pixels if index % 5 == 4 else pixels[..., :3])


@pytest.mark.parametrize(
    ("preprocessing", "scale", "zero_point"),
    [
        (Preprocessing((32, 48)), 0.018658, -14),
        (Preprocessing((49, 33), resize=(57, 41)), 0.0186, 3),
        (Preprocessing((33, 49), resize=(40, 57), keep_aspect=False), 0.5, -128),
        (Preprocessing((29, 31), (0.5,), (0.25,)), 0.02, 1),
        *[
            (Preprocessing((49, 33), resize=(57, 41), keep_aspect=keep_aspect, interpolation=interpolation), 0.02, 5)
            for interpolation in INTERPOLATIONS[1:]
            for keep_aspect in (True, False)
        ],
    ],
)
def test_java_agrees_with_python(java, tmp_path, preprocessing, scale, zero_point):
    images = list(pictures())
    int8, float32 = java(tmp_path, images, preprocessing, scale, zero_point)

    for image, quantized, normalized in zip(images, int8, float32, strict=True):
        image.save(tmp_path / "image.png")
        expected = preprocessing(read_image(tmp_path / "image.png", preprocessing.geometry)[None])[0]
        levels = np.rint((normalized - expected) * preprocessing.std * 255)
        # Pillow chooses between two orders of its passes, each of which rounds: one level at most, to neither side.
        assert np.abs(levels).max() <= 1
        assert np.abs(levels.mean()) < 0.05
        if (
            preprocessing.keep_aspect
            and preprocessing.interpolation != "bilinear_no_antialias"  # one pass in Python
            and image.width / image.height >= preprocessing.resize[1] / preprocessing.resize[0]
        ):
            np.testing.assert_array_equal(normalized, expected)
        steps = to_model_type(expected, {"dtype": "int8", "quantization": (scale, zero_point)})
        assert np.abs(quantized.astype(int) - steps).max() <= 1


def test_java_rounds_and_saturates_like_numpy(java, tmp_path):
    """Every level of a picture that needs no scaling, in a range narrower than the picture's."""
    preprocessing = Preprocessing((16, 16), (0.5, 0.4, 0.3), (0.25, 0.5, 1.0))
    levels = np.arange(256, dtype="uint8").reshape(16, 16)
    image = np.stack([levels] * 3, -1)
    scale, zero_point = 0.01, 7

    [int8], [float32] = java(tmp_path, [Image.fromarray(image)], preprocessing, scale, zero_point)

    values = (image / 255 - preprocessing.mean) / preprocessing.std
    np.testing.assert_allclose(float32, values, atol=1e-6)
    expected = np.clip(np.rint(preprocessing(image[None])[0] / np.float32(scale)) + zero_point, -128, 127)
    np.testing.assert_array_equal(int8, expected)
    assert {int8.min(), int8.max()} == {-128, 127}
