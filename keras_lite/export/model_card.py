"""The model card: all that is known about a TFLite file, as JSON for programs and as Markdown for people."""

import os
from pathlib import Path
from typing import Any

from keras_lite.data import Preprocessing, model_info_path
from keras_lite.files import read_json, write_json, write_text

_SHOWN_CLASSES = 10


def labels_path(path: str | os.PathLike) -> Path:
    """Return where the labels of a TFLite file are: `x.tflite` has `x.labels.txt` beside it."""
    return Path(path).with_suffix(".labels.txt")


def model_card_path(path: str | os.PathLike) -> Path:
    """Return where the card of a TFLite file is: `x.tflite` has `x.md` beside it."""
    return Path(path).with_suffix(".md")


def write_model_card(
    path: str | os.PathLike,
    parameters: int | None = None,
    macs: int | None = None,
    row: str | None = None,
    accuracy: dict[str, Any] | None = None,
) -> Path:
    """Add what has become known about a TFLite file to its JSON file, and write its card from that.

    `to_tflite` calls this for every file. Call it again when more is known: what is not given stays as it was.

    Args:
        path: The `.tflite` file; `x.tflite` has `x.json` beside it and gets `x.md`.
        parameters: Parameters of the model, frozen ones included.
        macs: Multiply-accumulates for one image.
        row: Id of the published row that the model stands for.
        accuracy: From `accuracy_entry`.

    Returns:
        The path of the card.

    Raises:
        InputError: If there is no JSON file.

    Example:

    ```python
    figures = report(model, {"TFLite int8": "model.tflite"}, data["test"], preprocessing)
    write_model_card("model.tflite", accuracy=accuracy_entry(figures, "test"))
    ```
    """
    entries = read_json(model_info_path(path))
    more = {"parameters": parameters, "macs": macs, "row": row, "accuracy": accuracy}
    more = {name: value for name, value in more.items() if value is not None}
    if more:
        entries |= more
        write_json(model_info_path(path), entries)
    card = model_card_path(path)
    write_text(card, format_model_card(Path(path).name, entries))
    return card


def accuracy_entry(figures: dict[str, Any], split: str) -> dict[str, Any]:
    """Return the accuracies of `keras_lite.export.report.report` as a card holds them.

    Args:
        figures: What `report` returned.
        split: Name of the images that were measured on, for example `"test"`.
    """
    rows = [{name: row[name] for name in ("title", "top1", "agreement")} for row in figures["rows"]]
    return {"split": split, "images": figures["images"], "rows": rows}


def format_model_card(file: str, entries: dict[str, Any]) -> str:
    """Return a card as Markdown.

    Args:
        file: Name of the TFLite file.
        entries: What its JSON file holds. What is missing there is left out.
    """
    sections = [
        _head(file, entries),
        _input(entries),
        _output(entries),
        _classes(file, entries),
        _accuracy(entries),
        _verification(entries),
        "## Operators\n\n" + "\n".join(f"- {count} {name}" for name, count in entries["operators"].items()),
        "## Made with\n\n" + "\n".join(f"- {name} {version}" for name, version in entries["versions"].items()),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(file: str, entries: dict[str, Any]) -> str:
    left = ", ".join(sorted(set(entries["not_delegated"])))
    facts = {
        "File": f"`{file}`",
        "Precision": entries["precision"] + (f" ({entries['quantization']})" if entries["quantization"] else ""),
        "Size": f"{entries['bytes']:,} bytes",
        "Parameters": f"{entries['parameters']:,}" if "parameters" in entries else None,
        "Multiply-accumulates": f"{entries['macs']:,} for one image" if "macs" in entries else None,
        "Published row": f"`{entries['row']}`" if "row" in entries else None,
        "XNNPACK": f"{entries['partitions']} partition{'' if entries['partitions'] == 1 else 's'}"
        + (f", without {left}" if left else ""),
        "SHA-256": f"`{entries['sha256']}`",
    }
    rows = [f"| {name} | {fact} |" for name, fact in facts.items() if fact is not None]
    return "\n".join([f"# {entries['name']}", "", "| | |", "| --- | --- |", *rows])


def _input(entries: dict[str, Any]) -> str:
    tensor = entries["input_tensor"]
    lines = ["## Input", "", f"{_tensor(tensor)}: batch, height, width, and red, green, blue."]
    if "preprocessing" in entries:
        preprocessing = Preprocessing.from_dict(entries["preprocessing"])
        steps = [
            _geometry(preprocessing),
            "Each level from 0 to 255 becomes `(level / 255 - mean) / std`, for red, green and blue with "
            f"mean {_numbers(preprocessing.mean)} and std {_numbers(preprocessing.std)}.",
        ]
        if "scale" in tensor:
            step = f"round(value / {tensor['scale']}) {_signed(tensor['zero_point'])}"
            steps.append(f"That becomes `{step}`, from -128 to 127.")
        lines += ["", *(f"{number}. {step}" for number, step in enumerate(steps, 1))]
    return "\n".join(lines)


def _geometry(preprocessing: Preprocessing) -> str:
    height, width = preprocessing.image_size
    resize_height, resize_width = preprocessing.resize
    covered = f"{resize_height} x {resize_width} pixels (height x width)"
    if preprocessing.keep_aspect:
        scaled = f"The image is scaled (antialiased bilinear) until it just covers {covered}"
    else:
        scaled = f"The image is scaled (antialiased bilinear) to {covered}, each side for itself"
    return f"{scaled}; its middle of {height} x {width} is kept. What is transparent is white."


def _output(entries: dict[str, Any]) -> str:
    tensor = entries["output_tensor"]
    lines = ["## Output", "", f"{_tensor(tensor)}: batch and classes."]
    if "scale" in tensor:
        lines[-1] += f" A level stands for `(level {_signed(-tensor['zero_point'])}) * {tensor['scale']}`."
    if "output" in entries:
        softmax = "; a softmax makes probabilities of them" if entries["output"] == "logits" else ""
        lines[-1] += f" These are {entries['output']}{softmax}."
    return "\n".join(lines)


def _classes(file: str, entries: dict[str, Any]) -> str:
    names = entries.get("class_names")
    if names is None:
        return ""
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN_CLASSES])
    more = f", ... (all in `{labels_path(file).name}`)" if len(names) > _SHOWN_CLASSES else ""
    return f"## Classes\n\n{len(names)}, in the order of the output: {shown}{more}"


def _accuracy(entries: dict[str, Any]) -> str:
    accuracy = entries.get("accuracy")
    if accuracy is None:
        return ""
    lines = [
        f"## Accuracy\n\nOn the {accuracy['images']:,} images of the {accuracy['split']} split:\n",
        "| precision | top-1 | agrees with Keras float32 |\n| --- | --- | --- |",
        *(f"| {row['title']} | {row['top1']:.2%} | {row['agreement']:.2%} |" for row in accuracy["rows"]),
    ]
    return "\n".join(lines)


def _verification(entries: dict[str, Any]) -> str:
    figures = entries["verification"]
    return (
        f"## Verification\n\nRun in LiteRT on {figures['images']:,} images, the file agreed with its model in "
        f"{figures['agreement']:.2%} of the top-1 classes. Its answers' deviations from their mean correlate with the "
        f"model's by {figures['correlation']:.4f}; the largest difference of an answer is "
        f"{figures['largest_difference']:.2g}, the largest answer {figures['largest_answer']:.2g}."
    )


def _tensor(tensor: dict[str, Any]) -> str:
    return f"{tensor['dtype']} of shape ({', '.join(map(str, tensor['shape']))})"


def _signed(number: int) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number)}"


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
