"""What random models are drawn with."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

layers = keras.layers
# Activations inside of layers, and of branches that meet again.
_COMMON = (
    "relu", "relu6", "silu", "hard_silu", "sigmoid", "hard_sigmoid", "tanh", "gelu", "elu", "selu", "leaky_relu",
    "softplus", "mish", "softsign", "linear", "exponential",
)  # fmt: skip


class Misfit(Exception):  # noqa: N818 - no error, but another draw
    """What was drawn can't be applied to this tensor."""


class Draw:
    """Draws numbers, names and arguments.

    Args:
        rng: Where all comes from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def chance(self, share: float) -> bool:
        """Return True in a share of the draws."""
        return bool(self.rng.random() < share)

    def integer(self, lowest: int, highest: int) -> int:
        """Return an integer, both ends included."""
        return int(self.rng.integers(lowest, highest + 1))

    def chosen(self, values: Sequence[Any]) -> Any:
        """Return one of some values."""
        return values[int(self.rng.integers(len(values)))]

    def activation(self) -> str:
        """Return the name of a common activation."""
        return str(self.chosen(_COMMON))

    def activated(self, name: str, x: Any) -> Any:
        """Return an activation of a tensor; what would explode is bounded before."""
        if name == "exponential":
            x = layers.Activation("tanh")(x)
        return layers.Activation(name)(x)

    def image(self, x: Any) -> Any:
        """Return the tensor, if it is an image.

        Raises:
            Misfit: If not.
        """
        if len(x.shape) != 4:
            raise Misfit
        return x

    def sides(self, x: Any, name: str) -> tuple[int, ...]:
        """Return the length of a tensor along the axes between its samples and channels.

        Raises:
            Misfit: If a layer of this name wants more or fewer of them.
        """
        if len(x.shape) != (3 if "1D" in name else 4):
            raise Misfit
        return tuple(x.shape[1:-1])

    def rows(self, x: Any) -> Any:
        """Return an image or sequence as a sequence, a short one.

        Raises:
            Misfit: If it is another thing, or long.
        """
        if len(x.shape) == 3 and x.shape[1] <= 64:
            return x
        if len(x.shape) != 4 or x.shape[1] * x.shape[2] > 64:
            raise Misfit
        return layers.Reshape((-1, x.shape[-1]))(x)

    def weights(self, model: keras.Model) -> None:
        """Give a model other weights, such that what it computes neither grows nor fades much."""
        for variable in model.weights:
            shape, path = tuple(variable.shape), variable.path
            if variable.dtype != "float32" or path.endswith(("/mean", "/variance")):
                continue
            if path.endswith(("gamma", "moving_variance", "scale")):
                variable.assign(self.rng.uniform(0.5, 1.5, shape))
            elif path.endswith("alpha"):
                variable.assign(self.rng.uniform(0.0, 0.5, shape))
            elif path.endswith(("kernel", "embedding")):
                taken = np.prod(shape[:-1]) if len(shape) > 1 else 1
                variable.assign(self.rng.normal(0, (1.5 / max(1.0, float(taken))) ** 0.5, shape))
            else:
                variable.assign(self.rng.normal(0, 0.2, shape))
