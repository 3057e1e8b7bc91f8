"""Functions of single numbers that TFLite has no one operator for, written with those it has."""

from collections.abc import Callable

import numpy as np

from keras_lite.litert import Tensor
from keras_lite.quantization.lower.builder import Builder, constant

# Of the self-normalizing exponential linear unit (Klambauer et al., NeurIPS 2017, arXiv:1706.02515).
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def elu(build: Builder, x: Tensor, name: str, alpha: float = 1.0, scale: float = 1.0, width: float = 1.0) -> Tensor:
    """Add scale x above zero, and scale alpha (exp(x / width) - 1) below: TFLite's ELU has none of the three."""
    if (alpha, scale, width) == (1.0, 1.0, 1.0):
        return build.add("ELU", [x], x.shape, name)
    above = x if scale == 1.0 else build.arithmetic("MUL", x, scale, f"{name}/scaled")
    above = build.add("RELU", [above], x.shape, f"{name}/above")
    below = x if width == 1.0 else build.arithmetic("MUL", x, 1.0 / width, f"{name}/narrow")
    below = build.arithmetic("MINIMUM", below, 0.0, f"{name}/negative")
    below = build.add("ELU", [below], x.shape, f"{name}/below")
    return build.arithmetic("ADD", above, build.arithmetic("MUL", below, scale * alpha, f"{name}/leak"), name)


def celu(build: Builder, x: Tensor, name: str, alpha: float = 1.0) -> Tensor:
    """Add x above zero, and alpha (exp(x / alpha) - 1) below."""
    return elu(build, x, name, alpha, width=alpha)


def softplus(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add log(1 + exp(x)) as relu(x) + log(2 + elu(-|x|)), of which no part grows large."""
    size = build.add("ABS", [x], x.shape, f"{name}/size")
    power = build.add("ELU", [build.arithmetic("MUL", size, -1.0, f"{name}/minus_size")], x.shape, f"{name}/power")
    bend = build.add("LOG", [build.arithmetic("ADD", power, 2.0, f"{name}/sum")], x.shape, f"{name}/bend")
    return build.arithmetic("ADD", build.add("RELU", [x], x.shape, f"{name}/above"), bend, name)


def log_sigmoid(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add the logarithm of the sigmoid: -softplus(-x)."""
    turned = build.arithmetic("MUL", x, -1.0, f"{name}/turned")
    return build.arithmetic("MUL", softplus(build, turned, f"{name}/softplus"), -1.0, name)


def mish(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add x tanh(softplus(x))."""
    gate = build.add("TANH", [softplus(build, x, f"{name}/softplus")], x.shape, f"{name}/gate")
    return build.arithmetic("MUL", x, gate, name)


def softsign(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add x / (1 + |x|)."""
    size = build.arithmetic("ADD", build.add("ABS", [x], x.shape, f"{name}/size"), 1.0, f"{name}/sum")
    return build.arithmetic("DIV", x, size, name)


def silu(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add x sigmoid(x)."""
    return build.arithmetic("MUL", x, build.add("LOGISTIC", [x], x.shape, f"{name}/sigmoid"), name)


def hard_sigmoid(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add relu6(x + 3) / 6."""
    shifted = build.arithmetic("ADD", x, 3.0, f"{name}/shifted")
    cut = build.add("RELU6", [shifted], x.shape, f"{name}/relu6")
    return build.arithmetic("MUL", cut, np.float32(1.0 / 6.0), name)


def tanh_shrink(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add x - tanh(x)."""
    return build.arithmetic("SUB", x, build.add("TANH", [x], x.shape, f"{name}/tanh"), name)


def soft_shrink(build: Builder, x: Tensor, name: str, threshold: float = 0.5) -> Tensor:
    """Add what is left of a number that is brought nearer to zero by a threshold."""
    above = build.arithmetic("ADD", x, -threshold, f"{name}/less")
    below = build.arithmetic(
        "ADD", build.arithmetic("MUL", x, -1.0, f"{name}/turned"), -threshold, f"{name}/turned_less"
    )
    above, below = (build.add("RELU", [each], x.shape, f"{each.name}_cut") for each in (above, below))
    return build.arithmetic("SUB", above, below, name)


def sparse_plus(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add 0 up to -1, x from 1 on, (x + 1)^2 / 4 between: what lies above 1, plus the square of a cut half."""
    half = build.arithmetic("MUL", build.arithmetic("ADD", x, 1.0, f"{name}/sum"), 0.5, f"{name}/half")
    cut = build.add("RELU_0_TO_1", [half], x.shape, f"{name}/cut")
    square = build.arithmetic("MUL", cut, cut, f"{name}/square")
    above = build.add("RELU", [build.arithmetic("ADD", x, -1.0, f"{name}/less")], x.shape, f"{name}/above")
    return build.arithmetic("ADD", above, square, name)


def sparse_sigmoid(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add (x + 1) / 2, cut off at 0 and 1."""
    half = build.arithmetic("MUL", build.arithmetic("ADD", x, 1.0, f"{name}/sum"), 0.5, f"{name}/half")
    return build.add("RELU_0_TO_1", [half], x.shape, name)


def squareplus(build: Builder, x: Tensor, name: str, b: float = 4.0) -> Tensor:
    """Add (x + sqrt(x^2 + b)) / 2."""
    square = build.arithmetic("ADD", build.arithmetic("MUL", x, x, f"{name}/square"), float(b), f"{name}/sum")
    root = build.add("SQRT", [square], x.shape, f"{name}/root")
    return build.arithmetic("MUL", build.arithmetic("ADD", x, root, f"{name}/twice"), 0.5, name)


def above_threshold(
    build: Builder, x: Tensor, name: str, threshold: float, default: float = 0.0, both_sides: bool = False
) -> Tensor:
    """Add x where it, or its size if `both_sides`, is above a threshold, and another number elsewhere."""
    size = build.add("ABS", [x], x.shape, f"{name}/size") if both_sides else x
    above = build.add(
        "GREATER", [size, constant(f"{name}/threshold", threshold)], x.shape, f"{name}/is_above", dtype="bool"
    )
    kept = build.add("CAST", [above], x.shape, f"{name}/kept", in_data_type="BOOL", out_data_type="FLOAT32")
    if not default:
        return build.arithmetic("MUL", x, kept, name)
    less = build.arithmetic("ADD", x, -default, f"{name}/less")
    return build.arithmetic("ADD", build.arithmetic("MUL", less, kept, f"{name}/passed"), default, name)


def gelu(build: Builder, x: Tensor, name: str, approximate: bool = False) -> Tensor:
    """Add GELU, with the error function or with a hyperbolic tangent."""
    return build.add("GELU", [x], x.shape, name, approximate=bool(approximate))


def log_softmax(build: Builder, x: Tensor, name: str, axis: int = -1) -> Tensor:
    """Add the logarithm of a softmax along an axis."""
    return along_last_axis(build, "LOG_SOFTMAX", x, name, axis)


def along_last_axis(build: Builder, kind: str, x: Tensor, name: str, axis: int, **options) -> Tensor:
    """Add an operator that works along the last axis; another axis is brought there and back."""
    rank = len(x.shape)
    if axis % rank == rank - 1:
        return build.add(kind, [x], x.shape, name, **options)
    axes = list(range(rank))
    axes[axis % rank], axes[-1] = axes[-1], axes[axis % rank]
    turned = build.transpose(x, axes, f"{name}/turned")
    return build.transpose(build.add(kind, [turned], turned.shape, f"{name}/last_axis", **options), axes, name)


def softmax(build: Builder, x: Tensor, name: str, axis: int = -1) -> Tensor:
    """Add a softmax along an axis."""
    return along_last_axis(build, "SOFTMAX", x, name, axis, beta=1.0)


def _plain(kind: str, **options) -> Callable[[Builder, Tensor, str], Tensor]:
    return lambda build, x, name: build.add(kind, [x], x.shape, name, **options)


def selu(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add the scaled exponential linear unit."""
    return elu(build, x, name, _SELU_ALPHA, _SELU_SCALE)


# By the names of Keras' activations, with the arguments those have by themselves.
ACTIVATIONS: dict[str, Callable[[Builder, Tensor, str], Tensor]] = {
    "celu": celu,
    "elu": elu,
    "exponential": _plain("EXP"),
    "gelu": gelu,
    "hard_shrink": lambda build, x, name: above_threshold(build, x, name, 0.5, both_sides=True),
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": _plain("HARD_SWISH"),
    "hard_tanh": _plain("RELU_N1_TO_1"),
    "leaky_relu": _plain("LEAKY_RELU", alpha=0.2),
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": _plain("RELU"),
    "relu6": _plain("RELU6"),
    "selu": selu,
    "sigmoid": _plain("LOGISTIC"),
    "silu": silu,
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "squareplus": squareplus,
    "tanh": _plain("TANH"),
    "tanh_shrink": tanh_shrink,
}
