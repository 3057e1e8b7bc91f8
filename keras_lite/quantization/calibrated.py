"""A float graph with the ranges of its tensors: what an int8 graph is made of, and what training starts from."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from keras_lite.litert import QuantizedGraph, Tensor, excess
from keras_lite.quantization.lower import Int8Form
from keras_lite.quantization.observe import Ranges
from keras_lite.quantization.quantized_graph import in_concatenations, quantize

# A range that is too narrow for LiteRT becomes so much wider than it must be.
_SPARE = 1.01


@dataclasses.dataclass(frozen=True)
class CalibratedGraph:
    """A float graph whose operators have int8 ones, and the ranges of its tensors.

    Args:
        form: What `keras_lite.quantization.lower.for_int8` returned.
        ranges: The range of its input and of each tensor that needs one, lowest and highest value.
        one_range: Whether all that is concatenated, and what hands it on, has one range, where these are much alike;
            else only what is used nowhere else.
        scales: Of kernels that are rounded already: the scales of their output channels.
        input_known: Whether the input's range is what pixels can be; else it is that of some images.

    Example:

    ```python
    calibrated, report = post_training(model, images)
    calibrated.graph.summary()
    ```
    """

    form: Int8Form
    ranges: Ranges
    one_range: bool = False
    scales: Mapping[Tensor, np.ndarray] = dataclasses.field(default_factory=dict)
    input_known: bool = False

    @property
    def inputs(self) -> list[Tensor]:
        """What it takes."""
        return self.form.graph.inputs

    @property
    def outputs(self) -> list[Tensor]:
        """What it makes."""
        return self.form.graph.outputs

    @functools.cached_property
    def graph(self) -> QuantizedGraph:
        """The int8 graph.

        Raises:
            InputError: If a bias needs more than 32 bits.
        """
        return quantize(self.form, self.ranges, self.one_range, self.scales)

    def widened(self) -> "CalibratedGraph":
        """Return it with wider ranges where LiteRT can't run the operator: where its parts have far larger steps.

        Nothing is lost: what is made of such parts is known to one of their steps, which is 256 of its own at least.
        """
        owners, ranges = in_concatenations(self.form), dict(self.ranges)
        tensors = {operator.output.name: operator.output for operator in self.form.whole}
        for operator in self.graph.operators:
            factor = excess(operator)
            tensor = tensors.get(operator.output.name)
            if factor < 1.0 or tensor is None or tensor in self.form.fixed:
                continue
            tensor = owners.get(tensor, tensor)
            low, high = ranges[tensor]
            ranges[tensor] = (low * factor * _SPARE, high * factor * _SPARE)
            # The next operator's parts have other steps now.
            return dataclasses.replace(self, ranges=ranges).widened()
        return self
