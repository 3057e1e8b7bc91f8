"""The pre-activation ResNet18 without pooling in its stem: the baseline of CARNet's table.

Source: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016 (arXiv:1603.05027), in the form that CARNet
compares itself with.
"""

import os
from collections.abc import Iterator

import keras

from keras_lite.applications import carnet, common
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.layers import BatchNormalization
from keras_lite.layers.initializers import pytorch_uniform

STAGE_FILTERS = (64, 128, 256, 512)

# The flattened layer's name -> the module's name in the PyTorch network.
_TORCH_NAMES = {
    r"stem_convolution": "conv1",
    r"stem_batch_norm": "bn1",
    r"stage(?P<stage>\d)_block(?P<block>\d)_batch_norm(?P<unit>\d)": "layer{stage}.{block_from_0}.bn{unit}",
    r"stage(?P<stage>\d)_block(?P<block>\d)_convolution(?P<unit>\d)": "layer{stage}.{block_from_0}.conv{unit}",
    r"stage(?P<stage>\d)_block(?P<block>\d)_shortcut": "layer{stage}.{block_from_0}.shortcut.0",
    r"predictions": "linear",
}

preprocess_input = carnet.preprocess_input


def ResNet18(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str = "resnet18",
    *,
    load_classifier: bool = True,
) -> keras.Model:
    """Return ResNet18 of pre-activation blocks, CARNet's baseline: 11,217,444 parameters with 100 classes.

    A 3x3 convolution with batch norm and ReLU and no pooling; four stages of two blocks (batch norm, ReLU, 3x3
    convolution, twice); global average pooling, a dense layer. Quirks of the published network: the stem has a batch
    norm and ReLU of its own before the first block's, nothing follows the last addition, and where shape changes the
    shortcut is a bare 1x1 convolution of the block's first activation.

    Source: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016 (arXiv:1603.05027).

    Args:
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, the name of kept ones (`keras_lite.applications.list_weights`), or the
            path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)`. Default: (244, 244, 3), or that of kept weights.
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

    >>> keras_lite.applications.ResNet18(input_shape=(96, 96, 3)).output_shape
    (None, 100)
    """
    inputs = common.image_input(
        "ResNet18",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=244,
        minimum_size=1,
        why="there must be a pixel",
    )
    x = _convolution(inputs, STAGE_FILTERS[0], 3, strides=1, name="stem_convolution")
    x = _batch_norm_relu(x, "stem_batch_norm", "stem_relu")
    for stage, filters in enumerate(STAGE_FILTERS, start=1):
        for block in (1, 2):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(x, filters, strides, f"stage{stage}_block{block}")
    x = common.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def _block(x, filters: int, strides: int, name: str):
    activated = _batch_norm_relu(x, f"{name}_batch_norm1", f"{name}_relu1")
    if strides != 1 or x.shape[-1] != filters:
        x = _convolution(activated, filters, 1, strides=strides, name=f"{name}_shortcut")
    y = _convolution(activated, filters, 3, strides=strides, name=f"{name}_convolution1")
    y = _batch_norm_relu(y, f"{name}_batch_norm2", f"{name}_relu2")
    y = _convolution(y, filters, 3, strides=1, name=f"{name}_convolution2")
    return keras.layers.Add(name=f"{name}_add")([y, x])


def _batch_norm_relu(x, batch_norm_name: str, relu_name: str):
    x = BatchNormalization(epsilon=1e-5, momentum=0.9, name=batch_norm_name)(x)
    return keras.layers.ReLU(name=relu_name)(x)


def _convolution(x, filters: int, kernel_size: int, *, strides: int, name: str):
    if kernel_size > 1 and strides > 1:
        # Padding on both sides, as published; Keras' "same" would pad an even size on one side only.
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_padding")(x)
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="valid" if strides > 1 else "same",
        use_bias=False,
        kernel_initializer=pytorch_uniform(kernel_size**2 * x.shape[-1]),
        name=name,
    )(x)


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("layer1.0.conv1.weight") and not names.shape("layer1.0.attn.fc1.weight"):
        # Without a shortcut torchvision's ResNet is likelier.
        yield Call("resnet18", is_likely=names.shape("layer2.0.shortcut.0.weight") is not None)


register(
    Family(
        "preactivation_resnet",
        {"resnet18": ResNet18},
        _TORCH_NAMES,
        guess=_guess,
        member=Call("resnet18"),
    )
)
