"""The functions of `keras.ops` in LAYERS.md with random arguments, as `checks.random_layers` puts them into models."""

from collections.abc import Callable
from typing import Any

import keras

from checks.random_draw import Draw, Misfit

layers, ops = keras.layers, keras.ops
_Part = Callable[[Draw, Any], Any]


def _constant(draw: Draw, x: Any) -> Any:
    """Return a number, or numbers for each channel or all of a sample."""
    kind = draw.chosen(["number", "channels", "whole"])
    if kind == "number":
        return float(draw.rng.normal())
    shape = x.shape[-1:] if kind == "channels" else x.shape[1:]
    return draw.rng.normal(0.3, 1.0, shape).astype("float32")


def _of_two(name: str) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        function = getattr(ops, name)
        if draw.chance(0.4):
            other = draw.activated(draw.activation(), x)
            return function(x, other) if draw.chance(0.5) else function(other, x)
        other = _constant(draw, x)
        return function(x, other) if draw.chance(0.7) else function(other, x)

    return part


def _divide(name: str) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        return getattr(ops, name)(x, ops.exp(ops.tanh(x)))

    return part


def _of_one(name: str, before: Callable[[Any], Any] = lambda x: x, scale: float = 1.0) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        y = getattr(ops, name)(before(x))
        return y if scale == 1.0 else y * scale

    return part


def _axes(draw: Draw, x: Any) -> Any:
    rank = len(x.shape)
    if rank < 3:
        return -1
    return draw.chosen([1, -1, (1, 2)] if rank == 4 else [1, -1])


def _reduced(name: str) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        if name == "prod":
            x = ops.tanh(x)
        y = getattr(ops, name)(x, axis=_axes(draw, x), keepdims=True if len(x.shape) < 3 else draw.chance(0.5))
        return y * 0.2 if name == "sum" else y

    return part


def _axis(draw: Draw, x: Any, least: int = 1, parts: int = 1) -> int:
    """Return an axis of at least so many places, a multiple of some parts."""
    found = [each for each in range(1, len(x.shape)) if x.shape[each] >= least and x.shape[each] % parts == 0]
    if not found:
        raise Misfit
    axis = draw.chosen(found)
    return axis if draw.chance(0.5) else axis - len(x.shape)


def _get_item(draw: Draw, x: Any) -> Any:
    keys: list[Any] = [slice(None)]
    for size in x.shape[1:]:
        first = draw.integer(0, size - 1)
        whole = slice(None, None, draw.chosen([1, 1, 2, -1]))
        keys.append(draw.chosen([slice(None), slice(None), slice(first, None), whole]))
    if len(x.shape) > 2 and draw.chance(0.2):
        at = draw.integer(1, len(x.shape) - 1)
        keys[at] = draw.integer(0, x.shape[at] - 1)
    return x[tuple(keys)]


def _matmul(draw: Draw, x: Any) -> Any:
    shape = (x.shape[-1], draw.integer(1, 8))
    return ops.matmul(x, draw.rng.normal(0, shape[0] ** -0.5, shape).astype("float32"))


def _pad(draw: Draw, x: Any) -> Any:
    margins = [[0, 0], *([draw.integer(0, 1), draw.integer(0, 2)] for _ in x.shape[1:])]
    mode = draw.chosen(["constant", "constant", "reflect", "symmetric"])
    if mode != "constant" and min(x.shape[1:]) < 3:
        raise Misfit
    return ops.pad(x, margins, mode=mode)


def _permuted(draw: Draw, x: Any) -> Any:
    axes = list(range(1, len(x.shape)))
    draw.rng.shuffle(axes)
    return ops.transpose(x, (0, *axes))


def _swapped(name: str) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        return getattr(ops, name)(x, _axis(draw, x), _axis(draw, x))

    return part


def _repeat(draw: Draw, x: Any) -> Any:
    return ops.repeat(x, 2, _axis(draw, x))


def _reshape(draw: Draw, x: Any) -> Any:
    *sides, last = x.shape[1:]
    return ops.reshape(x, (-1, *sides, 1, last) if len(sides) < 2 else (-1, sides[0], sides[1] * last))


def _resize(draw: Draw, x: Any) -> Any:
    size = (draw.integer(2, 12), draw.integer(2, 12))
    return ops.image.resize(draw.image(x), size, interpolation=draw.chosen(["bilinear", "nearest"]))


def _squares(name: str) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        draw.image(x)
        if x.shape[-1] % 4 if name == "depth_to_space" else x.shape[1] % 2 or x.shape[2] % 2:
            raise Misfit
        return getattr(ops.nn, name)(x, 2)

    return part


def _patches(draw: Draw, x: Any) -> Any:
    draw.image(x)
    sizes = [each for each in (2, 3) if x.shape[1] % each == x.shape[2] % each == 0]
    if not sizes:
        raise Misfit
    return ops.image.extract_patches(x, draw.chosen(sizes))


def _squeeze(draw: Draw, x: Any) -> Any:
    if len(x.shape) < 3:
        raise Misfit
    return ops.squeeze(x[:, :1], 1)


def _expand_dims(draw: Draw, x: Any) -> Any:
    if len(x.shape) > 3:
        raise Misfit
    return ops.expand_dims(x, draw.integer(1, len(x.shape)))


def _stack(draw: Draw, x: Any) -> Any:
    if len(x.shape) > 3:
        raise Misfit
    return ops.stack([x, draw.activated(draw.activation(), x)], draw.integer(1, len(x.shape)))


def _tile(draw: Draw, x: Any) -> Any:
    counts = [1] * len(x.shape)
    counts[_axis(draw, x)] = 2
    return ops.tile(x, counts)


def _take(draw: Draw, x: Any) -> Any:
    axis = _axis(draw, x)
    return ops.take(x, [draw.integer(0, x.shape[axis] - 1) for _ in range(draw.integer(1, 5))], axis)


def _unstack(draw: Draw, x: Any) -> Any:
    if len(x.shape) < 3:
        raise Misfit
    axis = draw.integer(1, len(x.shape) - 1)
    if x.shape[axis] > 6:
        raise Misfit
    return ops.unstack(x, axis=axis)


def _threshold(draw: Draw, x: Any) -> Any:
    return ops.threshold(x, 0.5, 0.0)


def _positive(x: Any) -> Any:
    return ops.abs(x) + 0.3


OPERATIONS: dict[str, _Part] = {
    **{name: _of_two(name) for name in ("add", "maximum", "minimum", "multiply", "subtract")},
    **{name: _divide(name) for name in ("divide", "true_divide")},
    **{name: _reduced(name) for name in ("amax", "amin", "max", "mean", "min", "prod", "sum", "var")},
    **{name: _of_one(name) for name in (
        "abs", "absolute", "celu", "ceil", "copy", "cos", "floor", "gelu", "hard_shrink", "hard_tanh", "log_sigmoid",
        "log_softmax", "selu", "sin", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
        "squareplus", "stop_gradient", "tanh_shrink",
    )},
    **{name: _of_one(name, _positive) for name in ("log", "reciprocal", "rsqrt", "sqrt")},
    **{name: _of_one(name, ops.tanh) for name in ("exp", "expm1")},
    **{name: _squares(name) for name in ("depth_to_space", "space_to_depth")},
    **{name: _swapped(name) for name in ("moveaxis", "swapaxes")},
    "array_split": lambda draw, x: ops.array_split(x, 2, _axis(draw, x, least=2)),
    "clip": lambda draw, x: ops.clip(x, draw.chosen([-1.0, 0.0]), draw.chosen([0.5, 2.0])),
    "concatenate": lambda draw, x: ops.concatenate([x, draw.activated(draw.activation(), x)], _axis(draw, x)),
    "expand_dims": _expand_dims,
    "extract_patches": _patches,
    "flip": lambda draw, x: ops.flip(x, _axis(draw, x)),
    "get_item": _get_item,
    "glu": lambda draw, x: ops.nn.glu(x, _axis(draw, x, parts=2)),
    "log1p": _of_one("log1p", ops.abs),
    "matmul": _matmul,
    "pad": _pad,
    "power": lambda draw, x: ops.power(x, 2) * 0.3,
    "repeat": _repeat,
    "reshape": _reshape,
    "resize": _resize,
    "roll": lambda draw, x: ops.roll(x, draw.integer(-2, 2), _axis(draw, x)),
    "split": lambda draw, x: ops.split(x, 2, _axis(draw, x, parts=2)),
    "square": _of_one("square", scale=0.3),
    "squeeze": _squeeze,
    "stack": _stack,
    "take": _take,
    "threshold": _threshold,
    "tile": _tile,
    "transpose": _permuted,
    "unstack": _unstack,
}  # fmt: skip
