"""An exponential moving average of the weights, used in place of them wherever a model is judged or kept."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


class AveragedWeights(keras.callbacks.Callback):
    """Callback that validates with the moving average of the weights that the optimizer keeps (`use_ema`).

    Unlike `keras.callbacks.SwapEMAWeights` it gives back the weights to the last bit, so that a run resumes exactly. An
    optimizer with `gradient_accumulation_steps=n` averages n times an update: give it the n-th root of the momentum.

    Source: B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.

    Args:
        model: The compiled model.

    Example:

    ```python
    average = AveragedWeights(model)
    model.fit(batches, validation_data=validation, callbacks=[average])
    with average.in_place():
        model.save("model.keras")
    ```
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        optimizer = model.optimizer
        averaging = getattr(optimizer, "inner_optimizer", optimizer)
        self._pairs = lambda: zip(
            averaging._trainable_variables, averaging._model_variables_moving_average, strict=True
        )
        # A run takes many calls of `fit`; at the end of each Keras would put the average in place of the weights.
        optimizer.finalize_variable_values = lambda variables: None

    def on_test_begin(self, logs: Any = None) -> None:
        """Put the average in place."""
        self._swap()

    def on_test_end(self, logs: Any = None) -> None:
        """Put the weights back."""
        self._swap()

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in place of the weights inside a `with` block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def get_state(self) -> dict[str, Any]:
        """Return nothing: the average is part of the optimizer's state."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""

    def _swap(self) -> None:
        for weights, average in self._pairs():
            values = keras.ops.convert_to_numpy(weights).copy()
            weights.assign(average)
            average.assign(values)
