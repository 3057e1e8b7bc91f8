"""Comparing the outputs of a TFLite file with those of the model it came from."""

import dataclasses
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data.model_info import ModelInfo
from keras_lite.errors import InputError
from keras_lite.export.departure import first_departure
from keras_lite.export.mixed import FloatParts, PartsExactness, compare_parts, float_parts, steps_text
from keras_lite.graph import output_of, outputs_for
from keras_lite.litert import IntegerModel, QuantizedGraph, with_ends
from keras_lite.quantization.closeness import (
    AGREEMENT,
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
_X86 = ("x86_64", "amd64", "i386", "i686")


class VerificationError(InputError):
    """Raised if a file's outputs are not those of its model; the message gives the figures."""


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """What a converted file must reach to be given its name.

    Args:
        agreement: Least agreement with the float model, or else with the model that was converted.
        correlation: Least correlation with the outputs of the model that was converted, both as deviations from their
            mean over the images: a file that outputs a constant has none.
        difference: Largest difference of an output, as a share of the model's largest; None for no limit.
        steps: Of the int8 file of a quantized model: largest difference of an output from that model's, computed in
            whole numbers, in steps of the output. None: what `allowed_steps` says; of a file with parts in floats only
            the parts are judged then, each from what the file gave it.
    """

    agreement: float = 0.0
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
class Exactness:
    """How an int8 file compares with its quantized model, computed in whole numbers.

    Args:
        equal: Share of the outputs that are equal.
        steps: Largest difference, in steps of the output.
        inexact: The processor, if it is none of x86: a difference of one step is allowed then. Empty: every output
            must be equal.
        parts: Of a file with parts in floats, how each part compares with its model; then that is judged. None: all
            is int8.
    """

    equal: float
    steps: int
    inexact: list[str]
    parts: PartsExactness | None = None

    @property
    def allowed(self) -> int:
        """The largest difference that is allowed, in steps."""
        return allowed_steps(self.inexact)

    def __str__(self) -> str:
        """Return the comparison as the end of a sentence that begins with the file."""
        if self.parts is not None:
            return str(self.parts)
        if self.equal == 1.0:
            return "equals its quantized model to the bit"
        reason = f" ({', '.join(self.inexact)} without an exact rule)" if self.inexact else ""
        return f"differs from its quantized model by up to {steps_text(self.steps)}, {self.equal:.2%} equal{reason}"


def allowed_steps(inexact: list[str]) -> int:
    """Return by how many steps an int8 file may differ from its quantized model: none, or one where rules are missing.

    Args:
        inexact: Name of a processor that is none of x86.
    """
    return 1 if inexact else 0


def exactness(expected: np.ndarray, received: np.ndarray, step: float) -> Exactness:
    """Return how an int8 file's outputs compare with its quantized model's.

    Args:
        expected: The quantized model's outputs, computed in whole numbers.
        received: The file's.
        step: Of the output: its scale.
    """
    apart = np.abs(np.rint((received.astype("float64") - expected) / step))
    machine = platform.machine()
    inexact = [] if machine.lower() in _X86 else [f"processor {machine}"]
    return Exactness(float((apart == 0).mean()), int(apart.max()), inexact)


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

    def __str__(self) -> str:
        """Return the verdict: what the file is equal to, and what it keeps of the float model."""
        parts = [] if self.exactness is None else [str(self.exactness)]
        if self.float_closeness is None:
            kept = format_agreement(self.output, self.agreement)
            parts.append(f"with its model: {AGREEMENT[self.output]} {kept}")
        else:
            parts.append(f"with the float model: {self.float_closeness.text(self.output)}")
        parts += [] if self.float_parts is None else [str(self.float_parts)]
        return f"on {self.images} images: {'; '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return dataclasses.asdict(self)

    def shortcomings(self, thresholds: Thresholds) -> list[str]:
        """Return one text for each threshold that is missed, with both figures.

        Outputs that differ by no more than the rounding of float32 miss none: those of an untrained network may vary
        so little over the images that their agreement and correlation are chance.
        """
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
        expected: The reference's outputs, float, of shape `(count, classes)`.
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
    expected = expected.reshape(len(expected), -1).astype("float64")
    received = received.reshape(len(received), -1).astype("float64")
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


def verify(
    file: Path,
    name: str,
    model: Any,
    *,
    ends: str = "int8",
    reference: keras.Model | None,
    samples: np.ndarray,
    info: ModelInfo | None,
    thresholds: Thresholds,
) -> tuple[Inspection, Verification]:
    """Compare a file with the model that was converted, and with the float model behind a quantized one.

    Args:
        file: The `.tflite` file.
        name: What it will be called.
        model: The model that was converted, or the int8 graph that was written.
        ends: Of an int8 graph's file, as `keras_lite.litert.with_ends` has them.
        reference: The float model behind an int8 graph.
        samples: Preprocessed float images.
        info: What the model outputs, if that is known.
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
        integer = IntegerModel(model) if quantized else None
        expected = integer.predict(samples) if quantized else outputs_for(model, samples)
        examined = running.result()
    inspection, received = examined.inspection, examined.outputs
    if scales := inspection.bad_scales:
        shown = "; ".join(scales[:5]) + (f"; and {len(scales) - 5} more" if len(scales) > 5 else "")
        raise VerificationError(f"{name} was not written: XNNPACK can't run the scales of {shown}.")
    known = None if info is None else info.output
    if quantized:
        # The float model decides what its output is; but one number is never a choice between classes.
        output = known or ("regression" if received.shape[1] == 1 else "logits")
        verification = compare(expected, received, output)
        exact = exactness(expected, received, model.outputs[0].quantization.scale)
        parts = float_parts(model)
        if parts is not None:
            exact = dataclasses.replace(exact, parts=compare_parts(model, integer, samples, [received]))
        verification = dataclasses.replace(verification, exactness=exact, float_parts=parts)
    else:
        verification = compare(expected, received, judged_as(model, known))
    if reference is not None:
        output = judged_as(reference, known)
        wanted = as_quantized(output_of(reference), outputs_for(reference, samples))
        found = closeness(output, wanted, received)
        verification = dataclasses.replace(
            verification, output=output, float_closeness=found, agreement=found.agreement
        )
    missed = verification.shortcomings(thresholds)
    if missed:
        text = (
            f"{name} was not written: on {verification.images} images it differs from its model: {', '.join(missed)} "
            f"(mean difference {verification.mean_difference:.2g}, largest output {verification.largest_output:.2g})."
        )
        if quantized and exact.equal < 1.0 and not exact.inexact and exact.parts is None:
            graph = with_ends(model, ends)
            found = first_departure(graph, IntegerModel(graph), samples)
            text += f" {found or 'Another time its outputs were equal: LiteRT does not answer the same each time.'}"
        raise VerificationError(text)
    return inspection, verification
