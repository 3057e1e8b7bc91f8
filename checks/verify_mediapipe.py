"""Check that MediaPipe's ImageClassifier reads files with uint8 ends as this package does, metadata and all.

    python tools/verify_mediapipe.py --python PYTHON [--data_dir PHOTOS]

PYTHON has mediapipe and NumPy; `make verify-mediapipe` makes such an environment. The networks with kept weights are
exported with uint8 ends; one that does not take pixels from 0 to 1 gets its scaling inside, as MediaPipe gives a
uint8 input the pixels as they are. Photos of PHOTOS (or the built-in shapes) are scaled to the network's size here.
MediaPipe must give each of them the label of the largest output here; of equal ones, any.
"""

import json
import subprocess
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
from absl import flags

from keras_lite import published
from keras_lite.applications.kept_weights import KeptWeights, list_weights
from keras_lite.cli import command_line
from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.data.open_data import SHAPES
from keras_lite.errors import InputError, InputWarning
from keras_lite.export import VerificationError, to_tflite
from keras_lite.inference.samples import read_samples
from keras_lite.runtime import examine
from keras_lite.tables import text_table

FLAGS = command_line.new_flags()
flags.DEFINE_string("python", None, "A Python with mediapipe.", flag_values=FLAGS)
flags.DEFINE_string("data_dir", SHAPES, "Photos, at any depth.", flag_values=FLAGS)
flags.DEFINE_integer("photos", 20, "How many.", 1, flag_values=FLAGS)

_SCRIPT = Path(__file__).with_name("mediapipe_labels.py")
_CALIBRATION_IMAGES = 64


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Compare the labels of each network, and print a table."""
    command_line.expect(positional)
    if values.python is None:
        raise InputError("Expected --python with a Python that has mediapipe, received none.")
    rows = [("network", "pixels", "scaling", "photos", "labels equal", "classes named")]
    with tempfile.TemporaryDirectory() as folder:
        for kept in list_weights():
            print(f"{kept.row} ...", flush=True)
            row, version = _compare(kept, values, Path(folder))
            rows.append(row)
    print(f"MediaPipe {version}\n{text_table(rows)}")


def _compare(kept: KeptWeights, values: flags.FlagValues, folder: Path) -> tuple[tuple[str, ...], str]:
    model, info, inside = _taking_pixels(kept)
    path = folder / f"{info.name}.tflite"
    calibration = read_samples(SHAPES, info.preprocessing, _CALIBRATION_IMAGES, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)  # that the input does not take pixels as they are
        to_tflite(model, path, "int8", calibration=calibration, info=info, ends="uint8")
    images = read_samples(values.data_dir, info.preprocessing, values.photos)
    outputs = examine(path, images=images).outputs
    np.save(folder / "images.npy", np.rint(images * 255).astype("uint8"))
    command = [values.python, str(_SCRIPT), str(path), str(folder / "images.npy")]
    finished = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if finished.returncode:
        raise InputError(f"Expected MediaPipe to read {path.name}, received: {finished.stderr.strip()[-1000:]}")
    found = json.loads(finished.stdout.splitlines()[-1])
    best = [{info.class_names[index] for index in np.flatnonzero(output == output.max())} for output in outputs]
    equal = sum(label in labels for label, labels in zip(found["labels"], best, strict=True))
    if equal < len(images):
        raise VerificationError(f"Expected labels {best} of {path.name}, received {found['labels']}.")
    side = " x ".join(map(str, info.preprocessing.image_size))
    named = str(len(set(found["labels"])))
    return (info.name, side, inside, str(len(images)), str(equal), named), found["mediapipe"]


def _taking_pixels(kept: KeptWeights) -> tuple[keras.Model, ModelInfo, str]:
    """Return a network that takes pixels from 0 to 1, its information, and where its scaling is."""
    own = Preprocessing(**kept.preprocessing)
    row = published.get(kept.row)
    model = row.build(classifier_activation=None, input_shape=tuple(kept.input_shape), weights=kept.name)
    pixels = Preprocessing(own.image_size, (0.0,) * own.channels, (1.0,) * own.channels)
    info = ModelInfo(row.id.replace("/", "-"), kept.class_names, pixels, "logits")
    if own == pixels:
        return model, info, "none"
    mean, std = np.array(own.mean), np.array(own.std)
    inputs = keras.Input(model.input_shape[1:])
    scaled = keras.layers.Rescaling((1 / std).tolist(), (-mean / std).tolist())(inputs)
    return keras.Model(inputs, model(scaled)), info, "inside"
