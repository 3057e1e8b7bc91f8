"""Setting the activation ranges of a quantised model from images, before any training."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra

# TF-MOT moves a range by this share of what it lacks, once a batch; a range starts at -6 to 6.
_KEPT = 0.999
_RANGES = ("output_min", "output_max", "activation_min", "activation_max")
# An activation that is always zero has a range of no width, which gives a scale that XNNPACK can't run.
_EMPTY, _OPENED = 1e-4, 1e-2


def calibrate(quantized: Any, images: np.ndarray, batch_size: int = 32, passes: int = 2) -> None:
    """Set the activation and weight ranges of a quantisation-aware model from images; its weights stay.

    TF-MOT's ranges are moving averages that start at -6 to 6 and move by a thousandth a batch. After `n` batches the
    start value still has the share 0.999^n: it is taken out, which leaves the average over the batches. As the first
    pass rounds and clips with the start values, what comes behind is measured again in a second pass.

    A range that stays empty (an activation that is always zero) is opened a little: XNNPACK refuses a scale of zero.

    Args:
        quantized: What `quantize_aware` returned.
        images: Preprocessed float images of shape `(count, height, width, 3)`; a hundred are enough.
        batch_size: Images in a batch.
        passes: How often to go over the images.

    Raises:
        InputError: If there are no images or their shape is not the model's.
    """
    images = check_images(quantized, images)
    tensorflow = import_extra("tensorflow", "quantization")
    ranges = [variable for variable in quantized.non_trainable_variables if _is_moving_range(variable)]
    with frozen_batch_norm(quantized):

        @tensorflow.function
        def observe(batch):
            quantized(batch, training=True)

        # Full batches only: another size would be traced again, and weigh its images more.
        batch_size = min(batch_size, len(images))
        count = len(images) // batch_size
        progress = keras.utils.Progbar(passes * count, unit_name="calibration batch")
        for turn in range(passes):
            start = [variable.numpy() for variable in ranges]
            for index in range(count):
                observe(tensorflow.constant(images[index * batch_size : (index + 1) * batch_size]))
                progress.update(turn * count + index + 1)
            left = _KEPT**count
            for variable, begun in zip(ranges, start, strict=True):
                variable.assign((variable.numpy() - begun * left) / (1.0 - left))
    open_empty_ranges(quantized)


def open_empty_ranges(quantized: Any) -> list[str]:
    """Widen every activation range that is next to nothing, and return the names of the variables changed."""
    changed = []
    for variable in quantized.non_trainable_variables:
        name = _short_name(variable)
        if not name.endswith("_max") or "kernel" in name:
            continue
        lowest = float(_partner(quantized, variable).numpy())
        if float(variable.numpy()) - lowest < _EMPTY:
            variable.assign(lowest + _OPENED)
            changed.append(variable.name)
    return changed


class frozen_batch_norm:  # noqa: N801 (used as a context manager)
    """Within the block batch normalisation uses, and keeps, its moving mean and variance, in training too.

    Args:
        quantized: The model.
        frozen: False lets them move within the block.
    """

    def __init__(self, quantized: Any, frozen: bool = True):
        self.layers = list(batch_normalizations(quantized))
        self.trainable = not frozen
        self.before = [layer.trainable for layer in self.layers]

    def __enter__(self) -> None:
        for layer in self.layers:
            layer.trainable = self.trainable

    def __exit__(self, *error: Any) -> None:
        for layer, trainable in zip(self.layers, self.before, strict=True):
            layer.trainable = trainable


def batch_normalizations(quantized: Any) -> Iterator[Any]:
    """Yield the batch normalisations inside the wrappers of a quantised model."""
    for wrapper in quantized.layers:
        layer = getattr(wrapper, "layer", wrapper)
        if type(layer).__name__ == "BatchNormalization":
            yield layer


def check_images(model: Any, images: np.ndarray) -> np.ndarray:
    """Return images as float32.

    Raises:
        InputError: If there are none or their shape is not that of the model's input.
    """
    images = np.asarray(images)
    expected = tuple(model.inputs[0].shape[1:])
    fits = images.ndim == len(expected) + 1 and all(
        wanted in (None, size) for wanted, size in zip(expected, images.shape[1:], strict=True)
    )
    if not fits or not len(images) or images.dtype.kind != "f":
        raise InputError(
            f"Expected preprocessed float images of shape (count, {', '.join(map(str, expected))}), "
            f"received {images.dtype} of shape {images.shape}."
        )
    return images.astype("float32", copy=False)


def _short_name(variable: Any) -> str:
    return variable.name.rpartition("/")[2].partition(":")[0]


def _is_moving_range(variable: Any) -> bool:
    return _short_name(variable).endswith(_RANGES)


def _partner(quantized: Any, highest: Any) -> Any:
    name = highest.name.replace("_max:", "_min:")
    return next(variable for variable in quantized.non_trainable_variables if variable.name == name)
