"""Which layers the int8 operator of the one before them computes along with its own."""

import keras

from keras_lite.errors import InputError
from keras_lite.graph import View, last_operation
from keras_lite.graph.view import WEIGHTED, activation_name, is_plain_relu


class Neighbors:
    """What stands before and behind each layer, and what follows from that.

    Args:
        flat: A flattened model, rewritten by `keras_lite.graph.rewriting`.

    Attributes:
        before: By a layer's name, what makes its first input; None at the model's input.
        only_user: By a layer's name, what alone takes its output; None where that is not one layer.
        last: Name of the layer that gives the answer (see `keras_lite.graph.last_operation`).

    Raises:
        InputError: If a layer is used twice; the message names it.
    """

    def __init__(self, flat: keras.Model):
        view = View(flat, layers_only=True)
        self.before: dict[str, keras.layers.Layer | None] = {}
        self.only_user: dict[str, keras.layers.Layer | None] = {}
        for layer, inputs, [output] in view.calls:
            if layer.name in self.before:
                raise InputError(
                    f"Expected each layer with weights to be used once in a model to quantize, received "
                    f"{layer.name} used twice; write as many layers, and give them the same weights."
                )
            self.before[layer.name] = view.producer(inputs[0])
            self.only_user[layer.name] = view.only_consumer(output)
        self.last = last_operation(flat).name

    def folds(self, layer: keras.layers.Layer | None, into: keras.layers.Layer | None) -> bool:
        """Whether `layer` can be computed inside the convolution `into` that stands before it."""
        return (
            layer is not None
            and into is not None
            and type(into).__name__ in WEIGHTED
            and activation_name(into) == "linear"
            and self.only_user.get(into.name) is layer
        )

    def takes_relu(self, layer: keras.layers.Layer) -> bool:
        """Whether a convolution or dense layer takes in the ReLU behind it."""
        user = self.only_user.get(layer.name)
        return type(layer).__name__ in WEIGHTED and self.folds(user, layer) and is_plain_relu(user)

    def takes_hard_sigmoid(self, layer: keras.layers.Layer) -> bool:
        """Whether a convolution or dense layer takes in a hard sigmoid, its own or that behind it."""
        user = self.only_user.get(layer.name)
        if type(layer).__name__ not in ("Conv2D", "Dense") or not layer.use_bias:
            return False
        if activation_name(layer) == "hard_sigmoid":
            return not _is_concatenation(user)
        return (
            self.folds(user, layer) and _is_hard_sigmoid(user) and not _is_concatenation(self.only_user.get(user.name))
        )

    def feeds_hard_swish(self, layer: keras.layers.Layer) -> bool:
        """Whether a layer gives x / sqrt(6) to the hard_swish that alone takes its output."""
        user = self.only_user.get(layer.name)
        if type(user).__name__ != "Activation" or activation_name(user) != "hard_silu":
            return False
        if type(layer).__name__ == "BatchNormalization":
            return layer.scale and layer.center
        return type(layer).__name__ in WEIGHTED and activation_name(layer) == "linear"

    def crops_channels(self, layer: keras.layers.Layer | None) -> bool:
        """Whether a layer is the crop in `keras_lite.layers.ChannelSlice`."""
        if type(layer).__name__ != "Cropping2D":
            return False
        before, behind = self.before[layer.name], self.only_user.get(layer.name)
        if type(before).__name__ != "Reshape" or type(behind).__name__ != "Reshape":
            return False
        shape = before.input.shape
        return (
            len(shape) == 4
            and self.only_user.get(before.name) is layer
            and tuple(before.output.shape[1:]) == (shape[1] * shape[2], shape[3], 1)
            and tuple(behind.output.shape[1:3]) == tuple(shape[1:3])
            and tuple(layer.cropping[0]) == (0, 0)
        )


def _is_concatenation(layer: keras.layers.Layer | None) -> bool:
    """Whether a layer gives its inputs another range, so that the layer before it can't cut off by its own."""
    return type(layer).__name__ == "Concatenate"


def _is_hard_sigmoid(layer: keras.layers.Layer) -> bool:
    return type(layer).__name__ == "Activation" and activation_name(layer) == "hard_sigmoid"
