"""Lookahead, around any Keras optimizer."""

import keras
from keras import ops

from keras_lite.errors import InputError


@keras.saving.register_keras_serializable("keras_lite")
class Lookahead(keras.optimizers.Optimizer):
    """Lookahead optimizer: every few steps it pulls the weights back, towards where they were a few steps ago.

    The wrapped optimizer moves the model's own, fast weights. Slow weights follow them: at each synchronization

    ```text
    slow = slow + slow_step_size * (fast - slow)
    fast = slow
    ```

    The phase is that of the published runs. Slow weights begin as the weights after the first step, and
    synchronizations follow every `sync_period` steps from there: after the steps 6, 11, 16 and so on for a period of 5.
    In the paper's algorithm they begin as the initial weights, and are synchronized after the steps 5, 10, 15.

    The wrapped optimizer keeps its velocity at a synchronization. Its options hold as without Lookahead: clipping,
    decay, schedule, and accumulation of gradients, where a step is one in which the weights move. An average of weights
    (`use_ema`) is one of fast weights, before they are pulled back. Loss scaling goes outside:
    `keras.optimizers.LossScaleOptimizer(Lookahead(optimizer))`, which Keras itself does for mixed precision.

    Source: Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", NeurIPS 2019 (arXiv:1907.08610).

    Args:
        optimizer: The optimizer to wrap.
        sync_period: Steps from one synchronization to the next; k in the paper.
        slow_step_size: Share of the way to the fast weights that the slow ones go, above 0 and up to 1; alpha in the
            paper.
        name: Name of the optimizer.

    Raises:
        InputError: If an argument is not one of those above, or the optimizer scales the loss.

    Example:

    ```python
    optimizer = Lookahead(SGD(0.1, momentum=0.9, l2_regularization=5e-4, clipvalue=0.1))
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    ```
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        sync_period: int = 5,
        slow_step_size: float = 0.5,
        name: str | None = None,
    ) -> None:
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise InputError(f"Expected optimizer to be a keras.optimizers.Optimizer, received {optimizer!r}.")
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.loss_scale_factor is not None:
            raise InputError(
                "Expected an optimizer that does not scale the loss, received one that does: "
                "write LossScaleOptimizer(Lookahead(optimizer))."
            )
        if not isinstance(sync_period, int) or sync_period < 1:
            raise InputError(f"Expected sync_period to be a positive integer, received {sync_period!r}.")
        if not isinstance(slow_step_size, int | float) or not 0 < slow_step_size <= 1:
            raise InputError(f"Expected slow_step_size to be above 0 and up to 1, received {slow_step_size!r}.")
        # A callable, so that there is no variable of a learning rate beside the wrapped optimizer's.
        super().__init__(learning_rate=lambda: optimizer.learning_rate, name=name)
        # Callbacks of Keras know a wrapper by the name of this attribute.
        self.inner_optimizer = optimizer
        self.sync_period = sync_period
        self.slow_step_size = slow_step_size

    @property
    def variables(self):
        """The count of steps, the slow weights, and the variables of the wrapped optimizer."""
        return super().variables + self.inner_optimizer.variables

    @property
    def learning_rate(self):
        """The learning rate of the wrapped optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self):
        """The number of steps that the wrapped optimizer counts."""
        return self.inner_optimizer.iterations

    def build(self, variables):
        """Create the variables for those of a model."""
        if self.built:
            return
        super().build(variables)
        self.inner_optimizer.build(variables)
        self.slow_weights = self.add_optimizer_variables(variables, "slow")

    def apply(self, grads, trainable_variables=None):
        """Update the variables by their gradients, and synchronize when it is time."""
        if not self.built and trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            self.build(trainable_variables)
        self.inner_optimizer.apply(grads, trainable_variables)
        # Steps in which gradients are only accumulated do not count.
        steps_per_update = self.inner_optimizer.gradient_accumulation_steps or 1
        period = self.sync_period * steps_per_update
        step = ops.add(self._iterations, 1)
        is_synchronized = ops.equal(ops.mod(step, period), steps_per_update % period)
        # The first time the slow weights, which are zeros before, go all the way.
        step_size = ops.where(ops.equal(step, steps_per_update), 1.0, self.slow_step_size)
        step_size = ops.where(is_synchronized, step_size, 0.0)
        self._for_each_replica(self._synchronize, step_size, is_synchronized)
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list):
        """Let the wrapped optimizer set the final values."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self):
        """Return the arguments that make the optimizer again."""
        return {
            "optimizer": keras.saving.serialize_keras_object(self.inner_optimizer),
            "sync_period": self.sync_period,
            "slow_step_size": self.slow_step_size,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the optimizer that `get_config` described."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects=custom_objects)
        return cls(**{**config, "optimizer": optimizer})

    def _synchronize(self, fast, slow, step_size, is_synchronized):
        # Tensors, since JAX's `where` takes no variables.
        fast_value, slow_value = ops.convert_to_tensor(fast), ops.convert_to_tensor(slow)
        way = ops.multiply(ops.subtract(fast_value, slow_value), ops.cast(step_size, slow.dtype))
        slow_value = ops.add(slow_value, way)
        self.assign(slow, slow_value)
        self.assign(fast, ops.where(is_synchronized, slow_value, fast_value))

    def _for_each_replica(self, update, *arguments):
        """Call `update(fast, slow, *arguments)` for all weights, on TensorFlow where a strategy wants it done."""
        pairs = [pair for pair in zip(self._trainable_variables, self.slow_weights, strict=True) if pair[1] is not None]
        if keras.backend.backend() != "tensorflow":
            for fast, slow in pairs:
                update(fast, slow, *arguments)
            return
        import tensorflow

        def update_all(strategy, *arguments):
            for pair in pairs:
                fast, slow = (each.value if isinstance(each, keras.Variable) else each for each in pair)
                strategy.extended.update(fast, update, args=(slow, *arguments), group=False)

        # The way that Keras' own optimizers take.
        tensorflow.__internal__.distribute.interim.maybe_merge_call(
            update_all, tensorflow.distribute.get_strategy(), *arguments
        )
