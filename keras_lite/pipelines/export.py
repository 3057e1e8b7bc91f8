"""Export of a trained model as a verified `.tflite` file."""

import dataclasses
import os
from pathlib import Path

from keras_lite.checkpoints import load_model
from keras_lite.data import read_model_info
from keras_lite.errors import InputError
from keras_lite.export.model_card import write_model_card
from keras_lite.export.tflite import check_classes, check_ends_fit, check_installed, check_writable, to_tflite
from keras_lite.export.trained_model import check_scaling, fit_input, keras_file, with_own_resizing
from keras_lite.export.verification import THRESHOLDS, Verification
from keras_lite.inference.samples import read_samples
from keras_lite.pipelines.description import Description
from keras_lite.training import RunFolder


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Options of `export_model`.

    Args:
        model: A run folder, a Keras model, or PyTorch weights of a network of `keras_lite.applications`.
        precision: One of `keras_lite.export.PRECISIONS`.
        ends: Input and output of an int8 file: `"int8"`, or `"uint8"` for browsers and MediaPipe.
        output: The file to write; `None`: `MODEL_PRECISION.tflite`, or `MODEL_uint8.tflite`.
        data_dir: Real images; `None`: those of the run.
        images: Number of images to compare outputs on, and of those to quantize with.
        stock_converter: Whether TensorFlow's own converter quantizes to int8.
        allow_float: Whether layers that int8 has no operators for stay in floats in an int8 file.
        min_agreement: Least share of images with the same top-1 class; `None`: that of the precision.
        seed: Seed of the choice of images.
        description: Class names, image size and preprocessing, for a model without an information file.
    """

    model: str | os.PathLike
    precision: str = "float32"
    ends: str = "int8"
    output: str | os.PathLike | None = None
    data_dir: str | os.PathLike | None = None
    images: int = 200
    stock_converter: bool = False
    allow_float: bool = False
    min_agreement: float | None = None
    seed: int = 0
    description: Description = dataclasses.field(default_factory=Description)


def export_model(options: ExportOptions, verbose: int = 0) -> tuple[Path, Verification]:
    """Write a trained model as a TFLite file whose outputs are verified against the model's.

    Args:
        options: The options.
        verbose: 1 prints what is done.

    Returns:
        The file, and how it compares with the model.

    Raises:
        InputError: If there is no such model or data, or the model can't be exported.
        VerificationError: If the file's outputs are too far from the model's.
        MissingExtraError: If the extra `litert`, or for int8 and int16 the extra `quantization`, is not installed.

    Example:

    ```python
    path, verification = export_model(ExportOptions("runs/photos", "int8"))
    ```
    """
    check_ends_fit(options.ends, options.precision, options.stock_converter)
    check_installed(options.precision, options.stock_converter)
    path, run = keras_file(options.model), RunFolder(options.model)
    data_dir = options.data_dir or run.data_dir
    kind = options.precision if options.ends == "int8" else options.ends
    output = Path(options.output or path.with_name(f"{path.stem}_{kind}.tflite"))
    if output.suffix != ".tflite":
        raise InputError(f"Expected --output to end in .tflite, received {output}.")
    given = options.description.info(path)
    model = load_model(path, verbose=verbose)
    info = given or read_model_info(path)
    model, info = with_own_resizing(model, info, verbose)
    if given:
        info = options.description.completed(model, info, verbose)
    check_scaling(model, info.preprocessing, path)
    model = fit_input(model, info, path)
    images = read_samples(data_dir, info.preprocessing, 2 * options.images, seed=options.seed, verbose=verbose)
    half = (len(images) + 1) // 2
    thresholds = THRESHOLDS["stock int8" if options.stock_converter else options.precision]
    if options.min_agreement is not None:
        thresholds = dataclasses.replace(thresholds, agreement=options.min_agreement)
    check_classes(model, info)
    check_writable(output.parent)
    if verbose:
        print(f"Converting {path} to {options.precision} ...", flush=True)
    verification = to_tflite(
        model,
        output,
        options.precision,
        calibration=images[:half],
        samples=images[half:] if len(images) > half else images,
        info=info,
        thresholds=thresholds,
        stock=options.stock_converter,
        allow_float=options.allow_float,
        ends=options.ends,
        verbose=verbose,
    )
    write_model_card(output, row=run.row)
    return output, verification
