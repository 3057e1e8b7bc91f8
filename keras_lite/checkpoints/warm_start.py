"""Starting a variant of a network from the weights of its plain form."""

import dataclasses
import os
import re

import keras

from keras_lite.checkpoints.keras_files import load_model
from keras_lite.checkpoints.torch_mapping import leaves
from keras_lite.errors import InputError


@dataclasses.dataclass(frozen=True)
class WarmStart:
    """The result of `warm_start`.

    Attributes:
        taken: Names of the layers that got the source's weights.
        anew: Names of the layers that keep their random weights.
        parameters_taken: Number of weights in the layers of `taken`.
        parameters_anew: Number of weights in the layers of `anew`.
    """

    taken: list[str]
    anew: list[str]
    parameters_taken: int
    parameters_anew: int

    def __str__(self) -> str:
        names = f": {', '.join(self.anew)}" if self.anew else ""
        return (
            f"{len(self.taken)} layers with {self.parameters_taken:,} parameters taken, "
            f"{len(self.anew)} layers with {self.parameters_anew:,} start anew{names}"
        )


def warm_start(model: keras.Model, source: keras.Model | str | os.PathLike, verbose: int = 0) -> WarmStart:
    """Give a model the weights of another one wherever layers coincide by role and shape.

    The role of a layer is its name in the flattened network; what the plain stem and the hybrid one call differently
    is the same role. So a network with hybrid stem, padding-free downsampling or another number of classes starts
    from its plain form.

    Args:
        model: The model that gets weights, flattened or not.
        source: The model that they are from, or a `.keras` file.
        verbose: 1 prints what it returns.

    Returns:
        What was taken and what starts anew.

    Raises:
        InputError: If the file can't be read, or nothing coincides.

    Example:

    ```python
    plain = keras_lite.applications.MobileNetV3Large(weights="mobilenet_v3_large-5c1a4163.pth")
    model = keras_lite.applications.MobileNetV3Large(stem="hybrid", downsampling="padding_free", classes=10)
    keras_lite.checkpoints.warm_start(model, plain)
    ```
    """
    if not isinstance(source, keras.Model):
        source = load_model(source)
    available = {_role(name): layer for name, layer in leaves(source) if layer.weights}
    pairs, anew = {}, {}
    for name, layer in leaves(model):
        if not layer.weights:
            continue
        other = available.get(_role(name))
        fits = other is not None and [w.shape for w in other.weights] == [w.shape for w in layer.weights]
        (pairs if fits else anew)[name] = (layer, other)
    if not pairs:
        raise InputError(f"Expected a source with layers of {model.name}, received {source.name}, which has none.")
    for layer, other in pairs.values():
        layer.set_weights(other.get_weights())
    result = WarmStart(
        list(pairs),
        list(anew),
        sum(layer.count_params() for layer, _ in pairs.values()),
        sum(layer.count_params() for layer, _ in anew.values()),
    )
    if verbose:
        print(result)
    return result


def _role(name: str) -> str:
    name = re.sub(r"^(hybrid|preactivation)_stem_", "stem_", name)
    return "stem_batch_norm" if name == "stem_convolution_batch_norm" else name
