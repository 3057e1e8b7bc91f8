"""A tf_keras model whose layers TF-MOT has wrapped, and that computes as the int8 file will."""

import re
from typing import Any

import keras

from keras_lite.errors import InputError, import_extra
from keras_lite.graph import flatten
from keras_lite.graph.dead_channels import mend_dead_channels
from keras_lite.graph.refusals import refusal
from keras_lite.graph.rewriting import rewrite
from keras_lite.quantization.aware.tf_mot.int8_layers import int8_classes
from keras_lite.quantization.aware.tf_mot.preparation import preparation_builders
from keras_lite.quantization.aware.tf_mot.to_tf_keras import default_builders, rebuild

_FINETUNED = "keras_lite_finetuned"


def wrap(model: keras.Model, verbose: int = 0) -> Any:
    """Return a tf_keras model with weights and activations rounded to 8 bits by TF-MOT.

    The model is flattened and rewritten (see `keras_lite.graph.rewriting`), its dead channels are mended (see
    `keras_lite.graph.dead_channels`), it is carried to tf_keras, prepared where an int8 operator would be missing (see
    `keras_lite.quantization.aware.tf_mot.preparation`), and given fake quantization by TF-MOT. Its activation ranges
    mean nothing until `keras_lite.quantization.calibrate` has seen images.

    Args:
        model: A functional or Sequential Keras 3 model with one input and one output, on any backend. It is not
            changed.
        verbose: 1 prints which channels were mended.

    Returns:
        A functional `tf_keras.Model` that takes the same float images and answers logits: a softmax at the end of
        `model` is dropped. `predict` answers in floats what an int8 file of it answers, but for sums that lie next to
        halfway between two steps; `keras_lite.litert.IntegerModel` rounds those as the file does.

    Raises:
        InputError: If a layer can't be quantized; the message names it.
        MissingExtraError: If TF-MOT or tf_keras is not installed.
    """
    tf_keras = import_extra("tf_keras", "quantization")
    quantization = import_extra("tensorflow_model_optimization", "quantization").quantization.keras
    flat = rewrite(flatten(model))
    mended = mend_dead_channels(flat)
    if mended and verbose:
        print(f"mended dead channels in {'; '.join(mended)}")
    twin = rebuild(flat, {**default_builders(), **preparation_builders(flat)}, tf_keras)
    with quantization.quantize_scope(vars(int8_classes())):
        try:
            quantized = quantization.quantize_apply(quantization.quantize_annotate_model(twin))
        except RuntimeError as error:
            # TF-MOT: "Layer name:<class 'tf_keras...Kind'> is not supported. You can quantize this layer by ..."
            found = re.search(r"Layer (.+):<class '[\w.]*\.(\w+)'> is not supported", str(error))
            if found is None:
                raise
            raise InputError(
                f"Expected layers that can be quantized, received layer {found[1]} of type {found[2]}: "
                f"{refusal(found[2])}."
            ) from error
    _round_once(quantized)
    _cut_off_by_rounding(quantized)
    _tell_constants_apart(quantized)
    _keep_constants(quantized)
    return quantized


def _round_once(quantized: Any) -> None:
    """Leave what only goes into a concatenation to the rounding behind that: its inputs must share their range."""
    # From the end: a concatenation inside another one takes that one's range.
    for wrapper in reversed(quantized.layers):
        if not _is_concatenation(wrapper):
            continue
        for tensor in wrapper.input:
            maker = tensor._keras_history.layer
            rounds = getattr(maker, "_output_quantizers", None)
            if len(maker._outbound_nodes) != 1 or not rounds or _has_own_range(maker):
                continue
            if _is_concatenation(maker):
                # Without one the converter would give it that of any of its inputs, and cut the others off.
                maker._output_quantizers = [int8_classes().SharedRange()]
                maker._output_quantizer_vars = wrapper._output_quantizer_vars
            else:
                maker._output_quantizers = []


def _is_concatenation(wrapper: Any) -> bool:
    return type(getattr(wrapper, "layer", None)).__name__ == "PlainConcatenate"


def _has_own_range(wrapper: Any) -> bool:
    """Whether a layer is a sigmoid, whose operator answers in steps of 1/256 wherever it stands."""
    [quantizer] = wrapper._output_quantizers
    return type(wrapper.layer).__name__ == "Activation" and type(quantizer).__name__ == "FixedRange"


def _cut_off_by_rounding(quantized: Any) -> None:
    """Give a ReLU with a highest value the range that ends there: XNNPACK's operators take none but ReLU and ReLU6."""
    for wrapper in quantized.layers:
        layer = getattr(wrapper, "layer", None)
        if type(layer).__name__ == "ReLU" and layer.max_value not in (None, 6.0):
            wrapper._output_quantizers = [int8_classes().FixedRange(0.0, float(layer.max_value))]
            layer.max_value = None


def _tell_constants_apart(quantized: Any) -> None:
    """Number the layers that multiply by a constant, which the converter must not take for one another."""
    constants = [wrapper.layer for wrapper in quantized.layers if hasattr(getattr(wrapper, "layer", None), "place")]
    for place, layer in enumerate(constants):
        layer.place = place


def is_finetuned(model: Any) -> bool:
    """Whether `keras_lite.quantization.finetune` has trained a quantized model."""
    return getattr(model, _FINETUNED, False)


def mark_finetuned(quantized: Any) -> None:
    """Have `is_finetuned` answer yes."""
    setattr(quantized, _FINETUNED, True)


def _keep_constants(quantized: Any) -> None:
    """Keep training from the kernels of layers that are not trainable: TF-MOT's wrapper trains each that it rounds."""
    for wrapper in quantized.layers:
        if hasattr(wrapper, "quantize_config") and not wrapper.layer.trainable:
            wrapper._non_trainable_weights.extend(wrapper._trainable_weights)
            wrapper._trainable_weights.clear()


def is_wrapped(model: Any) -> bool:
    """Whether `model` is a tf_keras model that `wrap` made."""
    return not isinstance(model, keras.Model) and any(
        type(layer).__name__.startswith("Quantize") for layer in getattr(model, "layers", [])
    )
