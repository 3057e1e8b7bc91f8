"""Setting the activation ranges of a quantised model from images, before any training."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra

# An activation that is (next to) always zero has a range of (next to) no width: a scale that XNNPACK can't run.
_EMPTY, _OPENED = 1e-3, 1e-2
# Parts of a histogram, and how many values of a batch of one tensor are counted, roughly.
_PARTS, _SAMPLE = 2048, 200_000


def calibrate(quantized: Any, images: np.ndarray, batch_size: int = 32) -> None:
    """Set the activation and weight ranges of a quantisation-aware model from images; its weights stay.

    TF-MOT's ranges are moving averages that start at -6 to 6. In training each tensor is cut off at the range so far,
    so that what lies behind it is measured wrongly, in a deep network without end. Here activations pass unrounded and
    uncut. A first pass finds the extremes of each tensor, a second one counts how its values are spread between them;
    then each range is chosen that rounds these values with the least squared error. It may cut off rare values.

    A range that stays empty (an activation that is always zero) is opened a little: XNNPACK refuses a scale of zero.

    Args:
        quantized: What `quantize_aware` returned.
        images: Preprocessed float images of shape `(count, height, width, 3)`; a hundred are enough.
        batch_size: Images in a batch.

    Raises:
        InputError: If there are no images or their shape is not the model's.
    """
    images = check_images(quantized, images)
    tensorflow = import_extra("tensorflow", "quantization")
    batch_size = min(batch_size, len(images))
    # Full batches only: another size would be traced again.
    starts = range(0, len(images) - batch_size + 1, batch_size)
    batches = [tensorflow.constant(images[start : start + batch_size]) for start in starts]
    progress = keras.utils.Progbar(2 * len(batches), unit_name="calibration batch")
    with frozen_batch_norm(quantized), _unrounded(quantized) as seen:

        @tensorflow.function
        def extremes(batch):
            seen.clear()
            quantized(batch, training=True)
            # Zero is in every range: padding and ReLU need it without error.
            return (
                tensorflow.stack([tensorflow.minimum(tensorflow.reduce_min(values), 0.0) for _, values in seen]),
                tensorflow.stack([tensorflow.maximum(tensorflow.reduce_max(values), 0.0) for _, values in seen]),
            )

        @tensorflow.function
        def histograms(batch, lowest, highest):
            seen.clear()
            quantized(batch, training=True)
            return tensorflow.stack([_histogram(tensorflow, x, lowest[i], highest[i]) for i, (_, x) in enumerate(seen)])

        ends = []
        for batch in batches:
            ends.append(extremes(batch))
            progress.add(1)
        lowest = np.min([low.numpy() for low, _ in ends], axis=0)
        highest = np.max([high.numpy() for _, high in ends], axis=0)
        counts = 0.0
        for batch in batches:
            counts = counts + histograms(batch, lowest, np.maximum(highest, lowest + _EMPTY)).numpy()
            progress.add(1)
        for (variables, _), low, high, count in zip(seen, lowest, highest, counts, strict=True):
            low, high = least_error_range(count, float(low), float(high))
            variables["min_var"].assign(low)
            variables["max_var"].assign(high)
    open_empty_ranges(quantized)


def least_error_range(counts: np.ndarray, lowest: float, highest: float, steps: int = 255) -> tuple[float, float]:
    """Return the range in which values are rounded with the least squared error.

    Args:
        counts: How many values lie in each of as many equal parts of the span from `lowest` to `highest`.
        lowest: Least value, 0 at most.
        highest: Greatest value, 0 at least.
        steps: Number of steps in the range.

    Returns:
        The ends of the range, at most as wide as the span, with zero in it.

    Example:

    >>> counts = np.histogram(np.random.default_rng(0).normal(size=100_000), 500, (-50.0, 50.0))[0]
    >>> low, high = least_error_range(counts, -50.0, 50.0)
    >>> -5 < low < -3 and 3 < high < 5
    True
    """
    if highest - lowest < _EMPTY:
        return lowest, highest
    values = lowest + (np.arange(len(counts)) + 0.5) * (highest - lowest) / len(counts)
    shares = np.geomspace(1.0, 1.0 / 32.0, 64)
    total = counts.sum()

    def error(low: float, high: float) -> float:
        cut = counts @ np.square(values - np.clip(values, low, high))
        return cut + total * ((high - low) / steps) ** 2 / 12.0

    low, high = lowest, highest
    for _ in range(2):
        high = min((highest * share for share in shares), key=lambda end: error(low, end))
        low = min((lowest * share for share in shares), key=lambda end: error(end, high))
    return low, high


def _histogram(tensorflow: Any, values: Any, lowest: Any, highest: Any) -> Any:
    values = tensorflow.reshape(values, (-1,))
    # A part is enough of a large tensor. An odd stride, so as not to meet the same channels again and again.
    stride = values.shape[0] // _SAMPLE | 1
    values = values[::stride]
    # Zeros, which a ReLU gives, are exact in any range.
    values = tensorflow.boolean_mask(values, values != 0.0)
    return tensorflow.histogram_fixed_width(values, (lowest, highest), _PARTS)


@contextlib.contextmanager
def _unrounded(quantized: Any) -> Iterator[list[tuple[dict[str, Any], Any]]]:
    """Within the block no moving range is used; the list takes the variables and the tensor of each that is met."""
    seen: list[tuple[dict[str, Any], Any]] = []

    def observe(inputs, training, weights, **unused):
        seen.append((weights, inputs))
        return inputs

    before = []
    for wrapper in quantized.layers:
        quantizers = getattr(wrapper, "_output_quantizers", [])
        if quantizers and type(quantizers[0]).__name__ == "MovingAverageQuantizer":
            before.append((wrapper, "_output_quantizers", quantizers))
        for activation in getattr(wrapper, "_quantize_activations", []):
            before.append((activation, "quantizer", activation.quantizer))
    try:
        for holder, attribute, quantizer in before:
            setattr(holder, attribute, [observe] if isinstance(quantizer, list) else observe)
        yield seen
    finally:
        for holder, attribute, quantizer in before:
            setattr(holder, attribute, quantizer)


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


def _partner(quantized: Any, highest: Any) -> Any:
    name = highest.name.replace("_max:", "_min:")
    return next(variable for variable in quantized.non_trainable_variables if variable.name == name)
