"""Putting blueprint separable convolutions in the place of a model's convolutions."""

import dataclasses

import keras

from keras_lite.errors import InputError
from keras_lite.graph.cloning import clone, copy_layer
from keras_lite.graph.counts import Counts, count
from keras_lite.graph.flatten import as_functional, flatten
from keras_lite.layers import CompositeLayer, Conv2D
from keras_lite.layers.bsconv import convolution_class
from keras_lite.tables import text_table

REPLACEMENTS = ("bsconv_u", "bsconv_s")


@dataclasses.dataclass(frozen=True)
class ReplacementReport:
    """The result of a replacement; printing it gives a table.

    Attributes:
        replaced: Names of the layers that were replaced; they are the new layers' names too.
        before: The `keras_lite.graph.Counts` of the model as it was.
        after: The counts of the new model.
    """

    replaced: tuple[str, ...]
    before: Counts
    after: Counts

    def __str__(self) -> str:
        """Return a table with one line a replaced layer and the whole model's counts last."""
        rows = [("layer", "parameters", "after", "MACs", "after")]
        for name in self.replaced:
            before, after = _of_layer(self.before, name), _of_layer(self.after, name)
            rows.append((name, *(f"{n:,}" for n in (before[0], after[0], before[1], after[1]))))
        counts = (self.before.parameters, self.after.parameters, self.before.macs, self.after.macs)
        rows.append((f"{self.before.name}, all layers", *(f"{n:,}" for n in counts)))
        return text_table(rows)


def replace_convolutions(
    model: keras.Model,
    convolution: str,
    kernel_sizes: tuple[int, ...] = (3, 5),
    input_shape: tuple[int, int, int] | None = None,
    **options,
) -> tuple[keras.Model, ReplacementReport]:
    """Return a model with blueprint separable convolutions in place of its square, ungrouped convolutions.

    The new layers have the old ones' names, filters, strides, padding, dilation and bias, and start from PyTorch's
    default initialization; an activation inside an old layer becomes a layer behind the new one. All other layers keep
    their weights. Composite layers and nested models are flattened first. The given model is not changed.

    Source: Haase and Amthor, "Rethinking Depthwise Separable Convolutions", CVPR 2020 (arXiv:2003.13549).

    Args:
        model: A functional or Sequential Keras model, for example of `keras.applications`.
        convolution: `"bsconv_u"` (`keras_lite.layers.BSConvU`) or `"bsconv_s"` (`keras_lite.layers.BSConvS`).
        kernel_sizes: The kernels to replace.
        input_shape: `(height, width, channels)` to count for, if the model leaves its input's size open.
        **options: More arguments of the new layers, such as `ratio=1 / 4`, `alpha=0.1` or `batch_norm=True`.

    Returns:
        The new model, and a `ReplacementReport`.

    Raises:
        InputError: If `convolution` is neither, the model is not functional, or it has no such convolution.

    Example:

    >>> model = keras.applications.VGG16(weights=None, input_shape=(64, 64, 3), include_top=False)
    >>> smaller, report = keras_lite.graph.replace_convolutions(model, "bsconv_u")
    >>> report.before.parameters, report.after.parameters
    (14714688, 1676736)
    """
    if convolution not in REPLACEMENTS:
        raise InputError(f"Expected convolution to be one of {REPLACEMENTS}, received {convolution!r}.")
    model = as_functional(model)
    if any(isinstance(layer, CompositeLayer | keras.Model) for layer in model.layers):
        model = flatten(model)
    replaced = tuple(layer.name for layer in model.layers if _is_replaceable(layer, kernel_sizes))
    if not replaced:
        sizes = " or ".join(f"{size}x{size}" for size in kernel_sizes)
        raise InputError(
            f"Expected a model with ungrouped {sizes} convolutions, received {model.name}, which has none."
        )
    new = _rebuild(model, set(replaced), convolution, options)
    return new, ReplacementReport(replaced, count(model, input_shape), count(new, input_shape))


def _is_replaceable(layer: keras.layers.Layer, kernel_sizes: tuple[int, ...]) -> bool:
    return (
        type(layer) in (keras.layers.Conv2D, Conv2D)
        and layer.groups == 1
        and layer.kernel_size[0] == layer.kernel_size[1]
        and layer.kernel_size[0] in kernel_sizes
        and layer.strides[0] == layer.strides[1]
        and layer.dilation_rate[0] == layer.dilation_rate[1]
        and layer.data_format == "channels_last"
    )


def _rebuild(model: keras.Model, replaced: set[str], convolution: str, options: dict) -> keras.Model:
    activations = {}

    def copy(layer):
        if layer.name not in replaced:
            return copy_layer(layer)
        if layer.activation is not keras.activations.linear:
            activations[layer.name] = keras.layers.Activation(
                layer.activation, dtype=layer.dtype_policy, name=f"{layer.name}_activation"
            )
        return convolution_class(convolution)(
            layer.filters,
            layer.kernel_size[0],
            layer.strides[0],
            padding=layer.padding,
            dilation_rate=layer.dilation_rate[0],
            use_bias=layer.use_bias,
            dtype=layer.dtype_policy,
            name=layer.name,
            **options,
        )

    def call(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        return activations[layer.name](outputs) if layer.name in activations else outputs

    return clone(model, call, copy, new=replaced)


def _of_layer(counts: Counts, name: str) -> tuple[int, int]:
    """Return the parameters and multiply-accumulates of a layer, or of the stock layers that it was flattened into."""
    layers = [
        x for x in counts.layers if x.name == name or x.name.startswith((f"{name}_pointwise", f"{name}_depthwise"))
    ]
    return sum(x.parameters for x in layers), sum(x.macs for x in layers)
