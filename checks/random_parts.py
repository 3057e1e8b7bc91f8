"""The layers of LAYERS.md with random arguments, as `checks.random_layers` puts them into models."""

import math
from collections.abc import Callable
from typing import Any

import keras

from checks.random_draw import Draw, Misfit
from keras_lite import layers as own

layers = keras.layers
_Part = Callable[[Draw, Any], Any]


def _convolution(name: str, *, filters: bool = True) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        sides = draw.sides(x, name)
        kernel = tuple(draw.integer(1, min(4, side)) for side in sides)
        strides = draw.integer(1, 2) if min(sides) > 4 else 1
        transposed, depthwise = "Transpose" in name, name.startswith(("Depthwise", "Separable"))
        options: dict[str, Any] = {"padding": draw.chosen(["same", "valid"]), "use_bias": draw.chance(0.7)}
        if strides > 1 and not transposed and draw.chance(0.3) and name != "Conv2D" and len(sides) == 2:
            options["padding"] = "same"
        if strides == 1 and all(2 * (each - 1) < side for each, side in zip(kernel, sides, strict=True)):
            options["dilation_rate"] = draw.integer(1, 2) if draw.chance(0.3) and not transposed else 1
        if depthwise:
            options["depth_multiplier"] = draw.integer(1, 2) if x.shape[-1] <= 8 else 1
        number = draw.integer(1, 8)
        if name == "Conv2D" and x.shape[-1] % 2 == 0 and draw.chance(0.15):
            options["groups"], number = 2, 2 * draw.integer(1, 4)
        if name == "Conv1D" and draw.chance(0.2):
            options["padding"] = "causal"
        options["activation"] = draw.activation() if draw.chance(0.4) else None
        arguments = (kernel if len(kernel) > 1 else kernel[0],)
        return getattr(layers, name)(*((number, *arguments) if filters else arguments), strides=strides, **options)(x)

    return part


def _pooling(name: str) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        sides = draw.sides(x, name)
        pool = tuple(draw.integer(1, min(3, side)) for side in sides)
        strides = draw.chosen([None, 1, 2])
        padding = draw.chosen(["same", "valid"])
        return getattr(layers, name)(pool if len(pool) > 1 else pool[0], strides=strides, padding=padding)(x)

    return part


def _global(name: str) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        draw.sides(x, name)
        return getattr(layers, name)(keepdims=draw.chance(0.3))(x)

    return part


def _merging(name: str) -> _Part:
    """Merge a tensor with an activation of it or of its mean."""

    def part(draw: Draw, x: Any) -> Any:
        other = draw.activated(draw.activation(), x)
        if draw.chance(0.3) and len(x.shape) == 4:
            other = layers.GlobalAveragePooling2D(keepdims=True)(other)
        if name == "Subtract":
            return layers.Subtract()([x, other])
        third = [layers.Rescaling(-0.7, 0.1)(x)] if draw.chance(0.3) else []
        return getattr(layers, name)()([other, x, *third] if draw.chance(0.5) else [x, other, *third])

    return part


def _concatenate(draw: Draw, x: Any) -> Any:
    axis = draw.integer(1, len(x.shape) - 1)
    parts = [x, draw.activated(draw.activation(), x)]
    return layers.Concatenate(axis=axis if draw.chance(0.5) else axis - len(x.shape))(parts)


def _dot(draw: Draw, x: Any) -> Any:
    rows = draw.rows(x)
    other = layers.Dense(rows.shape[-1])(rows)
    return layers.Rescaling(1.0 / rows.shape[-1])(layers.Dot(axes=2)([rows, other]))


def _attention(name: str) -> _Part:
    def part(draw: Draw, x: Any) -> Any:
        rows = draw.rows(x)
        if name == "MultiHeadAttention":
            return layers.MultiHeadAttention(draw.integer(1, 2), draw.integer(2, 4))(rows, rows)
        return getattr(layers, name)()([rows, layers.Dense(rows.shape[-1])(rows)])

    return part


def _position_embedding(draw: Draw, x: Any) -> Any:
    draw.image(x)
    return own.PositionAwareCircularConv(draw.chosen(["height", "width"]))(x)


def _strided_attention(draw: Draw, x: Any) -> Any:
    draw.image(x)
    y = layers.Conv2D(8, 1)(x)
    return own.AttentionDownsampling(draw.integer(4, 8), attention=True)(y)


def _plain(name: str, *ranks: int, **arguments: Callable[[Draw, Any], Any]) -> _Part:
    """Apply a layer to tensors of some ranks, with arguments that functions draw."""

    def part(draw: Draw, x: Any) -> Any:
        if len(x.shape) not in (ranks or (2, 3, 4)):
            raise Misfit
        return getattr(layers, name)(**{key: value(draw, x) for key, value in arguments.items()})(x)

    return part


def _small(draw: Draw, x: Any) -> None:
    if max(x.shape[1:3]) > 12:
        raise Misfit


def _margins(draw: Draw, x: Any, most: int) -> Any:
    pairs = [(draw.integer(0, most), draw.integer(0, most)) for _ in x.shape[1:-1]]
    return pairs if len(pairs) > 1 else pairs[0]


def _cropped(draw: Draw, x: Any) -> Any:
    if min(x.shape[1:-1]) < 5:
        raise Misfit
    return _margins(draw, x, 2)


def _window(draw: Draw, x: Any) -> tuple[int, int]:
    return draw.integer(1, x.shape[1]), draw.integer(1, x.shape[2])


def _center_crop(draw: Draw, x: Any) -> Any:
    draw.image(x)
    return layers.CenterCrop(*_window(draw, x))(x)


def _resizing(draw: Draw, x: Any) -> Any:
    draw.image(x)
    size = (draw.integer(2, 16), draw.integer(2, 16))
    return layers.Resizing(*size, interpolation=draw.chosen(["bilinear", "nearest"]))(x)


def _up_sampling(draw: Draw, x: Any) -> Any:
    draw.image(x)
    _small(draw, x)
    size = (draw.integer(1, 2), draw.integer(1, 3))
    return layers.UpSampling2D(size, interpolation=draw.chosen(["bilinear", "nearest"]))(x)


def _reshape(draw: Draw, x: Any) -> Any:
    size = math.prod(x.shape[1:])
    side = draw.chosen([each for each in range(1, min(size, 16) + 1) if size % each == 0])
    rest = size // side
    other = draw.chosen([each for each in range(1, min(rest, 16) + 1) if rest % each == 0])
    if rest // other > 64:
        raise Misfit
    return layers.Reshape((side, other, -1) if draw.chance(0.6) else (side, rest) if rest <= 128 else (-1,))(x)


def _flatten(draw: Draw, x: Any) -> Any:
    if math.prod(x.shape[1:]) > 512:
        raise Misfit
    return layers.Flatten()(x)


def _permute(draw: Draw, x: Any) -> Any:
    axes = list(range(1, len(x.shape)))
    draw.rng.shuffle(axes)
    return layers.Permute(tuple(axes))(x)


def _normalization(draw: Draw, x: Any) -> Any:
    count = x.shape[-1]
    return layers.Normalization(
        mean=draw.rng.normal(0, 0.5, count).tolist(), variance=draw.rng.uniform(0.5, 2, count).tolist()
    )(x)


def _group_normalization(draw: Draw, x: Any) -> Any:
    draw.image(x)
    count = x.shape[-1]
    return layers.GroupNormalization(draw.chosen([each for each in range(1, count + 1) if count % each == 0]))(x)


def _relu(draw: Draw, x: Any) -> Any:
    highest = draw.chosen([None, None, 1.0, 4.0, 6.0])
    slope, threshold = draw.chosen([0.0, 0.0, 0.1, 0.25]), 0.5 if draw.chance(0.02) else 0.0  # int8 refuses the second
    return layers.ReLU(max_value=highest, negative_slope=slope, threshold=threshold)(x)


def _prelu(draw: Draw, x: Any) -> Any:
    return layers.PReLU(shared_axes=list(range(1, len(x.shape) - 1)) or None)(x)


def _rescaling(draw: Draw, x: Any) -> Any:
    if draw.chance(0.5):
        return layers.Rescaling(float(draw.rng.normal()) or 1.0, float(draw.rng.normal()))(x)
    count = x.shape[-1]
    return layers.Rescaling(draw.rng.uniform(0.3, 1.5, count).tolist(), draw.rng.normal(0, 0.5, count).tolist())(x)


def _softmax(draw: Draw, x: Any) -> Any:
    return layers.Softmax(axis=draw.integer(1, len(x.shape) - 1) if draw.chance(0.3) else -1)(x)


def _share(draw: Draw, x: Any) -> float:
    return draw.chosen([0.1, 0.3, 0.5])


LAYERS: dict[str, _Part] = {
    **{name: _convolution(name) for name in (
        "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "SeparableConv1D", "SeparableConv2D",
    )},
    **{name: _convolution(name, filters=False) for name in ("DepthwiseConv1D", "DepthwiseConv2D")},
    **{f"{kind}Pooling{axes}D": _pooling(f"{kind}Pooling{axes}D") for kind in ("Average", "Max") for axes in (1, 2)},
    **{f"Global{kind}Pooling{axes}D": _global(f"Global{kind}Pooling{axes}D")
       for kind in ("Average", "Max") for axes in (1, 2)},
    **{name: _merging(name) for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")},
    **{name: _attention(name) for name in ("AdditiveAttention", "Attention", "MultiHeadAttention")},
    "Activation": lambda draw, x: draw.activated(draw.activation(), x),
    "BatchNormalization": _plain("BatchNormalization", scale=lambda draw, x: draw.chance(0.8),
                                 center=lambda draw, x: draw.chance(0.8)),
    "CenterCrop": _center_crop,
    "Concatenate": _concatenate,
    "Cropping1D": _plain("Cropping1D", 3, cropping=_cropped),
    "Cropping2D": _plain("Cropping2D", 4, cropping=_cropped),
    "Dense": _plain("Dense", units=lambda draw, x: draw.integer(1, 12), use_bias=lambda draw, x: draw.chance(0.7),
                    activation=lambda draw, x: draw.activation() if draw.chance(0.4) else None),
    "Dot": _dot,
    "Dropout": _plain("Dropout", rate=_share),
    "ELU": _plain("ELU", alpha=lambda draw, x: draw.chosen([1.0, 0.5, 1.3])),
    "Flatten": _flatten,
    "GaussianNoise": _plain("GaussianNoise", stddev=_share),
    "GroupNormalization": _group_normalization,
    "LayerNormalization": _plain("LayerNormalization"),
    "LeakyReLU": _plain("LeakyReLU", negative_slope=_share),
    "Normalization": _normalization,
    "PReLU": _prelu,
    "Permute": _permute,
    "PositionEmbedding": _position_embedding,
    "RMSNormalization": _plain("RMSNormalization"),
    "ReLU": _relu,
    "RepeatVector": _plain("RepeatVector", 2, n=lambda draw, x: draw.integer(1, 6)),
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Resizing": _resizing,
    "Softmax": _softmax,
    "SpatialDropout2D": _plain("SpatialDropout2D", 4, rate=_share),
    "StridedAttention": _strided_attention,
    "UnitNormalization": _plain("UnitNormalization"),
    "UpSampling1D": _plain("UpSampling1D", 3, size=lambda draw, x: draw.integer(1, 3)),
    "UpSampling2D": _up_sampling,
    "ZeroPadding1D": _plain("ZeroPadding1D", 3, padding=lambda draw, x: _margins(draw, x, 2)),
    "ZeroPadding2D": _plain("ZeroPadding2D", 4, padding=lambda draw, x: _margins(draw, x, 2)),
}  # fmt: skip
