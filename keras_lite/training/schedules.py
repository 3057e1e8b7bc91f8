"""Learning rate schedules: those of the published runs, warm-up, and one cycle.

PyTorch's schedules of the published runs change the rate between epochs alone; Keras counts steps.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_lite.errors import InputError


def milestone_decay(
    initial_learning_rate: float, milestones: Sequence[int], steps_per_epoch: int, factor: float = 0.1
) -> keras.optimizers.schedules.PiecewiseConstantDecay:
    """Return a schedule that multiplies the learning rate by a factor at given epochs.

    Args:
        initial_learning_rate: Learning rate of the first epoch.
        milestones: The epochs, counted from 0, that begin with a new rate; increasing.
        steps_per_epoch: Training steps of an epoch.
        factor: What the rate is multiplied by.

    Returns:
        The schedule.

    Raises:
        InputError: If an argument is not one of those above.

    Example:

    ```python
    schedule = milestone_decay(0.1, milestones=(100, 150, 180), steps_per_epoch=391)
    ```
    """
    _check_positive(initial_learning_rate=initial_learning_rate, factor=factor)
    _check_positive_integers(steps_per_epoch=steps_per_epoch)
    whole = all(isinstance(epoch, int) for epoch in milestones)
    if not milestones or not whole or min(milestones) < 1 or sorted(set(milestones)) != list(milestones):
        raise InputError(f"Expected milestones to be increasing epochs from 1 on, received {milestones!r}.")
    # A boundary is the last step with the value before it.
    boundaries = [epoch * steps_per_epoch - 1 for epoch in milestones]
    rates = [float(initial_learning_rate * factor**power) for power in range(len(milestones) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


@keras.saving.register_keras_serializable("keras_lite")
class EpochCosineDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Half a cosine wave from the initial learning rate down to a share of it, constant within each epoch.

    The rate of epoch e, counted from 0, is
    `initial_learning_rate * (floor_fraction + (1 - floor_fraction) * (1 + cos(pi * e / epochs)) / 2)`. The last epoch
    is one step above the floor; its rate holds for all steps beyond.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017
    (arXiv:1608.03983), without restarts. `keras.optimizers.schedules.CosineDecay` changes the rate at each step.

    Args:
        initial_learning_rate: Learning rate of the first epoch.
        epochs: Epochs of the whole training.
        steps_per_epoch: Training steps of an epoch.
        floor_fraction: What the rate falls to, as a share of the initial one, from 0 to 1.

    Raises:
        InputError: If an argument is not one of those above.

    Example:

    ```python
    schedule = EpochCosineDecay(0.03, epochs=300, steps_per_epoch=782, floor_fraction=0.1)
    ```
    """

    def __init__(
        self, initial_learning_rate: float, epochs: int, steps_per_epoch: int, floor_fraction: float = 0.0
    ) -> None:
        _check_positive(initial_learning_rate=initial_learning_rate)
        _check_positive_integers(epochs=epochs, steps_per_epoch=steps_per_epoch)
        if not isinstance(floor_fraction, int | float) or not 0 <= floor_fraction <= 1:
            raise InputError(f"Expected floor_fraction to be from 0 to 1, received {floor_fraction!r}.")
        self.initial_learning_rate = initial_learning_rate
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.floor_fraction = floor_fraction

    @property
    def rates(self) -> np.ndarray:
        """The learning rate of each epoch: an array of float64."""
        wave = (1 + np.cos(np.pi * np.arange(self.epochs) / self.epochs)) / 2
        return self.initial_learning_rate * (wave * (1 - self.floor_fraction) + self.floor_fraction)

    def __call__(self, step):
        """Return the learning rate of a step, counted from 0."""
        epoch = ops.floor_divide(ops.cast(step, "int32"), self.steps_per_epoch)
        # Looked up, since a cosine of float32 near the end of the wave is right to a few digits only.
        rates = ops.convert_to_tensor(self.rates.astype("float32"))
        return ops.take(rates, ops.minimum(epoch, self.epochs - 1))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the schedule again."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "floor_fraction": self.floor_fraction,
        }


@keras.saving.register_keras_serializable("keras_lite")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Warm-up: the learning rate of any schedule grows linearly over the first epochs.

    Step s of n warm-up steps, counted from 0, has the schedule's own rate times (s + 1) / n. From step n on the
    schedule is as it was: its epochs are counted from the beginning of the training, so milestones stay where they are.

    Source: Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour" (arXiv:1706.02677), section 2.2.

    Args:
        schedule: The schedule, or a constant learning rate.
        epochs: Epochs of the warm-up.
        steps_per_epoch: Training steps of an epoch.

    Raises:
        InputError: If an argument is not one of those above.

    Example:

    ```python
    schedule = WarmUp(EpochCosineDecay(0.1, epochs=200, steps_per_epoch=391), epochs=5, steps_per_epoch=391)
    ```
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule | float, epochs: int, steps_per_epoch: int
    ) -> None:
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            _check_positive(schedule=schedule)
        _check_positive_integers(epochs=epochs, steps_per_epoch=steps_per_epoch)
        self.schedule = schedule
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch

    def __call__(self, step):
        """Return the learning rate of a step, counted from 0."""
        rate = self.schedule(step) if callable(self.schedule) else self.schedule
        share = ops.divide(ops.add(ops.cast(step, "float32"), 1.0), float(self.epochs * self.steps_per_epoch))
        return ops.multiply(ops.cast(rate, "float32"), ops.minimum(share, 1.0))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the schedule again."""
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
        }

    @classmethod
    def from_config(cls, config):
        """Return the schedule that `get_config` described."""
        return cls(**{**config, "schedule": keras.saving.deserialize_keras_object(config["schedule"])})


@keras.saving.register_keras_serializable("keras_lite")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """One cycle: the learning rate rises linearly to its maximum, falls linearly, then falls to almost 0.

    The rate begins and ends the cycle at `maximum_learning_rate / initial_divisor`. In the steps that are left it falls
    to a `final_divisor`-th of that. Only the learning rate has a cycle: the momentum stays as it is.

    Source: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates"
    (arXiv:1708.07120). The steps at which the parts meet are those of PyTorch's
    `OneCycleLR(three_phase=True, anneal_strategy="linear")`.

    Args:
        maximum_learning_rate: Learning rate at the top of the cycle.
        epochs: Epochs of the whole training.
        steps_per_epoch: Training steps of an epoch.
        rising_fraction: Share of all steps in which the rate rises, above 0 and up to 0.5; it falls in as many.
        initial_divisor: How many times the first rate is smaller than the largest.
        final_divisor: How many times the last rate is smaller than the first.

    Raises:
        InputError: If an argument is not one of those above.

    Example:

    ```python
    schedule = OneCycle(1.0, epochs=30, steps_per_epoch=391)
    ```
    """

    def __init__(
        self,
        maximum_learning_rate: float,
        epochs: int,
        steps_per_epoch: int,
        rising_fraction: float = 0.45,
        initial_divisor: float = 25.0,
        final_divisor: float = 1e4,
    ) -> None:
        _check_positive(
            maximum_learning_rate=maximum_learning_rate,
            rising_fraction=rising_fraction,
            initial_divisor=initial_divisor,
            final_divisor=final_divisor,
        )
        if rising_fraction > 0.5:
            raise InputError(f"Expected rising_fraction to be at most 0.5, received {rising_fraction!r}.")
        _check_positive_integers(epochs=epochs, steps_per_epoch=steps_per_epoch)
        self.maximum_learning_rate = maximum_learning_rate
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.rising_fraction = rising_fraction
        self.initial_divisor = initial_divisor
        self.final_divisor = final_divisor

    def __call__(self, step):
        """Return the learning rate of a step, counted from 0."""
        steps = self.epochs * self.steps_per_epoch
        rising = self.rising_fraction * steps
        first = self.maximum_learning_rate / self.initial_divisor
        last = first / self.final_divisor
        corners = [(0.0, first), (rising - 1, self.maximum_learning_rate), (2 * rising - 2, first), (steps - 1.0, last)]
        step = ops.cast(step, "float32")
        rate = ops.convert_to_tensor(last, "float32")
        for (left, left_rate), (right, right_rate) in reversed(list(itertools.pairwise(corners))):
            if right > left:  # a training of a few steps has not all three parts
                share = ops.divide(ops.subtract(step, left), right - left)
                line = ops.add(ops.multiply(1.0 - share, left_rate), ops.multiply(share, right_rate))
                rate = ops.where(step < right, line, rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the schedule again."""
        return {
            "maximum_learning_rate": self.maximum_learning_rate,
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "rising_fraction": self.rising_fraction,
            "initial_divisor": self.initial_divisor,
            "final_divisor": self.final_divisor,
        }


def _check_positive(**arguments: float) -> None:
    for name, value in arguments.items():
        if not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise InputError(f"Expected {name} to be a positive number, received {value!r}.")


def _check_positive_integers(**arguments: int) -> None:
    for name, value in arguments.items():
        if not isinstance(value, int) or value < 1:
            raise InputError(f"Expected {name} to be a positive integer, received {value!r}.")
