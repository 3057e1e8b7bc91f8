"""Bias correction: taking out what rounding adds to the mean of each channel."""

import dataclasses

import numpy as np

from keras_lite.litert import IntegerModel, Operator, Tensor
from keras_lite.litert.integer.transposed import transposed_sums
from keras_lite.litert.integer.windows import Windows
from keras_lite.litert.samples import Samples
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.observe import Observation
from keras_lite.quantization.quantized_graph import with_weights
from keras_lite.quantization.rounding import round_by_effect


def correct_biases(
    calibrated: CalibratedGraph, observed: Observation, images: np.ndarray | Samples, by_effect: bool = False
) -> CalibratedGraph:
    """Return a graph whose biases are such that the mean of each channel of each layer is that of the float model.

    Rounding weights and cutting off activations moves the means, and the next layers add that up. From the input to
    the output, the mean difference of each channel over the images goes into the bias; what comes behind is computed
    with the layers before it corrected already. As a convolution is linear, its mean output is that of the means of
    what lies under its windows.

    Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019
    (arXiv:1906.04721), the empirical form.

    Args:
        calibrated: A graph with ranges.
        observed: What `observe` returned for its float graph.
        images: The preprocessed images, or other samples, that were observed, float32. As many are used as there
            are means of.
        by_effect: Whether the weights are rounded by `keras_lite.quantization.rounding.round_by_effect` before.
    """
    form, graph = calibrated.form, calibrated.graph
    changed: dict[Tensor, Tensor] = {}
    scales = dict(calibrated.scales)
    floats = iter(operator for operator in form.graph.operators if operator.kind in CHANNEL_AXES)

    def correct(operator: Operator, taken: np.ndarray) -> Operator:
        """Return an operator with its bias corrected, and note the bias."""
        if operator.kind not in CHANNEL_AXES:
            return operator
        wanted, axis = next(floats), CHANNEL_AXES[operator.kind]
        source, kernel, bias = wanted.source, wanted.kernel, wanted.bias
        means = _mean_outputs(wanted, kernel.data, observed.mean_of(source)) + bias.data
        if by_effect:
            rounded = round_by_effect(operator, kernel.data, taken)
            changed[kernel] = Tensor(kernel.name, kernel.shape, rounded.astype("float32"))
            kernel = changed[kernel]
            scales[kernel] = operator.kernel.quantization.exact_scales
        weights = with_weights([operator.source, kernel, bias], axis, scales.get(kernel))
        inputs = taken.reshape(-1, *taken.shape[2:]).mean(0, dtype="float64") - weights[0].quantization.zero_point
        steps = weights[1].quantization.exact_scales * weights[0].quantization.exact_scales
        received = (_mean_outputs(operator, weights[1].data, inputs) + weights[2].data) * steps
        changed[bias] = Tensor(bias.name, bias.shape, (bias.data + means - received).astype("float32"))
        weights = with_weights([operator.source, kernel, changed[bias]], axis, scales.get(kernel))
        return Operator(operator.kind, operator.weighted_inputs(*weights), operator.outputs, operator.options)

    IntegerModel(graph).run_changed(images[: observed.averaged], correct)
    return dataclasses.replace(calibrated, form=form.with_constants(changed), scales=scales)


def _mean_outputs(operator: Operator, kernel: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the mean of each output channel, without the bias, from the mean of the input over the images."""
    if operator.kind == "FULLY_CONNECTED":
        return kernel.astype("float64") @ mean.reshape(-1, mean.shape[-1]).mean(0)
    if operator.kind == "TRANSPOSE_CONV":
        return transposed_sums(operator, kernel, mean[None]).mean((0, 1, 2))
    windows = Windows(operator, kernel.shape[1:3])
    padded = windows.padded(mean[None], 0)
    under = np.stack([part.mean((0, 1, 2)) for part in windows.parts(padded)])  # places of the kernel, channels
    if operator.kind == "DEPTHWISE_CONV_2D":
        under = np.repeat(under, kernel.shape[3] // under.shape[1], axis=1)
        return (kernel.reshape(under.shape) * under).sum(0)
    groups = under.shape[1] // kernel.shape[3]
    outputs = kernel.reshape(groups, len(kernel) // groups, len(under), -1)
    return np.einsum("goks,kgs->go", outputs, under.reshape(len(under), groups, -1)).reshape(-1)
