"""Models that resize their input themselves."""

import dataclasses

import keras

from keras_lite.errors import InputError
from keras_lite.graph.cloning import clone
from keras_lite.graph.flatten import flatten
from keras_lite.graph.view import walk

# Keras' own kinds that a photo can be scaled by before the model, and what they are called there.
_INTERPOLATIONS = {"bilinear": "bilinear_no_antialias", "nearest": "nearest"}


@dataclasses.dataclass(frozen=True)
class Resized:
    """The resizing at a model's input.

    Args:
        image_size: Height and width that it resizes to.
        interpolation: As `keras_lite.data.Preprocessing` names it.
        keep_aspect: Whether the middle is cut out of what is longer.
    """

    image_size: tuple[int, int]
    interpolation: str
    keep_aspect: bool


def without_resizing(model: keras.Model) -> tuple[keras.Model, Resized | None]:
    """Return a model that takes images of any size without its `Resizing` layer, for images of that layer's size.

    Args:
        model: A functional or Sequential model.

    Returns:
        The model, flattened, and how it resized its input; or `model` itself and None where it takes images of one
        size, or resizes none.

    Raises:
        InputError: If it resizes in a way that photos can't be scaled by before it.

    Example:

    >>> inputs = keras.Input((None, None, 3))
    >>> model, resized = without_resizing(keras.Model(inputs, keras.layers.Resizing(8, 8)(inputs)))
    >>> resized.interpolation
    'bilinear_no_antialias'
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Resizing)]
    inputs = getattr(model, "inputs", None) or []
    if len(layers) != 1 or len(inputs) != 1 or None not in inputs[0].shape[1:3]:
        return model, None
    flat = flatten(model)
    # What stands before it may scale and shift pixels, which can as well be done behind it.
    scaling = (keras.layers.Rescaling, keras.layers.Normalization)
    for layer, _, _ in walk(flat):
        if not isinstance(layer, scaling):
            break
    if not isinstance(layer, keras.layers.Resizing):
        return model, None
    if layer.interpolation not in _INTERPOLATIONS or getattr(layer, "pad_to_aspect_ratio", False):
        how = "with padding" if getattr(layer, "pad_to_aspect_ratio", False) else f"by {layer.interpolation}"
        raise InputError(
            f"Expected a model that resizes its input by {' or '.join(_INTERPOLATIONS)}, received layer {layer.name}, "
            f"which does so {how}; leave it out and resize the images before the model."
        )
    size = (layer.height, layer.width)
    rest = clone(
        flat,
        lambda each, *args, **kwargs: args[0] if each.name == layer.name else each(*args, **kwargs),
        input_shapes=[(*size, inputs[0].shape[3])],
    )
    return rest, Resized(size, _INTERPOLATIONS[layer.interpolation], layer.crop_to_aspect_ratio)
