"""Fine-tuning: first a new head on frozen layers, then all layers at a smaller rate."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """What a recipe does with layers that were trained before.

    The first epochs train the head alone, the model's last layer with weights; everything else is frozen, so that the
    large gradients of a random head spoil nothing. The optimizer then starts anew, at the run's learning rate and with
    its schedule, and trains all layers but batch normalization, which keeps statistics, scale and offset: those of few
    photos would be worse.

    The weights of the epoch with the best validation accuracy are tested and saved.

    Args:
        head_epochs: Epochs of the head alone; 0 for none.
        head_learning_rate: Learning rate in these epochs.
        freeze_batch_norm: Whether batch normalization stays in inference mode throughout.
        class_weights: Whether a photo counts in the loss as its class is rare: `photos / (classes * photos of its
            class)`, so that all classes count alike.
        patience: The training ends when so many epochs in a row, after those of the head, have brought no better
            validation accuracy. `None`: it never ends early.
        start: What the weights were and what else the run's model depends on, for the record.

    Raises:
        InputError: If a value is out of its range.

    Example:

    ```python
    recipe = Recipe(name="flowers", finetuning=Finetuning(head_epochs=5), ...)
    ```
    """

    head_epochs: int = 5
    head_learning_rate: float = 1e-2
    freeze_batch_norm: bool = True
    class_weights: bool = True
    patience: int | None = None
    start: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.head_epochs < 0:
            raise InputError(f"Expected epochs_head to be 0 or more, received {self.head_epochs}.")
        if not 0 < self.head_learning_rate < float("inf"):
            raise InputError(f"Expected a positive learning_rate_head, received {self.head_learning_rate}.")
        if self.patience is not None and self.patience < 1:
            raise InputError(f"Expected patience to be 1 or more, received {self.patience}.")

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Return the callbacks that a run needs, with the state of a run."""
        if self.patience is None:
            return []
        return [
            keras.callbacks.EarlyStopping(
                "val_accuracy", mode="max", patience=self.patience, start_from_epoch=self.head_epochs
            )
        ]

    def weights_of_classes(self, labels: np.ndarray) -> dict[int, float] | None:
        """Return the weight of each class in the loss, for `model.fit`; `None` if all are 1."""
        if not self.class_weights:
            return None
        numbers, counts = np.unique(labels, return_counts=True)
        weights = len(labels) / (len(numbers) * counts)
        return dict(zip(numbers.tolist(), weights.tolist(), strict=True))

    def freeze(self, model: keras.Model, head_only: bool) -> None:
        """Set which layers of a model learn.

        Args:
            model: The network; to be compiled after this.
            head_only: Whether the head alone learns.
        """
        unfreeze(model)
        if head_only:
            head = [layer for layer in model.layers if layer.weights][-1]
            for layer in model.layers:
                layer.trainable = layer is head
        if self.freeze_batch_norm:
            for layer in model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False


def unfreeze(model: keras.Model) -> None:
    """Have all layers of a model learn."""
    # One by one: on TensorFlow a model that is trainable itself passes nothing on.
    for layer in model._flatten_layers():
        layer.trainable = True
