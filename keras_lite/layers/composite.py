"""The base of layers that are made of stock Keras layers, and so can be flattened into them."""

import keras


class CompositeLayer(keras.layers.Layer):
    """Base of layers whose `call` does nothing but call stock sublayers, each with a fixed name.

    `keras_lite.graph.flatten` inlines such a layer: it calls `call` on symbolic tensors, so that only the sublayers are
    left in the graph. A subclass must therefore use layers such as `keras.layers.Add` instead of operators between
    tensors. Only if `is_tensorflow(inputs)` may it compute the same in a faster way.

    Subclasses create their sublayers in `build` with `self._add(...)`.

    Attributes:
        sublayers: The sublayers, in the order in which they were created.
        stock: If set to `True` before the layer is built, sublayers are Keras' own wherever there is an equivalent
            (`to_stock`). Flattening sets it.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.sublayers: list[keras.layers.Layer] = []
        self.stock = False

    def _add(self, layer_class: type[keras.layers.Layer], name: str, **arguments) -> keras.layers.Layer:
        """Create a sublayer that computes in this layer's dtype, and keep it in `sublayers`."""
        layer = layer_class(name=name, dtype=self.dtype_policy, **arguments)
        if self.stock and hasattr(layer, "to_stock"):
            layer = layer.to_stock()
        elif isinstance(layer, CompositeLayer):
            layer.stock = self.stock
        self.sublayers.append(layer)
        return layer

    def get_config(self):
        """Return the arguments that make the layer again."""
        return super().get_config()  # without a method of its own Keras refuses a layer that got a dtype policy

    def _build_in_sequence(self, layers: list[keras.layers.Layer], shape: tuple) -> tuple:
        """Build layers that follow one another; return the shape behind the last."""
        for layer in layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        return shape

    @staticmethod
    def _apply(layers: list[keras.layers.Layer], inputs):
        """Call layers one after another."""
        for layer in layers:
            inputs = layer(inputs)
        return inputs


def is_tensorflow(inputs) -> bool:
    """Return whether a layer's inputs are TensorFlow tensors, and not symbolic tensors of Keras."""
    return keras.backend.backend() == "tensorflow" and not any(map(keras.backend.is_keras_tensor, inputs))
