"""CARNet: ResNet18's layout with grouped convolutions and channel attention in place of residual blocks.

Source: CARNet, whose table on 100 sports classes gives 0.65M parameters and 1.63 GFLOPs at 244 x 244 pixels.
"""

import os
from collections.abc import Iterator

import keras

from keras_lite.applications import common
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.layers import BatchNormalization, GroupConvBlock
from keras_lite.layers.initializers import pytorch_uniform

STAGE_FILTERS = (64, 128, 256, 512)

# The flattened layer's name -> the module's name in the PyTorch network.
_TORCH_NAMES = {
    r"stem_convolution": "conv1",
    r"stem_batch_norm": "bn1",
    r"stage(?P<stage>\d)_block(?P<block>\d)_convolution": "layer{stage}.{block_from_0}.conv1",
    r"stage(?P<stage>\d)_block(?P<block>\d)_batch_norm": "layer{stage}.{block_from_0}.bn1",
    r"stage(?P<stage>\d)_block(?P<block>\d)_attention_squeeze": "layer{stage}.{block_from_0}.attn.fc1",
    r"stage(?P<stage>\d)_block(?P<block>\d)_attention_excite": "layer{stage}.{block_from_0}.attn.fc2",
    r"stage(?P<stage>\d)_block(?P<block>\d)_pointwise": "layer{stage}.{block_from_0}.conv2",
    r"predictions": "linear",
}


def CARNet18(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "carnet18",
    *,
    load_classifier: bool = True,
) -> keras.Model:
    """Return CARNet with two blocks in each of four stages: 653,376 parameters with 100 classes.

    A 3x3 convolution with batch norm and ReLU, eight `keras_lite.layers.GroupConvBlock`s (64, 128, 256, 512 filters;
    the first of stages 2 to 4 has stride 2), global average pooling, a dense layer. Without arguments it is the
    published network. Images go through `keras_lite.applications.carnet.preprocess_input` first.

    Source: CARNet (see `keras_lite.layers.GroupConvBlock` for where its pages and its network differ).

    Args:
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, the name of kept ones (`keras_lite.applications.list_weights`), or the
            path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)`, at least 47 x 47 pixels. Default: (244, 244, 3), or that of
            kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model.
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.CARNet18(input_shape=(96, 96, 3), classes=10).count_params()
    610278
    """
    inputs = common.image_input(
        "CARNet18",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=244,
        minimum_size=47,
        why="its convolutions are not padded, so the last would get nothing",
    )
    fan_in = 9 * inputs.shape[-1]
    x = keras.layers.Conv2D(
        STAGE_FILTERS[0],
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=pytorch_uniform(fan_in),
        name="stem_convolution",
    )(inputs)
    x = BatchNormalization(epsilon=1e-5, momentum=0.9, name="stem_batch_norm")(x)
    x = keras.layers.ReLU(name="stem_relu")(x)
    for stage, filters in enumerate(STAGE_FILTERS, start=1):
        for block in (1, 2):
            strides = 2 if stage > 1 and block == 1 else 1
            x = GroupConvBlock(filters, strides, name=f"stage{stage}_block{block}")(x)
    x = common.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def preprocess_input(x):
    """Scale RGB images in [0, 255] to [0, 1], subtract ImageNet's mean and divide by its standard deviation.

    Args:
        x: Array or tensor of shape `(..., height, width, 3)`.

    Returns:
        The images as floats, same shape. A NumPy array of floats is changed in place.

    Example:

    >>> float(preprocess_input(np.full((1, 1, 3), 255.0))[0, 0, 0])
    2.2489082969432315
    """
    return keras.applications.imagenet_utils.preprocess_input(x, data_format="channels_last", mode="torch")


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("layer1.0.attn.fc1.weight"):
        yield Call("carnet18")


register(
    Family(
        "carnet",
        {"carnet18": CARNet18},
        _TORCH_NAMES,
        guess=_guess,
        member=Call("carnet18", {"input_shape": (48, 48, 3)}),
    )
)
