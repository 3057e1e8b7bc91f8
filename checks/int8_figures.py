"""What is found of an int8 file, and what is demanded of it."""

import dataclasses
import importlib.metadata
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError
from keras_lite.export import first_departure
from keras_lite.export.exactness import allowed_steps, exactness
from keras_lite.export.verification import compare
from keras_lite.litert import (
    FloatGraph,
    IntegerModel,
    Operator,
    QuantizationParameters,
    QuantizedGraph,
    Tensor,
    write,
)
from keras_lite.quantization.lower import Int8Form, for_int8, lower
from keras_lite.quantization.observe import observe, ranges_from
from keras_lite.quantization.quantized_graph import HANDING_ON, quantize
from keras_lite.quantization.ranges import least_error_range
from keras_lite.runtime.inspection import examine
from keras_lite.runtime.runner import run_in_subprocess
from keras_lite.training.environment import environment

_PACKAGES = ("keras", "tensorflow", "ai-edge-litert")
# Pixels in a batch: large images fill the memory quickly.
_PIXELS = 64 * 96 * 96


@dataclasses.dataclass(frozen=True)
class FloatFigures:
    """What was found of the float32 file of the same network, and how both compare.

    Args:
        parameters: Parameters, frozen ones included.
        macs: Multiply-accumulates for one image.
        difference: Largest difference of an output from the same network's in float64, as a share of the largest.
        keras_difference: That of Keras' own outputs in float32.
        partitions: Parts that XNNPACK runs.
        latency_ms: Median time of one image, one thread.
        int8_latency_ms: The int8 file's.
    """

    parameters: int
    _: dataclasses.KW_ONLY
    macs: int
    difference: float
    keras_difference: float
    partitions: int
    latency_ms: float
    int8_latency_ms: float


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was found of one network's int8 file.

    Args:
        network: The network, `keras_lite.published.Row.network`.
        int8_only: Whether every operator takes and gives int8 alone.
        partitions: Parts that XNNPACK runs.
        not_delegated: Names of the operators outside of those, each once.
        deviation: Median over the classes of a logit's standard deviation over the images, in quantization steps.
        range_ratio: Width of the output's range, as a multiple of the span of the float model's logits, those
            of the images that set it among them.
        within_one: Share of logits at most one step away from the quantized model's, computed in whole numbers
            (`keras_lite.litert.IntegerModel`).
        equal: Share of logits that are equal to those; all must be, unless there are `inexact` operators.
        correlation: With the float model, of the deviations from the mean output.
        fake_correlation: That of the same model computed in whole numbers: what 8 bits cost, whoever computes them.
        seconds: What it took.
        rounded_correlation: That of the model with float weights, whose activations are rounded as in the file; None
            where that was not asked for.
        inexact: Operators without an exact rule, and a processor that is none of x86: a step is allowed for them.
        departure: The first operator that departs from the quantized model, where all must be equal and are not.
    """

    network: str
    _: dataclasses.KW_ONLY
    int8_only: bool
    partitions: int
    not_delegated: list[str]
    deviation: float
    range_ratio: float
    within_one: float
    equal: float
    correlation: float
    fake_correlation: float
    seconds: float
    rounded_correlation: float | None = None
    inexact: list[str] = dataclasses.field(default_factory=list)
    departure: str | None = None

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> "Figures":
        """Return the figures that `dataclasses.asdict` made a dictionary of."""
        return cls(**entries)

    def shortcomings(self, attention: bool = False) -> list[str]:
        """Return one text for each demand that the file misses.

        Args:
            attention: Whether the network has attention, which XNNPACK does not run in int8 as a whole.
        """
        demands = {
            "not int8 only": self.int8_only,
            f"{self.partitions} partitions": attention or (self.partitions == 1 and not self.not_delegated),
            f"logits spread over {self.deviation:.1f} < 8 steps": self.deviation >= 8,
            f"output range {self.range_ratio:.2f} > 1.5 times the logits": self.range_ratio <= 1.5,
            self._departure(): self.equal == 1.0 or (allowed_steps(self.inexact) and self.within_one == 1.0),
            f"correlation {self.correlation:.3f} < 0.98": self.correlation >= 0.98,
        }
        return [text for text, met in demands.items() if not met]

    def _departure(self) -> str:
        if self.inexact:
            return f"{1 - self.within_one:.2%} more than a step from the quantized model"
        text = f"{1 - self.equal:.2%} unequal to the quantized model"
        return f"{text}: {self.departure}" if self.departure else text

    def shared_with_control(self) -> list[str]:
        """Return those of `shortcomings` that are the random network's, not the file's: a control has them too.

        A deep network of random weights blows up every rounding. The control for the correlation is the quantized
        model, computed in whole numbers; for the spread a range that is no wider than the logits.
        """
        shared = {
            f"correlation {self.correlation:.3f} < 0.98": self.correlation >= max(0.3, self.fake_correlation - 0.05),
            f"logits spread over {self.deviation:.1f} < 8 steps": self.deviation > 1 and self.range_ratio <= 1.5,
        }
        return [text for text in self.shortcomings() if shared.get(text)]


def convert_and_measure(
    network: str,
    model: keras.Model,
    images: np.ndarray,
    *,
    others: np.ndarray,
    path: Path,
    start: float,
    rounded: bool = False,
) -> Figures:
    """Convert a model to int8, without training, and return what is found of the file.

    Args:
        network: The network's name.
        model: A float Keras 3 model that outputs logits.
        images: Preprocessed images that set the ranges.
        others: Preprocessed images to compare.
        path: The file to write.
        start: When the work on this network began, by `time.monotonic`.
        rounded: Whether the figures have a `rounded_correlation`.

    Raises:
        InputError: If it can't be converted or run.
        MissingExtraError: If the litert extra is not installed.
    """
    form = for_int8(lower(model))
    observed = observe(form, images)
    graph = quantize(form, ranges_from(form, observed, least_error_range))
    path.write_bytes(write(graph))
    examined = examine(path, images=others, stop_at_bad_scales=True)
    found, received = examined.inspection, examined.outputs
    if found.bad_scales:
        raise InputError(f"Expected scales that XNNPACK can run in {network}, received {found.bad_scales[0]}.")
    expected = _outputs(model, others)
    logits = observed.tensors.get(form.graph.outputs[0])
    seen = _outputs(model, images) if logits is None else np.array([logits.lowest.min(), logits.highest.max()])
    whole = IntegerModel(graph)
    exact = whole.predict(others)
    figures = measure(
        network,
        found,
        seen,
        expected=expected,
        exact=exact,
        received=received,
        seconds=time.monotonic() - start,
    )
    inexact = exactness(exact, received, found.outputs[0]["scale"]).inexact
    departure = None if figures.equal == 1.0 or inexact else first_departure(graph, whole, others)
    control = None
    if rounded:
        control = compare(expected, _with_rounded_activations(form, graph, others, path)).correlation
    return dataclasses.replace(
        figures, inexact=inexact, departure=str(departure) if departure else None, rounded_correlation=control
    )


def _with_rounded_activations(form: Int8Form, graph: QuantizedGraph, images: np.ndarray, path: Path) -> np.ndarray:
    """Return what a graph of floats outputs whose activations are rounded as those of an int8 graph.

    Args:
        form: The graph of floats.
        graph: The int8 graph.
        images: What it takes.
        path: Where a file may be written.
    """
    rounding = {operator.output.name: operator.output.quantization for operator in graph.operators}
    made: dict[Tensor, Tensor] = {}
    operators: list[Operator] = []

    def rounded(tensor: Tensor, parameters: QuantizationParameters) -> Tensor:
        small = Tensor(f"{tensor.name}/rounded", tensor.shape, dtype="int8", quantization=parameters)
        large = Tensor(f"{tensor.name}/in_steps", tensor.shape)
        operators.extend((Operator("QUANTIZE", [tensor], [small]), Operator("DEQUANTIZE", [small], [large])))
        return large

    for tensor, shipped in zip(form.graph.inputs, graph.inputs, strict=True):
        made[tensor] = rounded(tensor, shipped.quantization)
    for operator in form.graph.operators:
        inputs = [made.get(tensor, tensor) for tensor in operator.inputs]
        operators.append(dataclasses.replace(operator, inputs=inputs))
        parameters = None if operator.kind in HANDING_ON else rounding[operator.output.name]
        if parameters is not None:
            made[operator.output] = rounded(operator.output, parameters)
    outputs = [made.get(tensor, tensor) for tensor in form.graph.outputs]
    path = path.with_suffix(".rounded.tflite")
    path.write_bytes(write(FloatGraph(form.graph.name, form.graph.inputs, outputs, operators)))
    return run_in_subprocess(path, images)


def _outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return what a model outputs; it is not compiled for that, which takes longer than to run it a few times."""
    size = max(1, min(64, _PIXELS // (images.shape[1] * images.shape[2])))
    parts = [images[start : start + size] for start in range(0, len(images), size)]
    return np.concatenate([keras.ops.convert_to_numpy(model(part, training=False)) for part in parts])


def made_with() -> str:
    """Return what figures were made with: versions of packages and the commit, as text."""
    here = environment()
    texts = [f"{package} {importlib.metadata.version(package)}" for package in _PACKAGES]
    if here["commit"]:
        texts.append(f"commit {here['commit'][:10]}{' with changes' if here['commit_modified'] else ''}")
    return ", ".join(texts)


def measure(
    network: str,
    found: Any,
    seen: np.ndarray,
    *,
    expected: np.ndarray,
    exact: np.ndarray,
    received: np.ndarray,
    seconds: float = 0.0,
) -> Figures:
    """Return the figures of a file from its inspection and the logits, of shape `(images, classes)`.

    Args:
        network: The network's name.
        found: The file's `keras_lite.runtime.Inspection`.
        seen: The float model's logits of the images that set the ranges, or the least and the greatest of them.
        expected: The float model's logits.
        exact: The quantized model's, computed in whole numbers.
        received: The file's.
        seconds: What it took.
    """
    step = found.outputs[0]["scale"]
    span = max(seen.max(), expected.max()) - min(seen.min(), expected.min())
    return Figures(
        network=network,
        int8_only=found.int8_only,
        partitions=found.partitions,
        not_delegated=sorted(set(found.not_delegated)),
        deviation=float(np.median(received.std(axis=0)) / step),
        range_ratio=float(255 * step / span),
        # Both are whole numbers of steps, but for rounding.
        within_one=float((np.abs(received - exact) <= 1.5 * step).mean()),
        equal=float((np.abs(received - exact) <= 0.5 * step).mean()),
        correlation=compare(expected, received).correlation,
        fake_correlation=compare(expected, exact).correlation,
        seconds=round(seconds, 1),
    )
