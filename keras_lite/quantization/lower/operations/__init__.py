"""Functions of `keras.ops` as operators."""
