"""Layers that can't be converted to TFLite: why, and what to use instead."""

from collections.abc import Container

import keras

from keras_lite.errors import InputError

_NO_COUNTERPART = "there are no operators for it; write layers of keras.layers for images or sequences"
_ARITHMETIC = "there is no stock layer for it; write Add, Multiply, Rescaling or a layer of keras.layers"
_SEQUENCE = "it reads sequences, which this package does not export; write convolutions"
_PRODUCTS = "it multiplies activations with each other, for which XNNPACK has no int8 operator; write convolutions"
_NORM = "it takes its mean and deviation from the image at hand, for which XNNPACK has no int8 operator; write {}"
# For layers that only training by TF-MOT lacks: files hold them.
_TF_MOT = "TF-MOT trains no such layer; quantize by keras_lite.quantization.post_training, or write {}"

_REFUSALS = {
    "AdditiveAttention": _PRODUCTS,
    "Attention": _PRODUCTS,
    "Average": _TF_MOT.format("Add, and Rescaling(0.5) behind it"),
    "Conv1D": _TF_MOT.format("Conv2D with a kernel of (1, size)"),
    "Conv2DTranspose": _TF_MOT.format("UpSampling2D and Conv2D"),
    "Dot": _ARITHMETIC,
    "ELU": _TF_MOT.format("ReLU, or Activation('hard_silu')"),
    "GRU": _SEQUENCE,
    "GetItem": _TF_MOT.format(
        "Cropping2D, keras_lite.layers.ChannelSlice, or, to swap colors, read the images in the order that the first "
        "convolution wants"
    ),
    "GroupNormalization": _NORM.format("BatchNormalization"),
    "LSTM": _SEQUENCE,
    "Lambda": "its Python code can't be carried over; write a layer of keras.layers or functions of keras.ops",
    "LayerNormalization": _NORM.format("BatchNormalization"),
    "Maximum": _TF_MOT.format("Add, or Concatenate and a convolution"),
    "Minimum": _TF_MOT.format("Add, or Concatenate and a convolution"),
    "MultiHeadAttention": _PRODUCTS,
    "PReLU": _TF_MOT.format("ReLU or LeakyReLU"),
    "RMSNormalization": _NORM.format("BatchNormalization"),
    "Resizing": "TF-MOT trains no such layer; quantize by keras_lite.quantization.post_training, or resize the images "
    "before the model",
    "SpectralNormalization": "it changes weights while training; write the layer that it wraps",
    "Stack": _TF_MOT.format("Concatenate and Reshape"),
    "TimeDistributed": _SEQUENCE,
    "UnitNormalization": "XNNPACK has no int8 operator for it; leave it out, or put it at the model's end",
}


def refused(name: str, kind: str, why: str, precision: str = "") -> InputError:
    """Return the error for a layer that can't be converted.

    Args:
        name: The layer's.
        kind: Its type.
        why: Why it can't, and what to write instead, with a semicolon between.
        precision: Of the file, if the others hold it: `"int8"`.
    """
    file = f"{'an' if precision else 'a'} {precision}{' ' if precision else ''}file for the phone"
    return InputError(f"Expected layers that {file} can hold, received layer {name} of type {kind}: {why}.")


def refusal(kind: str, is_layer: bool = True) -> str:
    """Return why a layer, or an operation that is none, of a type can't be carried, and what to write instead."""
    return _REFUSALS.get(kind, _NO_COUNTERPART if is_layer else _ARITHMETIC)


def check_layer(
    layer: keras.layers.Layer, kinds: Container[str], name: str | None = None, stock_class: type | None = None
) -> None:
    """Check that a layer is of one of some types, and Keras' or ours.

    Args:
        layer: The layer.
        kinds: Names of the types.
        name: What it is called in the message; None: its own name.
        stock_class: The class of the stock layer that it stands for; None: its own class.

    Raises:
        InputError: If not; the message names the layer, and what to write instead.
    """
    stock_class, name = stock_class or type(layer), name or layer.name
    kind = stock_class.__name__
    # A user's own class may bear the name of a stock layer.
    if kind not in kinds or not stock_class.__module__.startswith(("keras.", "keras_lite.")):
        why = refusal(kind) if kind not in kinds else "it is another class of that name; write the stock one"
        raise refused(name, kind, why)
    if getattr(layer, "data_format", None) == "channels_first":
        raise InputError(f"Expected channels_last layers, received {name} ({kind}) with channels_first.")
    if mode := getattr(layer, "quantization_mode", None):
        raise refused(name, kind, f"it was made by Keras' own quantize({mode!r}); give the model from before that")
