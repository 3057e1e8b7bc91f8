"""Bias correction: taking out what rounding adds to the mean of each channel."""

import dataclasses

import numpy as np

from keras_lite.litert import FloatGraph, Operator, QuantizedGraph, Tensor, write
from keras_lite.litert.batch import for_batch
from keras_lite.litert.samples import Samples
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.lower.builder import Builder, constant, integers
from keras_lite.quantization.observe import Observation, running
from keras_lite.runtime.session import LiteRTSession


def correct_biases(
    calibrated: CalibratedGraph,
    observed: Observation,
    images: np.ndarray | Samples,
    session: LiteRTSession | None = None,
) -> CalibratedGraph:
    """Return a graph whose biases are such that the mean of each channel of each layer is that of the float model.

    Rounding weights and cutting off activations moves the means, and the next layers add that up. From the input to
    the output, the mean difference of each channel over the images goes into the bias; what comes behind is computed
    with the layers before it corrected already. One file does all of that: it takes the images at once, computes the
    layers with weights in floats, on rounded inputs with rounded kernels, and moves their means itself.

    Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019
    (arXiv:1906.04721), the empirical form.

    Args:
        calibrated: A graph with ranges.
        observed: What `observe` returned for its float graph.
        images: The preprocessed images, or other samples, that were observed, float32. As many are used as there
            are means of.
        session: What runs the file. None: a session of its own.

    Raises:
        InputError: If a tensor of the graph has no batch in front.
    """
    layers = [operator for operator in calibrated.form.whole if operator.kind in CHANNEL_AXES]
    if not layers:
        return calibrated
    wanted = [observed.mean_outputs[operator.output] for operator in layers]
    content = write(_correcting(calibrated.graph, wanted, observed.averaged))
    with running(session) as session:
        means = session.run(content, images)
    changed = {}
    for operator, aim, mean in zip(layers, wanted, means, strict=True):
        bias = operator.bias
        changed[bias] = Tensor(bias.name, bias.shape, (aim - mean.reshape(-1)).astype("float32"))
    return dataclasses.replace(calibrated, form=calibrated.form.with_constants(changed))


def _correcting(graph: QuantizedGraph, wanted: list[np.ndarray], count: int) -> FloatGraph:
    """Return a graph that takes some images at once and brings the means of its layers to those that are wanted.

    Args:
        graph: The int8 graph.
        wanted: For each layer with weights the mean of each channel of its output, its activation left out.
        count: How many images.

    Returns:
        The graph, whose outputs are the means that the layers have without a bias.
    """
    graph = for_batch(graph, count)
    build, means, aims, images = Builder(), [], iter(wanted), []
    for source in graph.inputs:
        images.append(Tensor(f"{source.name}/floats", source.shape))
        build.operators.append(Operator("QUANTIZE", [images[-1]], [source]))
    for operator in graph.operators:
        if operator.kind in CHANNEL_AXES and not operator.is_float:
            means.append(_corrected(build, operator, next(aims)))
        else:
            build.operators.append(operator)
    return FloatGraph(graph.name, images, means, build.operators)


def _corrected(build: Builder, operator: Operator, wanted: np.ndarray) -> Tensor:
    """Add a layer in floats, whose mean is moved to the one that is wanted; return the mean that it has by itself."""
    name, source, kernel, output = operator.name, operator.source, operator.kernel, operator.output
    along = [-1 if axis == CHANNEL_AXES[operator.kind] else 1 for axis in range(len(kernel.shape))]
    weights = constant(kernel.name, kernel.data * kernel.quantization.scales.reshape(along))
    nothing = constant(f"{name}/no_bias", np.zeros(len(wanted)))
    floats = build.add("DEQUANTIZE", [source], source.shape, f"{name}/taken")
    options = {**operator.options, "fused_activation_function": "NONE"}
    inputs = operator.weighted_inputs(floats, weights, nothing)
    plain = build.add(operator.kind, inputs, output.shape, f"{name}/plain", **options)
    # The mean over the places of each image, then over the images, which stand in a row for it.
    mean, count, channels = plain, output.shape[0], output.shape[-1]
    if len(output.shape) == 4 and output.shape[1:3] != (1, 1):
        axes = integers(f"{name}/places", (1, 2))
        mean = build.add("MEAN", [plain, axes], (count, 1, 1, channels), f"{name}/means", keep_dims=True)
    row = build.reshape(mean, (1, mean.size // channels, 1, channels), f"{name}/row")
    axes = integers(f"{name}/images", (1, 2))
    mean = build.add("MEAN", [row, axes], (1, 1, 1, channels), f"{name}/mean", keep_dims=True)
    aim = constant(f"{name}/wanted", wanted.reshape(mean.shape))
    bias = build.arithmetic("SUB", aim, mean, f"{name}/difference")
    bias = build.reshape(bias, [1] * (len(output.shape) - 1) + [channels], f"{name}/bias")
    fused = operator.options.get("fused_activation_function", "NONE")
    moved = build.add("ADD", [plain, bias], output.shape, f"{name}/moved", fused_activation_function=fused)
    build.operators.append(Operator("QUANTIZE", [moved], [output]))
    return mean
