"""Layers that move numbers and change none, and those that pool or resize, as operators."""

import keras

from keras_lite.errors import InputError
from keras_lite.litert import Tensor
from keras_lite.quantization.lower.builder import Builder, integers

# XNNPACK leaves concatenations of more tensors to the built-in kernels.
_CONCATENATED_AT_ONCE = 4


def same(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower a layer that does nothing when a model predicts."""
    return inputs[0]


def reshape(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Flatten` and `Reshape`."""
    return build.reshape(inputs[0], shape, build.name)


def permute(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Permute`."""
    return build.transpose(inputs[0], (0, *layer.dims), build.name)


def zero_padding(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `ZeroPadding2D`."""
    widths = integers(f"{build.name}/widths", [(0, 0), *layer.padding, (0, 0)])
    return build.add("PAD", [inputs[0], widths], shape, build.name)


def cropping(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Cropping2D`."""
    (top, _), (left, _) = layer.cropping
    begin, size = integers(f"{build.name}/begin", (0, top, left, 0)), integers(f"{build.name}/size", shape)
    return build.add("SLICE", [inputs[0], begin, size], shape, build.name)


def concatenate(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Concatenate`; of many tensors fours are put together first, then what comes of them."""
    axis, tensors, level = layer.axis % len(shape), list(inputs), 0

    def joined(group: list[Tensor], name: str) -> Tensor:
        if len(group) == 1:
            return group[0]
        size = sum(tensor.shape[axis] for tensor in group)
        together = (*shape[:axis], size, *shape[axis + 1 :])
        return build.add("CONCATENATION", group, together, name, axis=axis, fused_activation_function="NONE")

    while len(tensors) > _CONCATENATED_AT_ONCE:
        level += 1
        groups = [tensors[at : at + _CONCATENATED_AT_ONCE] for at in range(0, len(tensors), _CONCATENATED_AT_ONCE)]
        tensors = [joined(group, f"{build.name}/part{level}_{index}") for index, group in enumerate(groups)]
    return joined(tensors, build.name)


def window_pooling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `MaxPooling2D` and `AveragePooling2D`."""
    kind = "MAX_POOL_2D" if type(layer).__name__ == "MaxPooling2D" else "AVERAGE_POOL_2D"
    return build.add(
        kind,
        inputs,
        shape,
        build.name,
        padding=layer.padding.upper(),
        stride_h=int(layer.strides[0]),
        stride_w=int(layer.strides[1]),
        filter_height=int(layer.pool_size[0]),
        filter_width=int(layer.pool_size[1]),
        fused_activation_function="NONE",
    )


def global_pooling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `GlobalAveragePooling2D` and `GlobalMaxPooling2D`."""
    kind = "REDUCE_MAX" if type(layer).__name__ == "GlobalMaxPooling2D" else "MEAN"
    axes = integers(f"{build.name}/axes", (1, 2))
    return build.add(kind, [inputs[0], axes], shape, build.name, keep_dims=bool(layer.keepdims))


def up_sampling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `UpSampling2D`."""
    kinds = {"nearest": "RESIZE_NEAREST_NEIGHBOR", "bilinear": "RESIZE_BILINEAR"}
    if layer.interpolation not in kinds:
        raise InputError(f"Expected UpSampling2D by {' or '.join(kinds)}, received {layer.interpolation!r}.")
    size = integers(f"{build.name}/size", shape[1:3])
    options = {"align_corners": False, "half_pixel_centers": layer.interpolation == "bilinear"}
    return build.add(kinds[layer.interpolation], [inputs[0], size], shape, build.name, **options)
