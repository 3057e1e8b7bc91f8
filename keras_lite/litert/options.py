"""The options of operators, from names and texts to the tables of TFLite's schema."""

import functools
from types import ModuleType
from typing import Any

import numpy as np

from keras_lite.errors import InputError, import_extra

# Kinds whose options the schema has under another name than their own.
_SHARED_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_ALL": "ReducerOptions",
    "REDUCE_ANY": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
}
# The enumeration that an option's text is of.
_ENUMERATIONS = {
    "padding": "Padding",
    "fused_activation_function": "ActivationFunctionType",
    "mode": "MirrorPadMode",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
    "quantized_bias_type": "TensorType",
    "in_data_type": "TensorType",
    "out_data_type": "TensorType",
    "output_type": "TensorType",
    "out_type": "TensorType",
}


@functools.cache
def tflite_schema() -> ModuleType:
    """Return TFLite's schema: the tables of a file as Python classes, and its enumerations."""
    return import_extra("ai_edge_litert.schema_py_generated", "litert")


def number_in(enumeration: str, text: str, what: str) -> int:
    """Return the number that a text has in an enumeration of the schema.

    Args:
        enumeration: `"BuiltinOperator"`, `"Padding"`, ...
        text: The name of one of its members.
        what: What the text is, for the error.

    Raises:
        InputError: If there is no such member.

    Example:

    >>> number_in("Padding", "VALID", "the padding of conv")
    1
    """
    members = _members(enumeration)
    if text not in members:
        listed = f"one of {', '.join(members)}" if len(members) <= 30 else f"a name of TFLite's {enumeration}"
        raise InputError(f"Expected {what} to be {listed}, received {text!r}.")
    return members[text]


@functools.cache
def _members(enumeration: str) -> dict[str, int]:
    return {name: value for name, value in vars(getattr(tflite_schema(), enumeration)).items() if name.isupper()}


@functools.cache
def _options_name(kind: str) -> str | None:
    """Return the name of a kind's options: those of CONV_2D are Conv2DOptions; None if it has none."""
    if kind in _SHARED_OPTIONS:
        return _SHARED_OPTIONS[kind]
    names = {name.lower(): name for name in vars(tflite_schema().BuiltinOptions)}
    return names.get(f"{kind.replace('_', '')}Options".lower())


def options_table(kind: str, options: dict[str, Any], name: str) -> tuple[int, Any]:
    """Return an operator's options as the schema has them: the number of their type, and the table to pack.

    Args:
        kind: The operator's kind: `"CONV_2D"`.
        options: Its options, named as in the schema in snake_case; enumerations as text. What is left out has the
            schema's default.
        name: The operator's, for errors.

    Raises:
        InputError: If the kind has no such option, or an option no such value.

    Example:

    >>> number, table = options_table("MAX_POOL_2D", {"padding": "VALID", "stride_w": 2}, "pool")
    >>> number, table.padding, table.strideW
    (5, 1, 2)
    """
    schema, table_name = tflite_schema(), _options_name(kind)
    table = getattr(schema, f"{table_name}T")() if table_name else None
    for option, value in options.items():
        first, *others = option.split("_")
        field = first + "".join(part.capitalize() for part in others)
        fields = [] if table is None else list(vars(table))
        if field not in fields:
            raise InputError(f"Expected options of {kind} in {name}, received {option!r}; it has: {_listed(fields)}.")
        if isinstance(value, str):
            if option not in _ENUMERATIONS:
                raise InputError(f"Expected a number as {option} of {name}, received {value!r}.")
            value = number_in(_ENUMERATIONS[option], value, f"the {option} of {name}")
        elif isinstance(value, list | tuple | np.ndarray):
            value = np.asarray(value, "<i4")
        setattr(table, field, value)
    return (getattr(schema.BuiltinOptions, table_name), table) if table_name else (0, None)


def _listed(fields: list[str]) -> str:
    snakes = ("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field) for field in fields)
    return ", ".join(snakes) or "none"
