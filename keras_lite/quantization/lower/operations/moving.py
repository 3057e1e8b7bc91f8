"""Functions of `keras.ops` that hand numbers on: to another place, in another shape, or several times."""

from typing import Any

import keras
import numpy as np

from keras_lite.graph.refusals import refused
from keras_lite.litert import Tensor
from keras_lite.quantization.lower.builder import Builder, constant, integers, values_of

_BATCH = "it moves or parts the images of a batch; give an axis behind the first"


def _axis(build: Builder, axis: Any, rank: int) -> int:
    if not isinstance(axis, int) or axis % rank == 0:
        raise refused(*build.layer, _BATCH)
    return axis % rank


def reshaped(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor) -> Tensor:
    """Lower `reshape`, `expand_dims` and `squeeze`."""
    if found[0][:1] != (1,) or x.size != int(np.prod(found[0])):
        raise refused(*build.layer, _BATCH)
    return build.reshape(x, found[0], build.name)


def transposed(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor) -> Tensor:
    """Lower `transpose`, `swapaxes` and `moveaxis`."""
    axes, rank = list(range(len(x.shape))), len(x.shape)
    kind = type(operation).__name__
    if kind == "Swapaxes":
        first, second = operation.axis1 % rank, operation.axis2 % rank
        axes[first], axes[second] = second, first
    elif kind == "Moveaxis":
        axes = _moved(rank, operation.source, operation.destination)
    else:
        axes = axes[::-1] if operation.axes is None else [axis % rank for axis in operation.axes]
    if axes[0] != 0:
        raise refused(*build.layer, _BATCH)
    return build.transpose(x, axes, build.name)


def _moved(rank: int, source: Any, destination: Any) -> list[int]:
    # Of an array whose axes are as long as their numbers, and one more, the shape tells where each went.
    return [size - 1 for size in np.moveaxis(np.empty(range(1, rank + 1)), source, destination).shape]


def concatenated(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], tensors: Any) -> Tensor:
    """Lower `concatenate`, also with constants."""
    axis = _axis(build, operation.axis, len(found[0]))
    tensors = [each if isinstance(each, Tensor) else constant(f"{build.name}/part", each) for each in tensors]
    return build.concatenate(tensors, axis, build.name)


def stacked(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], tensors: Any) -> Tensor:
    """Lower `stack`."""
    axis = _axis(build, operation.axis, len(found[0]))
    shape = (*found[0][:axis], 1, *found[0][axis + 1 :])
    parts = [build.reshape(each, shape, f"{build.name}/part{number}") for number, each in enumerate(tensors, 1)]
    return build.concatenate(parts, axis, build.name)


def parts(build: Builder, x: Tensor, axis: int, sizes: list[int]) -> list[Tensor]:
    """Add slices along an axis, one behind the other."""
    slices, at = [], 0
    for number, size in enumerate(sizes, 1):
        begin, shape = [0] * len(x.shape), list(x.shape)
        begin[axis], shape[axis] = at, size
        slices.append(build.slice(x, begin, shape, f"{build.name}/part{number}"))
        at += size
    return slices


def split(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor) -> list[Tensor]:
    """Lower `split` and `array_split`."""
    axis = _axis(build, operation.axis, len(x.shape))
    return parts(build, x, axis, [shape[axis] for shape in found])


def unstacked(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor) -> list[Tensor]:
    """Lower `unstack`."""
    axis = _axis(build, operation.axis, len(x.shape))
    slices = parts(build, x, axis, [1] * x.shape[axis])
    return [build.reshape(each, shape, each.name) for each, shape in zip(slices, found, strict=True)]


def item(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor, key: Any) -> Tensor:
    """Lower `x[...]` of slices, places, new axes and an ellipsis."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if not all(each is None or each is Ellipsis or isinstance(each, slice | int) for each in keys):
        why = "it takes places that are computed or listed; write slices, or keras.ops.take along one axis"
        raise refused(*build.layer, why)
    given = sum(each is not None and each is not Ellipsis for each in keys)
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    at = keys.index(Ellipsis)
    keys[at : at + 1] = [slice(None)] * (len(x.shape) - given)
    keys = [each for each in keys if each is not None]
    if keys[0] != slice(None):
        raise refused(*build.layer, _BATCH)
    begin, end, steps, backwards = [], [], [], []
    for axis, (each, size) in enumerate(zip(keys, x.shape, strict=True)):
        whole = range(size)[each if isinstance(each, slice) else slice(each % size, each % size + 1)]
        if whole.step < 0:
            backwards.append(axis)
            whole = whole[::-1]
        begin.append(whole.start)
        end.append(whole.start + len(whole) * whole.step)
        steps.append(whole.step)
    shape = [-(-(last - first) // step) for first, last, step in zip(begin, end, steps, strict=True)]
    if 0 in shape:
        raise refused(*build.layer, f"nothing is left of the shape {x.shape}; take a part that has numbers")
    y = x
    if set(steps) != {1}:
        places = [
            integers(f"{build.name}/{role}", each) for role, each in (("begin", begin), ("end", end), ("steps", steps))
        ]
        y = build.add("STRIDED_SLICE", [x, *places], shape, f"{build.name}/part")
    elif tuple(shape) != x.shape:
        y = build.slice(x, begin, shape, f"{build.name}/part")
    if backwards:
        y = build.add("REVERSE_V2", [y, integers(f"{build.name}/axes", backwards)], shape, f"{build.name}/backwards")
    if y is not x and y.shape == found[0]:
        y.name = build.name
        return y
    return build.reshape(y, found[0], build.name)


def flipped(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor) -> Tensor:
    """Lower `flip`."""
    axis = operation.axis
    axes = [] if axis is None else [axis] if isinstance(axis, int) else list(axis)
    axes = [_axis(build, each, len(x.shape)) for each in axes]
    if not axes:
        raise refused(*build.layer, _BATCH)
    return build.add("REVERSE_V2", [x, integers(f"{build.name}/axes", sorted(axes))], x.shape, build.name)


def taken(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor, places: Any) -> Tensor:
    """Lower `take` of places that are known."""
    if isinstance(places, Tensor):
        raise refused(*build.layer, "it takes places that are computed; write places that are known")
    axis, places = _axis(build, operation.axis, len(x.shape)), np.asarray(values_of(places), "int64")
    if places.ndim != 1:
        raise refused(*build.layer, f"its places have the shape {places.shape}; write a list of them")
    places %= x.shape[axis]
    if places.tolist() == list(range(x.shape[axis]))[::-1]:
        return build.add("REVERSE_V2", [x, integers(f"{build.name}/axes", [axis])], x.shape, build.name)
    return build.add("GATHER", [x, integers(f"{build.name}/places", places)], found[0], build.name, axis=axis)


def tiled(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor) -> Tensor:
    """Lower `tile`: tensors that are concatenated with themselves."""
    repeats = operation.repeats
    repeats = [repeats] if isinstance(repeats, int) else list(repeats)
    repeats = [1] * (len(x.shape) - len(repeats)) + repeats
    if len(repeats) > len(x.shape) or repeats[0] != 1:
        raise refused(*build.layer, _BATCH)
    for axis, count in enumerate(repeats):
        if count > 1:
            x = build.concatenate([x] * count, axis, f"{build.name}/axis{axis}")
    return build.reshape(x, found[0], build.name)


def repeated(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor) -> Tensor:
    """Lower `repeat` by one number: each number several times, side by side."""
    axis, count = _axis(build, operation.axis, len(x.shape)), operation.repeats
    if not isinstance(count, int):
        raise refused(*build.layer, "it repeats each place another number of times; write one number")
    wide = build.reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]), f"{build.name}/wide")
    return build.reshape(build.concatenate([wide] * count, axis + 1, f"{build.name}/times"), found[0], build.name)


def rolled(build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor) -> Tensor:
    """Lower `roll` along one axis."""
    axis = _axis(build, operation.axis, len(x.shape))
    shift = int(operation.shift) % x.shape[axis]
    if not shift:
        return x
    first, second = parts(build, x, axis, [x.shape[axis] - shift, shift])
    return build.concatenate([second, first], axis, build.name)


def padded(
    build: Builder, operation: keras.Operation, found: list[tuple[int, ...]], x: Tensor, value: Any = None
) -> Tensor:
    """Lower `pad` in its modes."""
    widths = [tuple(width) for width in operation.pad_width]
    widths = widths * len(x.shape) if len(widths) == 1 else widths
    if widths[0] != (0, 0):
        raise refused(*build.layer, _BATCH)
    amounts = integers(f"{build.name}/widths", widths)
    if operation.mode != "constant":
        if operation.mode not in ("reflect", "symmetric"):
            why = f"no operator pads in the mode {operation.mode!r}; write constant, reflect or symmetric"
            raise refused(*build.layer, why)
        return build.add("MIRROR_PAD", [x, amounts], found[0], build.name, mode=operation.mode.upper())
    number = 0.0 if value is None else float(values_of(value))
    if not number:
        return build.add("PAD", [x, amounts], found[0], build.name)
    return build.add("PADV2", [x, amounts, constant(f"{build.name}/value", number)], found[0], build.name)
