"""Random weights that are the same in every run, so that a network need not be trained or downloaded to be tested."""

import zlib

import keras
import numpy as np

from keras_lite.checkpoints import load_torch_state_dict, to_torch_state_dict
from keras_lite.graph import flatten

# What batch normalization's statistics are taken of: 64 images of 96 x 96 and less. All activations are in memory.
_IMAGES, _PIXELS = 64, 64 * 96 * 96


def set_known_weights(model: keras.Model, images: np.ndarray) -> None:
    """Draw every weight of a network of `keras_lite.applications` from a seed made of the weight's PyTorch name.

    Batch normalization's statistics are those of images, as they would be in a trained network: with others the
    activations grow from layer to layer.

    Args:
        model: The network.
        images: Preprocessed images.
    """
    state = {
        name: values for name, values in to_torch_state_dict(model).items() if not name.endswith(".num_batches_tracked")
    }
    norms = {name.rpartition(".")[0] for name in state if name.endswith(".running_mean")}
    for name, values in state.items():
        if values.dtype.kind == "f" and not name.endswith((".running_mean", ".running_var")):
            module, _, parameter = name.rpartition(".")
            state[name] = _draw(name, values.shape, parameter, module in norms)
    load_torch_state_dict(model, state)
    flat = flatten(model)
    _take_statistics(flat, images)
    statistics = to_torch_state_dict(flat)
    load_torch_state_dict(model, {**state, **{name: statistics[name] for name in state if ".running_" in name}})


def draw_weights(model: keras.Model, images: np.ndarray) -> None:
    """Draw every weight of a model as `set_known_weights` does, from its place in the model.

    The names of Keras' layers depend on what was built before in the same process.

    Args:
        model: A functional model.
        images: What the model takes, for the statistics of batch normalization.
    """
    for index, layer in enumerate(_leaves(model)):
        norm = type(layer).__name__ == "BatchNormalization"
        for variable in layer._trainable_variables:
            parameter = "weight" if variable.name.endswith(("kernel", "gamma")) else "bias"
            depthwise = type(layer).__name__ == "DepthwiseConv2D" or variable.name == "depthwise_kernel"
            shape = _torch_shape(variable, depthwise and parameter == "weight")
            values = _draw(f"{index}.{variable.name}", shape, parameter, norm)
            variable.assign(values.reshape(variable.shape))
    _take_statistics(model, images)


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model, each before those inside of it."""
    return [inside for layer in model.layers for inside in layer._flatten_layers()]


def _torch_shape(variable: keras.Variable, depthwise: bool) -> tuple[int, ...]:
    """Return the shape in PyTorch's order: what is summed over comes behind the first."""
    shape = tuple(variable.shape)
    if depthwise:
        return (shape[2] * shape[3], *shape[:2])
    return (shape[-1], *shape[:-1])


def _take_statistics(model: keras.Model, images: np.ndarray) -> None:
    """Set the statistics of batch normalization to those of images; dropout is switched off for good."""
    for layer in _leaves(model):
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = 0.0
        if type(layer).__name__ == "Dropout":
            layer.rate = 0.0
    count = min(_IMAGES, max(1, _PIXELS // (images.shape[1] * images.shape[2])))
    model(images[:count], training=True)


def _draw(name: str, shape: tuple[int, ...], parameter: str, norm: bool) -> np.ndarray:
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    if norm and parameter == "weight":
        values = rng.uniform(0.6, 1.4, shape)
    elif norm:
        values = 0.2 * rng.standard_normal(shape)
    elif parameter == "weight":
        values = rng.standard_normal(shape) * np.sqrt(1.5 / np.prod(shape[1:]))
    elif parameter == "bias":
        values = 0.1 * rng.standard_normal(shape)
    else:
        values = 0.5 * rng.standard_normal(shape)
    return values.astype("float32")
