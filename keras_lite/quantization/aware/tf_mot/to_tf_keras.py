"""Carrying a Keras 3 model of any backend over to tf_keras, which TF-MOT and the TFLite converter understand."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.graph import flatten
from keras_lite.graph.input_scaling import scale_and_offset
from keras_lite.graph.refusals import check_layer
from keras_lite.graph.view import IDLE, activation_name, layer_calls

# What stands in the tf_keras model for one Keras 3 layer: tf_keras layers, called one after the other, each with its
# weights in the order of `get_weights`. An empty list leaves the layer out.
Replacement = list[tuple[Any, list[np.ndarray]]]
Builder = Callable[[keras.layers.Layer], Replacement]

_CONVOLUTION = ("strides", "padding", "dilation_rate", "use_bias", "activation", "kernel_size")

# Layer type -> the arguments that its twin in tf_keras takes under the same names and with the same meaning.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "Activation": ("activation",),
    "Add": (),
    "Average": (),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": ("filters", "groups", *_CONVOLUTION),
    "Cropping2D": ("cropping",),
    "Dense": ("units", "activation", "use_bias"),
    "DepthwiseConv2D": ("depth_multiplier", *_CONVOLUTION),
    "Dropout": ("rate", "noise_shape", "seed"),
    "ELU": ("alpha",),
    "Flatten": (),
    "GlobalAveragePooling2D": ("keepdims",),
    "GlobalMaxPooling2D": ("keepdims",),
    "LeakyReLU": (),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "Maximum": (),
    "Minimum": (),
    "Multiply": (),
    "PReLU": ("shared_axes",),
    "Permute": ("dims",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Rescaling": ("scale", "offset"),
    "Reshape": ("target_shape",),
    "SeparableConv2D": ("filters", "depth_multiplier", *_CONVOLUTION),
    "Softmax": ("axis",),
    "SpatialDropout2D": ("rate",),
    "Subtract": (),
    "UnitNormalization": ("axis",),
    "UpSampling2D": ("size", "interpolation"),
    "ZeroPadding2D": ("padding",),
}

# XNNPACK leaves concatenations of more tensors to the built-in kernels.
_CONCATENATED_AT_ONCE = 4

# Activations that mean the same in both. tf_keras' own hard_sigmoid is another function (0.2 x + 0.5).
_SAME_ACTIVATIONS = {
    "gelu": "gelu",
    "linear": "linear",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "silu": "swish",
    "softmax": "softmax",
    "tanh": "tanh",
}


def to_tf_keras(model: keras.Model, builders: dict[str, Builder] | None = None) -> Any:
    """Rebuild a Keras 3 model in tf_keras, with the same weights and the same answers.

    Args:
        model: A functional or Sequential Keras 3 model, on any backend, with one input and one output. It is
            flattened first, so composite layers may be in it.
        builders: What to build for a layer type, by the type's name, instead of what `default_builders` and
            `own_builders` build.

    Returns:
        A functional `tf_keras.Model` that computes in float32. Layers keep their names.

    Raises:
        InputError: If the model is not functional, has several inputs or outputs, or contains a layer that has no
            counterpart; the message names the layer and its type.
        MissingExtraError: If tf_keras is not installed.

    Example:

    >>> twin = to_tf_keras(keras_lite.applications.CARNet18())
    >>> type(twin).__module__.partition(".")[0]
    'tf_keras'
    """
    tf_keras = import_extra("tf_keras", "quantization")
    flat = flatten(model)
    return rebuild(flat, {**default_builders(), **own_builders(), **(builders or {})}, tf_keras)


def rebuild(flat: keras.Model, builders: dict[str, Builder], tf_keras: Any) -> Any:
    """Walk a flat model from its input to its output and build each layer's replacement in tf_keras."""
    if len(flat.inputs) != 1 or len(flat.outputs) != 1:
        raise InputError(
            f"Expected a model with one input and one output for TF-MOT and TensorFlow's converter, received "
            f"{len(flat.inputs)} inputs and {len(flat.outputs)} outputs; quantize it by post_training, and train what "
            "that returns by keras_lite.quantization.aware.keras_native.building.trainable."
        )
    source = flat.inputs[0]
    tensors = {id(source): tf_keras.Input(source.shape[1:], name=source.name)}
    first = tensors[id(source)]
    weights = []
    replacements: dict[str, Replacement] = {}
    for layer, inputs, [output] in layer_calls(flat):
        if layer.name not in replacements:
            replacements[layer.name] = _replacement(layer, builders)
            weights += replacements[layer.name]
        values = [tensors[id(tensor)] for tensor in inputs]
        value = values if len(values) > 1 else values[0]
        for replacement, _ in replacements[layer.name]:
            value = replacement(value)
        tensors[id(output)] = value
    twin = tf_keras.Model(first, tensors[id(flat.outputs[0])], name=flat.name)
    for replacement, arrays in weights:
        replacement.set_weights(arrays)
    return twin


def default_builders() -> dict[str, Builder]:
    """Return what to build in tf_keras for each known layer type, by the type's name."""
    builders: dict[str, Builder] = dict.fromkeys(_ARGUMENTS, twin_layer)
    builders |= dict.fromkeys(IDLE, leave_out)
    return {**builders, "Concatenate": _concatenate, "LeakyReLU": _leaky_relu, "Normalization": _normalization}


def leave_out(layer: keras.layers.Layer) -> Replacement:
    """Build nothing: for a layer that does nothing when a model predicts."""
    return []


def twin_layer(layer: keras.layers.Layer, **changes: Any) -> Replacement:
    """Build the layer of the same name and arguments, except for `changes` (`name` among them), with its weights."""
    tf_keras = import_extra("tf_keras", "quantization")
    kind = type(layer).__name__
    config = layer.get_config()
    arguments = {name: config[name] for name in _ARGUMENTS[kind]}
    if "activation" in arguments:
        arguments["activation"] = _activation(layer)
    arguments.update({"name": layer.name, "dtype": "float32", **changes})
    weights = [np.asarray(value, dtype="float32") for value in layer.get_weights()]
    return [(getattr(tf_keras.layers, kind)(**arguments), weights)]


class Concatenation:
    """A concatenation of any number of tensors, called as one layer: XNNPACK takes no more than four at a time.

    Args:
        name: Of the last layer, which gives the answer.
        make: From a name to a layer that concatenates.
    """

    def __init__(self, name: str, make: Callable[[str], Any]):
        self.name = name
        self.make = make
        self.made: dict[str, Any] = {}

    def __call__(self, tensors: list[Any]) -> Any:
        """Concatenate fours, then what comes of them, until one tensor is left."""
        level = 0
        while len(tensors) > _CONCATENATED_AT_ONCE:
            level += 1
            groups = [tensors[i : i + _CONCATENATED_AT_ONCE] for i in range(0, len(tensors), _CONCATENATED_AT_ONCE)]
            tensors = [
                self._layer(f"{self.name}_part{level}_{index}")(group) if len(group) > 1 else group[0]
                for index, group in enumerate(groups)
            ]
        return self._layer(self.name)(tensors)

    def _layer(self, name: str) -> Any:
        if name not in self.made:
            self.made[name] = self.make(name)
        return self.made[name]

    def set_weights(self, arrays: list[np.ndarray]) -> None:
        """Take no weights."""


def _concatenate(layer: keras.layers.Layer) -> Replacement:
    tf_keras = import_extra("tf_keras", "quantization")
    make = functools.partial(tf_keras.layers.Concatenate, layer.axis, dtype="float32")
    return [(Concatenation(layer.name, lambda name: make(name=name)), [])]


def _leaky_relu(layer: keras.layers.Layer) -> Replacement:
    return twin_layer(layer, alpha=layer.negative_slope)


def _normalization(layer: keras.layers.Layer) -> Replacement:
    scale, offset = scale_and_offset(layer)
    tf_keras = import_extra("tf_keras", "quantization")
    return [(tf_keras.layers.Rescaling(scale.tolist(), offset.tolist(), name=layer.name, dtype="float32"), [])]


def hard_sigmoid(inputs: Any) -> Any:
    """relu6(x + 3) / 6, Keras 3's hard sigmoid, on TensorFlow tensors."""
    tensorflow = import_extra("tensorflow", "tensorflow")
    return tensorflow.nn.relu6(inputs + 3.0) * (1.0 / 6.0)


def hard_swish(inputs: Any) -> Any:
    """x relu6(x + 3) / 6, Keras 3's hard SiLU, on TensorFlow tensors."""
    return inputs * hard_sigmoid(inputs)


def _activation(layer: keras.layers.Layer) -> Any:
    name = activation_name(layer)
    if name == "relu6":
        return import_extra("tensorflow", "tensorflow").nn.relu6
    special = {"hard_sigmoid": hard_sigmoid, "hard_silu": hard_swish}
    if name in special:
        return special[name]
    if name not in _SAME_ACTIVATIONS:
        raise InputError(
            f"Expected an activation among {sorted([*_SAME_ACTIVATIONS, *special, 'relu6'])}, "
            f"received {name!r} in layer {layer.name}."
        )
    return _SAME_ACTIVATIONS[name]


def _replacement(layer: keras.layers.Layer, builders: dict[str, Builder]) -> Replacement:
    check_layer(layer, builders)
    return builders[type(layer).__name__](layer)


def own_builders() -> dict[str, Callable]:
    """Return what to build in tf_keras for our own layers, by the type's name, as `default_builders` does.

    TF-MOT does not know what they become, so they are for models that are not quantized.
    """
    return {"PositionEmbedding": _position_embedding, "StridedAttention": _strided_attention}


@functools.cache
def _layer_class() -> type:
    tf_keras = import_extra("tf_keras", "quantization")

    class OwnLayer(tf_keras.layers.Layer):
        """Compute a function of the inputs and of one array of weights."""

        def __init__(self, function: Callable, weights: np.ndarray, **kwargs):
            super().__init__(**kwargs)
            self.function = function
            self.values = self.add_weight("values", weights.shape, initializer="zeros")

        def call(self, inputs):
            return self.function(inputs, self.values)

    return OwnLayer


def _build(layer: keras.layers.Layer, function: Callable, weights: np.ndarray) -> list[tuple[Any, list[np.ndarray]]]:
    weights = np.asarray(weights, "float32")
    return [(_layer_class()(function, weights, name=layer.name, dtype="float32"), [weights])]


def _position_embedding(layer: keras.layers.Layer) -> list[tuple[Any, list[np.ndarray]]]:
    return _build(layer, lambda inputs, embedding: inputs + embedding, layer.get_weights()[0])


def _strided_attention(layer: keras.layers.Layer) -> list[tuple[Any, list[np.ndarray]]]:
    tensorflow = import_extra("tensorflow", "tensorflow")
    heads = layer.heads

    def split_heads(x):
        _, height, width, channels = x.shape
        x = tensorflow.reshape(x, (-1, height * width, heads, channels // heads))
        return tensorflow.transpose(x, (0, 2, 1, 3))

    def attend(inputs, biases):
        queries, keys, values = map(split_heads, inputs)
        scores = tensorflow.matmul(queries, keys, transpose_b=True) * queries.shape[-1] ** -0.5
        outputs = tensorflow.matmul(tensorflow.nn.softmax(scores + biases), values)
        outputs = tensorflow.transpose(outputs, (0, 2, 1, 3))
        return tensorflow.reshape(outputs, (-1, *inputs[0].shape[1:3], inputs[2].shape[-1]))

    return _build(layer, attend, layer.get_weights()[0][:, layer.distances])
