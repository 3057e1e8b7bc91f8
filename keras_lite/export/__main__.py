"""Write a trained model as a TFLite file that is verified to answer like it.

    python -m keras_lite.export MODEL [--precision int8] [--data_dir DATA] [--output FILE.tflite]

MODEL is a run folder, .keras or .h5 file with its information file (.json) beside it; without that file --image_size
and --class_names tell what it would. DATA is where real images are taken from, to compare the answers on and, for int8,
to quantise with: a folder with images at any depth, a folder with CIFAR's python files, or `shapes`; for a run folder
it defaults to the data of the run. An int8 file is quantised without training, in the way that keeps the answers best
on these images, and what that was is printed; `python -m keras_lite.quantize` can train as well, which keeps more.
"""

import dataclasses
from pathlib import Path
from typing import NoReturn

from absl import flags

from keras_lite import command_line
from keras_lite.checkpoints import load_model
from keras_lite.data import IMAGENET_MEAN, IMAGENET_STD, ModelInfo, Preprocessing, model_info_path, read_model_info
from keras_lite.data.model_info import OUTPUTS
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.errors import InputError, import_extra
from keras_lite.evaluate import data_dir_of_run, row_of_run
from keras_lite.export.conversion import PRECISIONS
from keras_lite.export.model_card import write_model_card
from keras_lite.export.samples import read_samples
from keras_lite.export.tflite import check_classes, check_writable, to_tflite
from keras_lite.export.trained_model import check_scaling, fit_input, keras_file, unscaled
from keras_lite.export.verification import THRESHOLDS
from keras_lite.graph import flatten, output_of

_OF_FLAGS = ("mean", "std", "keep_aspect", "interpolation", "output_kind")  # what an information file tells

FLAGS = command_line.new_flags()
flags.DEFINE_enum("precision", "float32", PRECISIONS, "Numbers in the file.", flag_values=FLAGS)
flags.DEFINE_string("output", None, "The file to write. Default: MODEL_PRECISION.tflite.", flag_values=FLAGS)
flags.DEFINE_string("data_dir", None, "Real images; for a run folder the default is the run's.", flag_values=FLAGS)
flags.DEFINE_integer("images", 200, "Images to compare answers on, and as many to quantise with.", 1, flag_values=FLAGS)
flags.DEFINE_boolean(
    "stock_converter",
    False,
    "int8 as the stock converter does it: for layers that this package refuses.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("seed", 0, "What the choice of images is drawn from.", 0, flag_values=FLAGS)
flags.DEFINE_float(
    "min_agreement", None, "Least share of images with the same top-1 class.", 0.0, 1.0, flag_values=FLAGS
)
flags.DEFINE_list(
    "class_names",
    None,
    "Names of the classes (of one sigmoid: the label's, or both classes', the output being the second one's "
    "probability), labels or values; or one text file with a name a line; if no .json has them.",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "output_kind", None, OUTPUTS, "What the model answers, if its last layer doesn't tell.", flag_values=FLAGS
)
flags.DEFINE_list("image_size", None, "Height,width in pixels, or one number for both.", flag_values=FLAGS)
flags.DEFINE_list(
    "mean",
    None,
    "Three channel means of pixels from 0 to 1, or one for grey. Default: ImageNet's, unless the model scales its "
    "input itself.",
    flag_values=FLAGS,
)
flags.DEFINE_list("std", None, "Three standard deviations likewise. Default: ImageNet's.", flag_values=FLAGS)
flags.DEFINE_boolean(
    "keep_aspect",
    True,
    "Photos are scaled until they just cover the size, and their middle is cut out; --nokeep_aspect: each side for "
    "itself, as Keras' image_dataset_from_directory does.",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "interpolation",
    "bilinear",
    INTERPOLATIONS,
    "How photos are scaled. Keras' image_dataset_from_directory and Resizing: bilinear_no_antialias.",
    flag_values=FLAGS,
)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Export one model."""
    if len(positional) != 1:
        raise InputError(f"Expected one MODEL, received {len(positional)} (--help says more).")
    import_extra("tf_keras", "quantization")
    import_extra("ai_edge_litert.interpreter", "quantization")
    path = keras_file(positional[0])
    data_dir = values.data_dir or data_dir_of_run(positional[0])
    output = Path(values.output or path.with_name(f"{path.stem}_{values.precision}.tflite"))
    if output.suffix != ".tflite":
        raise InputError(f"Expected --output to end in .tflite, received {output}.")
    given = given_info(values, path)
    model = load_model(path)
    info = given or read_model_info(path)
    if given:
        kind = values.output_kind or output_of(flatten(model))
        if kind != "embedding" and not info.class_names:
            raise InputError(f"Expected both --class_names and --image_size for {kind}, received only the size.")
        info = dataclasses.replace(info, output=kind)
        if values.mean is None and values.std is None:
            own = info.preprocessing.grey() if model.inputs[0].shape[-1] == 1 else info.preprocessing
            info = dataclasses.replace(info, preprocessing=unscaled(model, own))
    check_scaling(model, info.preprocessing, path)
    model = fit_input(model, info, path)
    images = read_samples(data_dir, info.preprocessing, 2 * values.images, values.seed)
    half = (len(images) + 1) // 2
    thresholds = THRESHOLDS["stock int8" if values.stock_converter else values.precision]
    if values.min_agreement is not None:
        thresholds = dataclasses.replace(thresholds, agreement=values.min_agreement)
    check_classes(model, info)
    check_writable(output.parent)
    print(f"Converting {path} to {values.precision} ...", flush=True)
    verification = to_tflite(
        model,
        output,
        values.precision,
        calibration=images[:half],
        samples=images[half:] if len(images) > half else images,
        info=info,
        thresholds=thresholds,
        stock=values.stock_converter,
    )
    write_model_card(output, row=row_of_run(positional[0]))
    print(
        f"{output}: {output.stat().st_size:,} bytes; {verification} (from the converted model: largest difference "
        f"{verification.largest_difference:.2g}, mean {verification.mean_difference:.2g}, largest answer "
        f"{verification.largest_answer:.2g})"
    )


def cli() -> NoReturn:
    """Run the tool as the command line says."""
    command_line.run(main, FLAGS, __doc__)


def given_info(values: flags.FlagValues, path: Path) -> ModelInfo | None:
    """Return what the flags say about the model, or None if they leave that to its information file."""
    if values.class_names is None and values.image_size is None:
        alone = [name for name in _OF_FLAGS if not values[name].using_default_value]
        if alone:
            raise InputError(f"Expected --class_names and --image_size beside --{alone[0]}, received neither.")
        if not model_info_path(path).is_file():
            raise InputError(
                f"Expected class names and preprocessing in {model_info_path(path)}, which does not exist, "
                "or --class_names and --image_size."
            )
        return None
    if values.image_size is None:
        raise InputError("Expected both --class_names and --image_size, received only the names.")
    names = values.class_names or []
    if len(names) == 1 and (Path(names[0]).is_file() or Path(names[0]).suffix):
        names = _read_lines(Path(names[0]))
    size = _numbers("image_size", values.image_size, int)
    preprocessing = Preprocessing(
        tuple(size * 2 if len(size) == 1 else size),
        tuple(_numbers("mean", values.mean, float)) if values.mean is not None else IMAGENET_MEAN,
        tuple(_numbers("std", values.std, float)) if values.std is not None else IMAGENET_STD,
        keep_aspect=values.keep_aspect,
        interpolation=values.interpolation,
    )
    return ModelInfo(path.stem, names, preprocessing, "embedding")  # until the model is looked at


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"Expected --class_names as names or a text file, received {path}.")
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"Expected a text file for --class_names, received {path}.") from error


def _numbers(flag: str, texts: list[str], kind: type) -> list:
    try:
        return [kind(text) for text in texts]
    except ValueError as error:
        raise InputError(f"Expected numbers with commas between for --{flag}, received {','.join(texts)}.") from error


if __name__ == "__main__":
    cli()
