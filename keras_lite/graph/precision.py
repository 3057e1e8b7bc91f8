"""Converting models of mixed precision to float32."""

from typing import Any

import keras


def in_float32(model: keras.Model) -> keras.Model:
    """Return a model that computes in float32, with the same weights; the model itself if it does already.

    Variables of mixed precision are float32 in any case; what changes are the outputs, by the rounding of 16 bits.
    TFLite files are made from, and compared with, the float32 model.

    Args:
        model: A functional or Sequential model.

    Example:

    ```python
    model = keras_lite.graph.in_float32(keras.saving.load_model("model.keras"))
    ```
    """
    if all(layer.compute_dtype in (None, "float32") for layer in model._flatten_layers()):
        return model
    converted = type(model).from_config(_as_float32(model.get_config()))
    converted.set_weights(model.get_weights())
    return converted


def _as_float32(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_as_float32, value))
    if not isinstance(value, dict):
        return value
    if str(value.get("class_name")).endswith("DTypePolicy"):
        return "float32"
    return {
        key: "float32" if key == "dtype" and _is_half(entry) else _as_float32(entry) for key, entry in value.items()
    }


def _is_half(entry: Any) -> bool:
    return isinstance(entry, str) and entry.endswith("float16")
