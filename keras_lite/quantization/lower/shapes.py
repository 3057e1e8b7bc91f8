"""Layers that move numbers and change none, and those that pool or resize, as operators."""

import keras

from keras_lite.graph.refusals import refused
from keras_lite.litert import Tensor
from keras_lite.quantization.lower.builder import Builder, integers


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
    return build.slice(inputs[0], (0, top, left, 0), shape, build.name)


def center_crop(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `CenterCrop`, which resizes an image that is smaller."""
    [x] = inputs
    above, beside = ((size - wanted) // 2 for size, wanted in zip(x.shape[1:3], shape[1:3], strict=True))
    if min(above, beside) < 0:
        why = f"it enlarges images of {x.shape[1]} x {x.shape[2]}; write Resizing before it"
        raise refused(build.name, "CenterCrop", why)
    return build.slice(x, (0, above, beside, 0), shape, build.name)


def resizing(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Resizing`."""
    return resized_by(build, layer, inputs[0], shape[1:3])


def resized_by(build: Builder, resizing: keras.Operation, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Add what `Resizing` or `keras.ops.image.resize` does."""
    for argument in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        if getattr(resizing, argument, False):
            why = f"no operator does what {argument}=True says; leave that out, or resize the images before the model"
            raise refused(*build.layer, why)
    return resized(build, x, size, resizing.interpolation, centers=True)


def concatenate(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Concatenate`; of many tensors fours are put together first, then what comes of them."""
    return build.concatenate(inputs, layer.axis % len(shape), build.name)


def window_pooling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `MaxPooling2D` and `AveragePooling2D`; those along one axis, of a row."""
    kind = "MAX_POOL_2D" if type(layer).__name__.startswith("Max") else "AVERAGE_POOL_2D"
    strides, window = ((1, *each)[-2:] for each in (layer.strides, layer.pool_size))
    if kind == "AVERAGE_POOL_2D" and layer.padding == "same" and keras.backend.backend() == "torch":
        reach = [
            max((places - 1) * stride + size - length, 0)
            for places, stride, size, length in zip(shape[1:3], strides, window, inputs[0].shape[1:3], strict=True)
        ]
        if any(each % 2 for each in reach):
            why = (
                f"Keras on PyTorch repeats the edges of an image of {inputs[0].shape[1]} x {inputs[0].shape[2]} here, "
                "where the padding is uneven, and no file does; convert it on TensorFlow or JAX, or write padding "
                '"valid", or a size and strides with as much padding before as behind'
            )
            raise refused(build.name, build.layer[1], why)
    return build.add(
        kind,
        inputs,
        shape,
        build.name,
        padding=layer.padding.upper(),
        stride_h=int(strides[0]),
        stride_w=int(strides[1]),
        filter_height=int(window[0]),
        filter_width=int(window[1]),
        fused_activation_function="NONE",
    )


def global_pooling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `GlobalAveragePooling2D` and `GlobalMaxPooling2D`; those along one axis, of a row."""
    kind = "REDUCE_MAX" if type(layer).__name__.startswith("GlobalMax") else "MEAN"
    axes = integers(f"{build.name}/axes", (1, 2))
    return build.add(kind, [inputs[0], axes], shape, build.name, keep_dims=bool(layer.keepdims))


def up_sampling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `UpSampling2D`."""
    return resized(build, inputs[0], shape[1:3], layer.interpolation)


def resized(build: Builder, x: Tensor, size: tuple[int, int], interpolation: str, centers: bool = False) -> Tensor:
    """Add what gives an image another size, as `UpSampling2D` and `Resizing` do.

    Args:
        build: Takes the operator.
        x: The image.
        size: Height and width of the result.
        interpolation: `"nearest"` or `"bilinear"`.
        centers: Whether the nearest pixel is that of centers of pixels; else of their corners.
    """
    kinds = {"nearest": "RESIZE_NEAREST_NEIGHBOR", "bilinear": "RESIZE_BILINEAR"}
    if interpolation not in kinds:
        why = f"its interpolation {interpolation!r} has no operator; write {' or '.join(map(repr, kinds))}"
        raise refused(build.name, build.layer[1], why)
    options = {"align_corners": False, "half_pixel_centers": centers or interpolation == "bilinear"}
    shape = (x.shape[0], *size, x.shape[3])
    return build.add(kinds[interpolation], [x, integers(f"{build.name}/size", size)], shape, build.name, **options)
