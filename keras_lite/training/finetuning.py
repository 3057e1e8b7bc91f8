"""Fine-tuning: first a new head on frozen layers, then all layers at a smaller rate."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """Fine-tuning of a network with trained weights, for a `Recipe`.

    The first epochs train the head alone, the model's last layer with weights. All other layers are frozen, so that the
    large gradients of a random head can't spoil them. Then the optimizer starts anew, with the run's learning rate and
    schedule, and trains all layers except batch normalization, which keeps its statistics, scale and offset: those of
    few photos would be worse.

    Batch normalization that keeps its statistics is folded into the convolutions in front of it, which changes nothing
    but the rounding. While the head trains (without mixing, and without a teacher), the other layers give the same of a
    photo each time, so their outputs are computed once. Where photos are changed at random, that is done with five
    copies of each: the first five epochs change photos as ever, later ones take the same copies in turn. Callbacks see
    the model that trains: it has the network's variables.

    The weights of the epoch with the best validation accuracy are tested and saved.

    Args:
        head_epochs: Epochs of the head alone; 0 for none.
        head_learning_rate: Learning rate in these epochs.
        freeze_batch_norm: Whether batch normalization stays in inference mode throughout.
        class_weights: Whether a photo has the weight `photos / (classes * photos of its class)` in the loss, so that
            all classes count alike.
        patience: Training ends early after so many epochs in a row without a better validation accuracy, not counting
            those of the head. `None`: it never ends early.
        start: The initial weights and other settings of the run's model, only recorded.

    Raises:
        InputError: If a value is out of its range.

    Example:

    ```python
    recipe = dataclasses.replace(recipe, finetuning=Finetuning(head_epochs=5))
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
        """Set which layers of a model are trainable.

        Args:
            model: The network; compile it afterwards.
            head_only: Whether only the head is trainable.
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
    """Make all layers of a model trainable."""
    # One by one: on TensorFlow a model that is trainable itself passes nothing on.
    for layer in model._flatten_layers():
        layer.trainable = True
