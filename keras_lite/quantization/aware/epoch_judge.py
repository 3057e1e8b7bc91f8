"""Which epoch of a fine-tuning is kept: judged on images that did not train, the start among them."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_lite.quantization.aware.teaching import Teacher
from keras_lite.quantization.closeness import Closeness, closeness, divergences, is_closer
from keras_lite.quantization.images import check_images

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Epochs:
    """What each epoch of a fine-tuning gave on images held out of it, and which one was kept.

    Args:
        output: What the float model answers, by which the epochs were judged.
        judges: Number of held-out images; 0: the last epoch was kept unseen.
        start: How far the model was from the float model before.
        epochs: The same after each epoch.
        kept: Number of the epoch whose weights were kept; 0: those of the start.
        note: What went wrong, in a line; empty: nothing.
    """

    output: str
    judges: int
    start: Closeness | None
    epochs: list[Closeness]
    kept: int
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Epochs":
        """Build from what `to_dict` returned."""
        start = None if fields["start"] is None else Closeness(**fields["start"])
        return cls(**{**fields, "start": start, "epochs": [Closeness(**each) for each in fields["epochs"]]})

    def __str__(self) -> str:
        """Return a line for the start and each epoch, the kept one marked, and one that says which it was and why."""
        if not self.judges:
            return f"fine-tuning: {self.kept} epochs, not judged"
        rows = [("start", self.start)] if self.start else []
        rows += [(f"epoch {number}", each) for number, each in enumerate(self.epochs, 1)]
        lines = [
            f"{'*' if index == self.kept else ' '} {name}: {each.text(self.output)}"
            for index, (name, each) in enumerate(rows)
        ]
        if self.kept:
            gain = self.start.divergence - self.epochs[self.kept - 1].divergence
            verdict = f"kept: epoch {self.kept}, closer to the float model by {gain:.5f}"
        elif self.epochs:
            best = min(each.divergence for each in self.epochs)
            verdict = (
                "kept: the start: no epoch is closer by more than two standard "
                f"errors (the best: {best:.5f}, the start: {self.start.divergence:.5f})"
            )
        else:
            verdict = "kept: the start"
        head = f"fine-tuning, judged on {self.judges} images that did not train:"
        return "\n".join([head, *lines, *([self.note] if self.note else []), verdict])


class Judge(keras.callbacks.Callback):
    """Callback that tells after each epoch how far a model is from its teacher on held-out images.

    Args:
        quantized: The model that is trained.
        teacher: What it is to answer like.
        images: Preprocessed images that train nothing. None: nothing is judged, and the last epoch kept.

    Raises:
        InputError: If the images are not the model's.
    """

    def __init__(self, quantized: Any, teacher: Teacher, images: np.ndarray | None) -> None:
        super().__init__()
        self.quantized = quantized
        self.output = teacher.output
        self.images = None if images is None else check_images(quantized, images)
        self.found: list[Closeness] = []
        self.each: list[np.ndarray] = []  # divergences, image by image: of the start, and of the best so far
        self.kept = 0
        self.best: list[np.ndarray] = []
        if self.images is not None:
            self.expected = teacher.answers_of_all(self.images)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Judge the epoch."""
        self.judge()

    def judge(self) -> None:
        """Judge the model as it is now."""
        if self.images is None:
            return
        received = np.asarray(self.quantized.predict(self.images, batch_size=_BATCH, verbose=0))
        each = divergences(self.output, self.expected, received)
        self.found.append(closeness(self.output, self.expected, received))
        if not self.each:
            self.each = [each, each]
        elif not (is_closer(each, self.each[0]) and each.mean() < self.each[1].mean()):
            return
        else:
            self.each[1], self.kept = each, len(self.found) - 1
        self.best = self.quantized.get_weights()

    def put_back(self, epochs: int) -> Epochs:
        """Give the model the weights that are kept, and return what was found."""
        if self.images is None:
            return Epochs(self.output, 0, None, [], epochs)
        self.quantized.set_weights(self.best)
        start, *others = self.found
        return Epochs(self.output, len(self.images), start, others, self.kept)

    def get_state(self) -> dict[str, Any]:
        """Return what is known so far, for the state of a run."""
        found = [each.to_dict() for each in self.found]
        return {"found": found, "each": self.each, "kept": self.kept, "best": self.best}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what `get_state` returned."""
        self.found = [Closeness(**each) for each in state["found"]]
        self.each, self.kept, self.best = list(state["each"]), state["kept"], list(state["best"])
