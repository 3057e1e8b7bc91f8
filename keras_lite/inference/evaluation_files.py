"""Files of an evaluation: figures of each class, the confusion matrix, and the worst mistakes."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_lite.data import Source
from keras_lite.files import atomic_path, write_text
from keras_lite.inference.evaluation import Evaluation

PER_CLASS, CONFUSION_MATRIX, WORST_MISTAKES = "per_class.csv", "confusion_matrix.png", "worst_mistakes.png"
_SHOWN = 16
_COLUMNS = 4
_LONGEST_NAME = 24
_COUNTS_UP_TO = 30  # classes: with more of them numbers in the cells can't be read


def write_evaluation(evaluation: Evaluation, source: Source, folder: str | os.PathLike) -> list[Path]:
    """Write the files of an evaluation.

    Args:
        evaluation: What `keras_lite.cli.evaluate.evaluate` returned.
        source: The images that it is about.
        folder: Receives `per_class.csv` (class, images, recall, precision), `confusion_matrix.png`, and
            `worst_mistakes.png`: the wrong predictions of the highest probability, as the model saw the photos.

    Returns:
        The paths of the files.

    Example:

    ```python
    data = open_data("flowers", (96, 96))
    evaluation = evaluate(Classifier("runs/flowers"), data["test"])
    write_evaluation(evaluation, data["test"], "runs/flowers/evaluation")
    ```
    """
    table, matrix, mistakes = (Path(folder) / name for name in (PER_CLASS, CONFUSION_MATRIX, WORST_MISTAKES))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "images", "recall", "precision"])
    for row in evaluation.per_class():
        precision = "" if row.precision is None else repr(row.precision)
        writer.writerow([row.name, row.images, "" if row.recall is None else repr(row.recall), precision])
    write_text(table, text.getvalue())
    draw_confusion_matrix(evaluation, matrix)
    draw_worst_mistakes(evaluation, source, mistakes)
    return [table, matrix, mistakes]


def draw_confusion_matrix(evaluation: Evaluation, path: Path) -> None:
    """Draw how the images of each class were classified: rows are true classes, colors shares of a row."""
    from matplotlib.figure import Figure  # without pyplot no window system is looked for

    counts = evaluation.confusion()
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    names = printable(evaluation.class_names)
    side = min(24.0, 3 + 0.3 * len(names))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axes, label="share of the true class", fraction=0.04)
    size = max(3.0, min(9.0, 72 * side / (2 * len(names))))
    style = {"fontsize": size, "parse_math": False}
    axes.set_xticks(range(len(names)), names, rotation=90, **style)
    axes.set_yticks(range(len(names)), names, **style)
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= _COUNTS_UP_TO:
        for row, column in np.argwhere(counts).tolist():
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=size)
    _save(figure, path)


def draw_worst_mistakes(evaluation: Evaluation, source: Source, path: Path) -> None:
    """Draw the images whose wrong predictions have the highest probability, with both classes."""
    from matplotlib.figure import Figure

    wrong = np.flatnonzero(evaluation.predicted != evaluation.labels)
    worst = wrong[np.argsort(-evaluation.confidence[wrong], kind="stable")][:_SHOWN]
    names = printable(evaluation.class_names)
    rows = max(1, -(-len(worst) // _COLUMNS))
    figure = Figure(figsize=(2.6 * _COLUMNS, 3.1 * rows + 0.5), layout="constrained")
    title = f"{len(wrong)} of {evaluation.images} images are wrong"
    figure.suptitle(f"{title}; the surest {len(worst)}" if len(wrong) > len(worst) else title)
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image, index in zip(grid, source.images(worst) if len(worst) else [], worst, strict=False):
        true, predicted = names[evaluation.labels[index]], names[evaluation.predicted[index]]
        axes.imshow(image)
        sure = f"{evaluation.confidence[index]:{'.3f' if evaluation.task == 'embedding' else '.0%'}}"
        text = f"true: {true}\npredicted: {predicted} ({sure})"
        axes.set_title(text, fontsize=9, parse_math=False)
    _save(figure, path)


def printable(names: list[str]) -> list[str]:
    """Return class names as a picture can show them: short, and as numbers where the font has no such letters."""
    from matplotlib import font_manager

    letters = font_manager.get_font(font_manager.findfont(font_manager.FontProperties())).get_charmap()
    shown = []
    for number, name in enumerate(names):
        known = all(ord(letter) in letters for letter in name)
        text = name if known else f"class {number + 1}"
        shown.append(text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…")
    return shown


def _save(figure: Any, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
