"""Feature maps of a network at each stride, for detection or segmentation."""

import re
from collections.abc import Sequence

import keras

from keras_lite.errors import InputError

# Layers whose results are feature maps: of a block only the last is, of what stands before and behind them each.
_MAPS = re.compile(r"(?P<block>((stage|layer)\d+_)?(block|unit)\d+)|stem|hybrid_stem|preactivation_stem|last|final")
_HEAD = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)
# Large enough for what is not padded to make no difference.
_SIZE = 4096


def feature_extractor(model: keras.Model, strides: Sequence[int] | None = None) -> keras.Model:
    """Return a model that gives a network's last feature map at each stride.

    A map has stride 8 if the layers up to it halve the image three times. The maps are the outputs of whole blocks;
    that of the largest stride is what the network gives with `include_top=False`.

    Args:
        model: A network from `keras_lite.applications`, with or without top, not flattened.
        strides: The strides wanted, such as `(8, 16, 32)`. `None`: all that the network has.

    Returns:
        A functional `keras.Model` that shares the network's layers and weights. It gives a dictionary from names such
        as `"stride8"` to maps of shape `(batch, height, width, channels)`.

    Raises:
        InputError: If the network has no map of a stride, or is not from `keras_lite.applications`.

    Example:

    >>> network = keras_lite.applications.MobileNetV3Large(include_top=False)
    >>> features = keras_lite.applications.feature_extractor(network, strides=(8, 16, 32))
    >>> {name: tensor.shape[1:] for name, tensor in features.output.items()}
    {'stride8': (28, 28, 40), 'stride16': (14, 14, 112), 'stride32': (7, 7, 960)}
    """
    if any(isinstance(layer, keras.layers.Reshape) for layer in model.layers):
        raise InputError(f"Expected a network that is not flattened, received {model.name} with Reshape layers.")
    maps = _maps_by_stride(model)
    if not maps:
        raise InputError(f"Expected a network from keras_lite.applications, received {model.name}.")
    missing = [stride for stride in strides or () if stride not in maps]
    if missing or (strides is not None and not strides):
        raise InputError(f"Expected strides of {model.name}, of {tuple(maps)}, received {tuple(strides)}.")
    outputs = {f"stride{stride}": maps[stride] for stride in strides or maps}
    return keras.Model(model.inputs[0], outputs, name=f"{model.name}_features")


def _maps_by_stride(model: keras.Model) -> dict[int, object]:
    """Return stride -> last feature map, in order of strides."""
    last_of_block = {
        match["block"] or layer.name: layer for layer in model.layers if (match := _MAPS.match(layer.name))
    }
    ends = {id(layer) for layer in last_of_block.values() if not isinstance(layer, keras.layers.ZeroPadding2D)}
    strides = {id(tensor): 1 for tensor in model.inputs}
    maps = {}
    for layer in model.layers:
        inputs = _listed(layer.input)
        # Behind the head nothing has a stride.
        if isinstance(layer, (keras.layers.InputLayer, *_HEAD)) or id(inputs[0]) not in strides:
            continue
        stride = strides[id(inputs[0])] * _stride(layer)
        strides |= {id(tensor): stride for tensor in _listed(layer.output)}
        if id(layer) in ends:
            maps[stride] = layer.output
    return dict(sorted(maps.items()))


def _stride(layer: keras.layers.Layer) -> int:
    """Return by what a layer divides height and width."""
    if isinstance(layer.input, list):
        return 1
    shape = layer.compute_output_shape((None, _SIZE, _SIZE, layer.input.shape[-1]))
    _, height, *_ = shape[0] if isinstance(shape, list) else shape
    return round(_SIZE / height)


def _listed(tensors):
    return tensors if isinstance(tensors, list) else [tensors]
