"""What the numbers at the end of a model mean, as far as its last layer tells."""

import keras

from keras_lite.errors import InputError


def output_of(flat: keras.Model) -> str:
    """Return what a model answers, as `keras_lite.data.ModelInfo.output` names it.

    A softmax over several classes gives `"probabilities"`, a sigmoid `"sigmoid"`; several numbers without either are
    `"logits"`, one is a `"regression"`, and so is a softmax of one class, which is always 1. A vector of length 1
    (`UnitNormalization`) is an `"embedding"`. Other embeddings can't be told from logits: `ModelInfo` says so.

    Args:
        flat: A flattened model with one output.

    Raises:
        InputError: If the model has several outputs.

    Example:

    >>> inputs = keras.Input((4,))
    >>> output_of(keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs)))
    'sigmoid'
    """
    if len(flat.outputs) != 1:
        raise InputError(f"Expected a model with one output, received {len(flat.outputs)} outputs.")
    [output] = flat.outputs
    last = output._keras_history.operation
    kind = type(last).__name__
    activation = getattr(last, "activation", None)
    name = (
        "softmax" if kind == "Softmax" else "linear" if activation is None else keras.activations.serialize(activation)
    )
    if name == "sigmoid":
        return "sigmoid"
    if kind == "UnitNormalization":
        return "embedding"
    if output.shape[-1] == 1:
        return "regression"
    return "probabilities" if name == "softmax" else "logits"
