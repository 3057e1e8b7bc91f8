"""What came out of a training, as `result.json` of its run folder holds it."""

import dataclasses
from typing import Any

from keras_lite.files import Record


@dataclasses.dataclass(frozen=True)
class TrainingResult(Record):
    """What came out of a training, and all that it belongs to.

    Attributes:
        recipe: Name of the recipe.
        model: Which of its networks.
        row: Id of the published row that the run stands for, if it does.
        smoke: Whether it was a trial on a few made-up images.
        seed: Of initial weights, order, augmentation and dropout.
        protocol: `"held_out"`: validated on training images that were held out; `"published"`: on the test images.
        changes: The options that differ from the recipe's.
        epochs: Epochs that were trained.
        published_epochs: Epochs of the recipe.
        last: Metrics of the last epoch by name, among them `epoch`, `val_loss` and `val_accuracy`.
        best: The same of the epoch with the highest validation accuracy.
        tested_epoch: `"last"` or `"best"`: which of them was tested and kept.
        test: `loss` and `accuracy` on the test images; `None` without such.
        images: Number of images of each split.
        image_size: Height and width in pixels.
        batch_size: Images in a training step.
        seconds: What it took, all sessions together.
        peak_memory_bytes: The most memory that a process took; `None` where that is not known.
        parameters: Parameters of the network, frozen ones included.
        macs: Multiply-accumulates for one image.
        published: The published figures by name; `None` without a row.

    Example:

    ```python
    result = TrainingResult.read("runs/photos/result.json")
    print(result.test["accuracy"])
    ```
    """

    recipe: str
    model: str
    row: str | None
    smoke: bool
    seed: int
    protocol: str
    changes: dict[str, Any]
    epochs: int
    published_epochs: int
    last: dict[str, float]
    best: dict[str, float]
    tested_epoch: str
    test: dict[str, float] | None
    images: dict[str, int]
    image_size: tuple[int, ...]
    batch_size: int
    seconds: float
    peak_memory_bytes: int | None
    parameters: int
    macs: int
    published: dict[str, Any] | None


def summary(result: TrainingResult, output_dir: str) -> str:
    """Return a result as a few lines to read."""
    last, best, by_test = result.last, result.best, result.protocol == "published"
    lines = [
        f"{result.recipe} {result.model}: {result.epochs} epochs in {result.seconds:.0f} s",
        f"parameters {result.parameters:,}, multiply-accumulates {result.macs:,}",
        f"{'test' if by_test else 'validation'} accuracy: "
        f"last epoch {last['val_accuracy']:.2%}, best {best['val_accuracy']:.2%} (epoch {best['epoch']:.0f})",
    ]
    if result.test is not None and not by_test:
        accuracy, images = result.test["accuracy"], result.images["test"]
        lines.append(f"test accuracy: {accuracy:.2%} ({images} images, {result.tested_epoch} epoch)")
    if result.published is not None:
        figures = ", ".join(f"{name} {value}" for name, value in result.published.items())
        lines.append(f"published: {figures}")
    return "\n".join([*lines, f"run folder: {output_dir}"])
