"""Stochastic gradient descent in the form that the published runs used."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_lite.errors import InputError, import_extra


@keras.saving.register_keras_serializable("keras_lite")
class SGD(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum and L2 regularization, as PyTorch's `torch.optim.SGD` defines it.

    For a variable `w` with the gradient `g`, clipped first if asked for:

    ```text
    g = g + l2_regularization * w
    velocity = momentum * velocity + g
    w = w - learning_rate * (g + momentum * velocity if nesterov else velocity)
    ```

    It differs from `keras.optimizers.SGD` in two ways:

    - The decay of the weights is part of the gradient, so momentum accumulates it. Keras' `weight_decay` is decoupled:
      it takes `learning_rate * weight_decay * w` off the weights, past the momentum. It is refused here.
    - The learning rate multiplies the velocity at the time of the step. Keras accumulates gradients that are multiplied
      already, so after a change of the rate its velocity goes on at the old one for a while.

    All trainable variables decay, also biases and those of batch normalization, as in the published runs; `excluded`,
    or `exclude_from_weight_decay`, takes some out. Unlike Keras' optimizers a saved one remembers which.

    Sources: Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013;
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019 (arXiv:1711.05101), on the difference
    between L2 regularization and weight decay.

    Args:
        learning_rate: The rate as a float, a `keras.optimizers.schedules.LearningRateSchedule`, or a callable.
        momentum: Share of the velocity that is kept from step to step, from 0 to 1.
        nesterov: Whether to use Nesterov momentum.
        l2_regularization: Factor of the weights that is added to their gradient; PyTorch calls it `weight_decay`.
        excluded: Variables that do not decay: paths, such as `"head/bias"`, or regular expressions that are searched in
            names, such as `"bias"`.
        **kwargs: Further arguments of `keras.optimizers.Optimizer` but `weight_decay`. `clipvalue`, `clipnorm` and
            `global_clipnorm` clip the gradient before the regularization is added to it.

    Raises:
        InputError: If `l2_regularization` is negative, `weight_decay` is given, or Nesterov lacks a momentum.
        ValueError: If Keras refuses another argument.

    Example:

    ```python
    optimizer = SGD(0.1, momentum=0.9, l2_regularization=5e-4, clipvalue=0.1)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    ```
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | Callable = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2_regularization: float = 0.0,
        excluded: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        if kwargs.get("weight_decay") is not None:
            raise InputError(
                "Expected l2_regularization, which is added to the gradient, received weight_decay, "
                "which Keras takes off the weights apart from the gradient."
            )
        if not isinstance(l2_regularization, int | float) or not 0 <= l2_regularization < float("inf"):
            raise InputError(f"Expected l2_regularization to be 0 or more, received {l2_regularization!r}.")
        if nesterov and not momentum:
            raise InputError(f"Expected a momentum above 0 with nesterov=True, received {momentum!r}.")
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, **kwargs)
        self.l2_regularization = l2_regularization
        self.excluded = tuple(excluded)
        if self.excluded:
            super().exclude_from_weight_decay(var_names=list(self.excluded))

    def exclude_from_weight_decay(
        self, var_list: Sequence[keras.Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Set `excluded` to the paths of variables and to names, before the optimizer is built."""
        super().exclude_from_weight_decay(var_list, var_names)
        self.excluded = (*(variable.path for variable in var_list or ()), *(var_names or ()))

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the velocities of variables, and find those that do not decay by their paths."""
        super().build(variables)
        found = {self._var_key(variable) for variable in variables if variable.path in self.excluded}
        if found:
            self._exclude_from_weight_decay |= found
            self._exclude_from_weight_decay_cache = {}

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable by its clipped gradient."""
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        if self.l2_regularization and self._use_weight_decay(variable):
            gradient = ops.add(gradient, ops.multiply(variable, self.l2_regularization))
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            if keras.backend.backend() == "tensorflow":
                # One kernel in place of five operations, each of which reads and writes the whole variable.
                import_extra("tensorflow", "tensorflow").raw_ops.ResourceApplyMomentum(
                    var=variable.handle,
                    accum=velocity.value.handle,
                    lr=learning_rate,
                    grad=gradient,
                    momentum=ops.cast(self.momentum, variable.dtype),
                    use_nesterov=self.nesterov,
                )
                return
            new_velocity = ops.add(ops.multiply(velocity, self.momentum), gradient)
            self.assign(velocity, new_velocity)
            gradient = ops.add(gradient, ops.multiply(new_velocity, self.momentum)) if self.nesterov else new_velocity
        self.assign_sub(variable, ops.multiply(gradient, learning_rate))

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if keras.backend.backend() == "torch":
            self._torch_update(grads, trainable_variables, learning_rate)
        else:
            super()._backend_update_step(grads, trainable_variables, learning_rate)

    def _torch_update(self, gradients, variables, learning_rate):
        """Update all variables at once by PyTorch's own kernels; `update_step` for each takes several times as long."""
        import torch
        from torch.optim.sgd import sgd

        pairs = list(zip(gradients, variables, strict=True))
        for decays in (True, False):
            group = [(gradient, variable) for gradient, variable in pairs if self._use_weight_decay(variable) == decays]
            velocities = [
                self.momentums[self._get_variable_index(variable)].value for _, variable in group if self.momentum
            ]
            with torch.no_grad():
                sgd(
                    [variable.value for _, variable in group],
                    [gradient for gradient, _ in group],
                    velocities or [None] * len(group),
                    foreach=True,
                    weight_decay=self.l2_regularization if decays else 0.0,
                    momentum=self.momentum,
                    lr=float(learning_rate),
                    dampening=0.0,
                    nesterov=self.nesterov,
                    maximize=False,
                )

    def get_config(self):
        """Return the arguments that make the optimizer again."""
        config = super().get_config()
        del config["weight_decay"]
        excluded = {"excluded": list(self.excluded)} if self.excluded else {}
        return {**config, "l2_regularization": self.l2_regularization, **excluded}
