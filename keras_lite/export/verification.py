"""Comparing the outputs of a TFLite file with those of the model it came from."""

import dataclasses
import platform
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data.model_info import ModelInfo
from keras_lite.errors import InputError
from keras_lite.export.departure import first_departure
from keras_lite.export.exactness import Exactness, combined, exactness
from keras_lite.export.mixed import FloatParts, compare_parts, float_parts, steps_text
from keras_lite.graph import output_kinds, output_names, outputs_for
from keras_lite.litert import IntegerModel, QuantizedGraph, Tensor, target_of, with_ends
from keras_lite.litert.samples import Samples
from keras_lite.quantization.closeness import (
    AGREEMENT,
    MEASURED_AS,
    Closeness,
    agreement,
    as_quantized,
    closeness,
    correlation,
    format_agreement,
    judged_as,
)
from keras_lite.runtime.inspection import Inspection, examine

_ROUNDING = 1e-5


class VerificationError(InputError):
    """Raised if a file's outputs are not those of its model; the message gives the figures."""


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """What a converted file must reach to be given its name.

    Args:
        agreement: Least agreement with the float model, or else with the model that was converted; by default none, as
            that of answers which hardly vary may be a negative correlation.
        correlation: Least correlation with the outputs of the model that was converted, both as deviations from their
            mean over the images: a file that outputs a constant has none.
        difference: Largest difference of an output, as a share of the model's largest; None for no limit.
        steps: Of the int8 file of a quantized model: largest difference of an output from that model's, computed in
            whole numbers, in steps of the output. None: what `allowed_steps` says; of a file with parts in floats only
            the parts are judged then, each from what the file gave it.
    """

    agreement: float = -1.0
    correlation: float = -1.0
    difference: float | None = None
    steps: int | None = None


# Of a quantized model the file must be equal to the model; how far that is from the float model is said, not judged:
# a file that keeps 93% of the classes may be the best there is.
THRESHOLDS = {
    "float32": Thresholds(agreement=0.99, correlation=0.999, difference=1e-3),
    "float16": Thresholds(agreement=0.97, correlation=0.99, difference=3e-2),
    "dynamic": Thresholds(agreement=0.90, correlation=0.90),
    "int16": Thresholds(agreement=0.90, correlation=0.90),
    "int8": Thresholds(),
    "stock int8": Thresholds(agreement=0.85, correlation=0.80),
}


@dataclasses.dataclass(frozen=True)
class Verification:
    """How the outputs of a TFLite file differ from the model's.

    Args:
        images: Number of images compared.
        agreement: Agreement with the float model, or else with the model that was converted, as
            `keras_lite.quantization.closeness.agreement` counts it: of classes the share of the same top-1 class.
        correlation: Correlation of the outputs' deviations from their mean over the images, with the model's that was
            converted, as the following.
        largest_difference: Of one output.
        mean_difference: Over all outputs.
        largest_output: Largest absolute output of the model, to judge the differences by.
        output: What the model outputs, which tells what agreement is.
        float_closeness: How far the outputs are from the float model's; None where that was not given.
        exactness: Of the int8 file of a quantized model: how it compares with that model in whole numbers.
        float_parts: What of an int8 file computes in floats; None: nothing does.
        heads: Of a model with several outputs the comparison of each, by its name; the figures above are then those of
            the output that keeps least, differences the largest. Empty for one output.
    """

    images: int
    agreement: float
    correlation: float
    largest_difference: float
    mean_difference: float
    largest_output: float
    output: str = "logits"
    float_closeness: Closeness | None = None
    exactness: Exactness | None = None
    float_parts: FloatParts | None = None
    heads: dict[str, "Verification"] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """Return the verdict: what the file is equal to, and what it keeps of the float model."""
        parts = [] if self.exactness is None else [str(self.exactness)]
        parts += [f"{name} {each.kept()}" for name, each in self.heads.items()] or [self.kept()]
        parts += [] if self.float_parts is None else [str(self.float_parts)]
        return f"on {self.images} images: {'; '.join(parts)}"

    def kept(self) -> str:
        """Return what the file keeps of the float model, or else of its model."""
        if self.float_closeness is None:
            return f"with its model: {AGREEMENT[self.output]} {format_agreement(self.output, self.agreement)}"
        return f"with the float model: {self.float_closeness.text(self.output)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        figures = dataclasses.asdict(self)
        return figures if self.heads else {name: value for name, value in figures.items() if name != "heads"}

    def shortcomings(self, thresholds: Thresholds) -> list[str]:
        """Return one text for each threshold that is missed, with both figures.

        Outputs that differ by no more than the rounding of float32 miss none: those of an untrained network may vary
        so little over the images that their agreement and correlation are chance.
        """
        if self.heads:
            return [f"{name}: {text}" for name, each in self.heads.items() for text in each.shortcomings(thresholds)]
        if self.largest_difference <= _ROUNDING * self.largest_output and self.float_closeness is None:
            return []
        missed = []
        if self.agreement < thresholds.agreement:
            missed.append(f"agreement ({AGREEMENT[self.output]}) {self.agreement:.1%} < {thresholds.agreement:.1%}")
        if self.correlation < thresholds.correlation:
            missed.append(f"correlation {self.correlation:.3f} < {thresholds.correlation}")
        limit = None if thresholds.difference is None else thresholds.difference * self.largest_output
        if limit is not None and not self.largest_difference <= limit:
            missed.append(f"largest difference {self.largest_difference:.2g} > {limit:.2g}")
        if self.exactness is not None:
            judged = self.exactness.parts is None or thresholds.steps is not None
            steps = self.exactness.allowed if thresholds.steps is None else thresholds.steps
            missed += [] if self.exactness.parts is None else self.exactness.parts.shortcomings(self.exactness.allowed)
            if judged and self.exactness.steps > steps:
                missed.append(
                    f"{steps_text(self.exactness.steps)} from the quantized model in whole numbers > {steps} "
                    f"({self.exactness.equal:.2%} of the outputs equal)"
                )
        return missed


def compare(expected: np.ndarray, received: np.ndarray, output: str = "logits") -> Verification:
    """Return how the outputs of two models for the same images differ.

    Args:
        expected: The reference's outputs, float, of shape `(count, classes)`, or images and maps.
        received: The other's, of the same shape.
        output: What the model outputs, as `keras_lite.data.ModelInfo.output` names it.

    Returns:
        The figures.

    Raises:
        VerificationError: If the shapes differ, or an output is not a finite number.
    """
    if expected.shape != received.shape:
        raise VerificationError(f"Expected outputs of shape {expected.shape}, received {received.shape}.")
    for name, outputs in (("model", expected), ("TFLite file", received)):
        if not np.isfinite(outputs).all():
            raise VerificationError(f"Expected finite outputs, received inf or nan from the {name}.")
    expected, received = expected.astype("float64"), received.astype("float64")
    difference = np.abs(expected - received)
    return Verification(
        images=len(expected),
        agreement=agreement(output, expected, received),
        correlation=correlation(expected, received),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        largest_output=float(np.abs(expected).max()),
        output=output,
    )


def of_several(heads: dict[str, Verification]) -> Verification:
    """Return the comparison of several outputs: of what is kept the least, of differences the largest.

    Args:
        heads: The comparison of each output, by its name.
    """
    if len(heads) == 1:
        return next(iter(heads.values()))
    each = list(heads.values())
    least = min(each, key=lambda head: head.agreement)
    exact = [head.exactness for head in each if head.exactness is not None]
    return dataclasses.replace(
        least,
        correlation=min(head.correlation for head in each),
        largest_difference=max(head.largest_difference for head in each),
        mean_difference=max(head.mean_difference for head in each),
        largest_output=max(head.largest_output for head in each),
        exactness=combined(exact) if exact else None,
        heads=heads,
    )


def verify(
    file: Path,
    name: str,
    model: Any,
    *,
    ends: str | Mapping[str, str] = "int8",
    reference: keras.Model | None,
    samples: np.ndarray | Samples,
    info: ModelInfo | None,
    output: Any = None,
    thresholds: Thresholds,
) -> tuple[Inspection, Verification]:
    """Compare a file with the model that was converted, and with the float model behind a quantized one.

    Args:
        file: The `.tflite` file.
        name: What it will be called.
        model: The model that was converted, or the int8 graph that was written.
        ends: Of an int8 graph's file, as `keras_lite.litert.with_ends` has them.
        reference: The float model behind an int8 graph.
        samples: Preprocessed float images, or what else the model takes.
        info: What the model outputs, if that is known.
        output: The same, of a model without `info`, or of its several outputs; see `to_tflite`.
        thresholds: What the file must reach.

    Returns:
        What is in the file, and the figures of the comparison.

    Raises:
        VerificationError: If the file falls short of a threshold, or holds scales that XNNPACK can't run. Where an int8
            file is not equal to its graph, the message names the first operator that departs.
        LiteRTError: If LiteRT can't run the file.
    """
    quantized = isinstance(model, QuantizedGraph)
    with ThreadPoolExecutor(1) as pool:
        # The file is run in another process, the model meanwhile in this one.
        running = pool.submit(examine, file, images=samples, stop_at_bad_scales=True)
        here = target_of(platform.machine()) or "x86"
        other = "x86" if here == "arm64" else "arm64"
        integer = IntegerModel(model, here) if quantized else None
        taken = samples.arrays if isinstance(samples, Samples) else samples
        if quantized:
            expected, elsewhere = map(_each, integer.predict_beside(samples, other))
        else:
            expected = _each(outputs_for(model, taken))
        examined = running.result()
    inspection = examined.inspection
    if scales := inspection.bad_scales:
        shown = "; ".join(scales[:5]) + (f"; and {len(scales) - 5} more" if len(scales) > 5 else "")
        raise VerificationError(f"{name} was not written: XNNPACK can't run the scales of {shown}.")
    received = _each(examined.outputs)
    known = output if info is None or info.output == "several" else info.output
    names = [tensor.name for tensor in model.outputs] if quantized else output_names(model)
    if reference is None and quantized:
        # The float model decides what its outputs are; but one number is never a choice between classes.
        kinds = ["logits" if each.ndim == 2 and each.shape[1] > 1 else "regression" for each in received]
        kinds = kinds if known is None else [MEASURED_AS.get(known, known)]
    else:
        kinds = _each(judged_as(model if reference is None else reference, known))
    heads = [compare(*each) for each in zip(expected, received, kinds, strict=True)]
    if quantized:
        floats = float_parts(model)
        parts = None if floats is None else compare_parts(model, integer, samples, received)
        heads = [
            dataclasses.replace(head, exactness=exactness(*each, _step(tensor), parts), float_parts=floats)
            for head, tensor, *each in zip(heads, model.outputs, expected, received, strict=True)
        ]
        if parts is None:
            heads = [
                dataclasses.replace(head, exactness=head.exactness.beside(other, np.count_nonzero(one != there)))
                for head, one, there in zip(heads, expected, elsewhere, strict=True)
            ]
    if reference is not None:
        wanted = map(as_quantized, output_kinds(reference), _each(outputs_for(reference, taken)))
        found = [closeness(*each) for each in zip(kinds, wanted, received, strict=True)]
        heads = [
            dataclasses.replace(head, float_closeness=near, agreement=near.agreement)
            for head, near in zip(heads, found, strict=True)
        ]
    verification = of_several(dict(zip(names, heads, strict=True)))
    missed = verification.shortcomings(thresholds)
    if missed:
        text = (
            f"{name} was not written: on {verification.images} images it differs from its model: {', '.join(missed)} "
            f"(mean difference {verification.mean_difference:.2g}, largest output {verification.largest_output:.2g})."
        )
        exact = verification.exactness
        if exact is not None and exact.equal < 1.0 and not exact.inexact and exact.parts is None:
            graph = with_ends(model, ends)
            found = first_departure(graph, IntegerModel(graph, here), samples)
            text += f" {found or 'Another time its outputs were equal: LiteRT does not answer the same each time.'}"
        raise VerificationError(text)
    return inspection, verification


def _each(outputs: Any) -> list[Any]:
    """Return what is one for each output as a list, where it may be the only one itself."""
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _step(tensor: Tensor) -> float:
    return 1.0 if tensor.quantization is None else tensor.quantization.scale
