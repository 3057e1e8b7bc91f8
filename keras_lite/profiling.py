"""Parameters and multiply-accumulates of a model, layer by layer."""

import dataclasses
import math
import re

import keras

from keras_lite import checkpoints
from keras_lite.errors import InputError
from keras_lite.graph import Counts, LayerCounts, count


@dataclasses.dataclass(frozen=True)
class Profile(Counts):
    """Counts of a model (see `keras_lite.graph.Counts`), also as the published counters count.

    Attributes:
        unseen: Names of layers for which the published PyTorch network has no module. What it computes by functions,
            the counter thop does not see.
    """

    unseen: frozenset[str] = frozenset()

    def flops(self, counter: str) -> int:
        """Return what one of the published counters says.

        Args:
            counter: `"bsconv_profiler"` (CIFAR-100, first set; Stanford Dogs; ImageNet): multiply-accumulates, a
                convolution's biases, twice the inputs of batch norm, the outputs of ReLU (not ReLU6), the inputs of
                pooling. `"thop"` (version 0.0.31; CIFAR-100, second set; VegFru292): multiply-accumulates, a
                convolution's biases, twice the inputs of batch norm, average pooling as far as PyTorch has a module
                for it. `"torchinfo"` (version 1.8, "mult-adds"; 100 sports): kernel and bias of a convolution once for
                each output position, and the parameters of all else.

        Raises:
            InputError: If there is no such counter.
        """
        if counter not in COUNTERS:
            raise InputError(f"Expected counter to be one of {tuple(COUNTERS)}, received {counter!r}.")
        return sum(COUNTERS[counter](layer, layer.name in self.unseen) for layer in self.layers)

    def parameters_by(self, counter: str) -> int:
        """Return the number of parameters that one of the published counters finds.

        The counter thop misses what is held by a module that has others in it: the position embeddings of ParC and
        the biases of attention. The others find all.

        Args:
            counter: As in `flops`.
        """
        hidden = ("PositionEmbedding", "StridedAttention") if counter == "thop" else ()
        return sum(layer.parameters for layer in self.layers if layer.type not in hidden)


_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D")
_POOLS = ("MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D")


def _count_like_bsconv_profiler(layer: LayerCounts, is_unseen: bool) -> int:
    if layer.type == "BatchNormalization":
        return 2 * math.prod(layer.input_shape)
    if layer.type == "ReLU" or layer.type in _POOLS:
        return math.prod(layer.input_shape)
    return layer.macs + layer.has_bias * math.prod(layer.output_shape)


def _count_like_thop(layer: LayerCounts, is_unseen: bool) -> int:
    if layer.type == "BatchNormalization":
        return 2 * math.prod(layer.input_shape)
    if layer.type == "GlobalAveragePooling2D" and not is_unseen:
        return math.prod(layer.input_shape) + layer.output_shape[-1]
    # The last is a max-pool here and an average pool, of one pixel, in the published network.
    if layer.type == "AveragePooling2D" or layer.name.endswith("_attention_query_subsample"):
        return math.prod(layer.output_shape)
    return layer.macs + (layer.has_bias and layer.type in _CONVOLUTIONS) * math.prod(layer.output_shape)


def _count_like_torchinfo(layer: LayerCounts, is_unseen: bool) -> int:
    if layer.type in _CONVOLUTIONS:
        return layer.parameters * math.prod(layer.output_shape[:-1])
    return layer.parameters


COUNTERS = {
    "bsconv_profiler": _count_like_bsconv_profiler,
    "thop": _count_like_thop,
    "torchinfo": _count_like_torchinfo,
}


def profile(model: keras.Model, input_shape: tuple[int, int, int] | None = None) -> Profile:
    """Return a model's parameters and multiply-accumulates, layer by layer.

    Args:
        model: Any functional or Sequential Keras 3 model, nested ones too.
        input_shape: `(height, width, channels)` to count for, if the model leaves its input's size open.

    Returns:
        A `Profile`.

    Raises:
        InputError: If the input's size is open and not given.

    Example:

    >>> keras_lite.profiling.profile(keras_lite.applications.CARNet18()).macs
    1600720576
    """
    counts = count(model, input_shape)
    family = checkpoints.family_of(model)
    unseen = family.unseen_by_thop if family else None
    names = (layer.name for layer in counts.layers if unseen is not None and re.fullmatch(unseen, layer.name))
    return Profile(counts.name, counts.input_shape, counts.layers, trainable=counts.trainable, unseen=frozenset(names))
