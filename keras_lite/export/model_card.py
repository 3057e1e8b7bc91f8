"""The model card: all that is known about a TFLite file, as JSON for programs and as Markdown for people."""

import os
from pathlib import Path
from typing import Any

from keras_lite.data import Preprocessing, model_info_path
from keras_lite.data.scaling import IN_WORDS
from keras_lite.export.mixed import steps_text
from keras_lite.files import read_json, write_json, write_text
from keras_lite.quantization.closeness import AGREEMENT, Closeness, agreement_title, format_agreement
from keras_lite.tables import markdown_table

_SHOWN_CLASSES = 10
# Where `keras_lite.litert.IntegerModel` has the rules: its targets x86, which WebAssembly follows, and arm64.
_KNOWN_ON = "on x86 processors and in browsers (WebAssembly), and on ARM64 processors"
_OUTPUTS_ARE = {
    "logits": "classes",
    "probabilities": "classes",
    "sigmoid": "probabilities",
    "regression": "values",
    "embedding": "the embedding's numbers",
    "image": "the numbers of a pixel",
}


def labels_path(path: str | os.PathLike) -> Path:
    """Return where the labels of a TFLite file are: `x.tflite` has `x.labels.txt` beside it."""
    return Path(path).with_suffix(".labels.txt")


def model_card_path(path: str | os.PathLike) -> Path:
    """Return where the card of a TFLite file is: `x.tflite` has `x.md` beside it."""
    return Path(path).with_suffix(".md")


def write_model_card(
    path: str | os.PathLike,
    *,
    parameters: int | None = None,
    macs: int | None = None,
    row: str | None = None,
    accuracy: dict[str, Any] | None = None,
) -> Path:
    """Add entries to the JSON file of a TFLite file, and write its model card from that.

    `to_tflite` calls this for every file. Call it again when more is known: what is not given stays as it was.

    Args:
        path: The `.tflite` file; `x.tflite` has `x.json` beside it and gets `x.md`.
        parameters: Parameters of the model, frozen ones included.
        macs: Multiply-accumulates for one image.
        row: Id of the published row that the model stands for.
        accuracy: `split` and `images`: the name of the images that were measured on, and their number; `rows`: for
            each precision its `precision`, `title`, `top1` and `agreement` with the float model, as
            `keras_lite.inference.report.Report.accuracy_entry` gives them.

    Returns:
        The path of the card.

    Raises:
        InputError: If there is no JSON file.

    Example:

    ```python
    from keras_lite.inference.report import report

    figures = report(model, {"int8": "model.tflite"}, data["test"], info)
    write_model_card("model.tflite", accuracy=figures.accuracy_entry("test"))
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
        "In floats": _in_floats(entries["verification"].get("float_parts")),
        "SHA-256": f"`{entries['sha256']}`",
    }
    rows = [f"| {name} | {fact} |" for name, fact in facts.items() if fact is not None]
    return "\n".join([f"# {entries['name']}", "", "| | |", "| --- | --- |", *rows])


def _in_floats(parts: dict[str, Any] | None) -> str | None:
    """Return what of an int8 file computes in floats."""
    if parts is None:
        return None
    kinds = ", ".join(f"{count} {kind}" for kind, count in parts["operators"].items())
    layers = ", ".join(f"`{name}`" for name in parts["layers"])
    return f"{kinds}, of {layers}: {parts['share']:.1%} of the multiply-accumulates"


def _input(entries: dict[str, Any]) -> str:
    tensors = _tensors(entries, "input")
    if len(tensors) > 1:
        return "\n".join(
            ["## Inputs", "", *(f"- `{each['name']}`: {_tensor(each)}.{_rounded(each)}" for each in tensors)]
        )
    [tensor] = tensors
    gray = tensor["shape"][-1] == 1
    lines = ["## Input", "", f"{_tensor(tensor)}: batch{_axes(tensor)}."]
    if "preprocessing" in entries:
        preprocessing = Preprocessing.from_dict(entries["preprocessing"])
        steps = [
            _geometry(preprocessing),
            *(["It is made gray: 0.299 red + 0.587 green + 0.114 blue."] if gray else []),
            f"Each level from 0 to 255 becomes `(level / 255 - mean) / std`, {'' if gray else 'for red, green, blue '}"
            f"with mean {_numbers(preprocessing.mean)} and std {_numbers(preprocessing.std)}.",
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
    how = IN_WORDS[preprocessing.interpolation]
    if preprocessing.keep_aspect:
        scaled = f"The image is scaled ({how}) until it just covers {covered}"
    else:
        scaled = f"The image is scaled ({how}) to {covered}, each side for itself"
    return f"{scaled}; its middle of {height} x {width} is kept. What is transparent is white."


def _output(entries: dict[str, Any]) -> str:
    tensors = _tensors(entries, "output")
    if len(tensors) > 1:
        return "\n".join(
            ["## Outputs", "", *(f"- `{each['name']}`: {_tensor(each)}.{_level(each)}" for each in tensors)]
        )
    [tensor] = tensors
    pixels = {4: ", height, width", 3: ", positions"}.get(len(tensor["shape"]), "")
    numbers = _OUTPUTS_ARE[entries.get("output", entries["verification"]["output"])]
    lines = ["## Output", "", f"{_tensor(tensor)}: batch{pixels} and {numbers}.{_level(tensor)}"]
    if "output" in entries:
        lines[-1] += f" {_meaning(entries)}"
    return "\n".join(lines)


def _tensors(entries: dict[str, Any], end: str) -> list[dict[str, Any]]:
    """Return the inputs or outputs of a file."""
    one = entries.get(f"{end}_tensor")
    return entries[f"{end}_tensors"] if one is None else [one]


def _axes(tensor: dict[str, Any]) -> str:
    shape = tensor["shape"]
    if len(shape) == 4:
        channels = {1: "gray", 3: "red, green, blue"}.get(shape[-1], f"{shape[-1]} channels")
        return f", height, width, and {channels}"
    return {3: ", steps, and what there is at each"}.get(len(shape), " and numbers")


def _rounded(tensor: dict[str, Any]) -> str:
    if "scale" not in tensor:
        return ""
    return f" A value goes in as `round(value / {tensor['scale']}) {_signed(tensor['zero_point'])}`."


def _level(tensor: dict[str, Any]) -> str:
    if "scale" not in tensor:
        return ""
    return f" A level stands for `(level {_signed(-tensor['zero_point'])}) * {tensor['scale']}`."


def _meaning(entries: dict[str, Any]) -> str:
    """Return the meaning of the output in plain words."""
    output, names = entries["output"], entries["class_names"]
    if output == "image":
        return "This is an image, or a map."
    if output == "logits":
        return "These are logits; a softmax makes probabilities of them."
    if output == "probabilities":
        return "These are probabilities, which sum to 1."
    if output == "regression":
        return "These are the values themselves."
    if output == "embedding":
        return (
            "This is an embedding, a vector that stands for the image: the closer to 1 the cosine of the angle between "
            "two of them, the more alike are the images."
        )
    if entries["output_tensor"]["shape"][-1] > 1:
        return "These are probabilities, of each label by itself: several may apply, or none; they don't sum to 1."
    if len(names) == 2:
        return f"This is the probability of `{names[1]}`; that of `{names[0]}` is 1 minus it."
    return f"This is the probability of `{names[0]}`, from 0 to 1."


def _classes(file: str, entries: dict[str, Any]) -> str:
    names = entries.get("class_names")
    if not names:
        return ""
    labels = entries["output"] == "sigmoid" and len(names) == entries["output_tensor"]["shape"][-1]
    title = "Labels" if labels else "Values" if entries["output"] == "regression" else "Classes"
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN_CLASSES])
    more = f", ... (all in `{labels_path(file).name}`)" if len(names) > _SHOWN_CLASSES else ""
    return f"## {title}\n\n{len(names)}, in the order of the output: {shown}{more}"


def _accuracy(entries: dict[str, Any]) -> str:
    accuracy = entries.get("accuracy")
    if accuracy is None:
        return ""
    output, rows = entries.get("output", "logits"), accuracy["rows"]
    labeled = any(row["top1"] is not None for row in rows)
    head = ("precision", *(("top-1",) if labeled else ()), agreement_title(output, "Keras float32"))
    table = [
        (row["title"], *((f"{row['top1']:.2%}",) if labeled else ()), format_agreement(output, row["agreement"]))
        for row in rows
    ]
    title = f"## Accuracy\n\nOn the {accuracy['images']:,} images of the {accuracy['split']} split:\n"
    return f"{title}\n{markdown_table([head, *table], left=None)}"


def _verification(entries: dict[str, Any]) -> str:
    figures = entries["verification"]
    sentences = [f"Run in LiteRT on {figures['images']:,} images."]
    if (exact := figures["exactness"]) is not None:
        sentences.append(_exactness(exact))
    heads = figures.get("heads", {"": figures})
    if heads is figures.get("heads"):
        sentences += [f"\n- `{name}`: {' '.join(_kept(head))}" for name, head in heads.items()]
        return "## Verification\n\n" + " ".join(sentences).replace(" \n", "\n").replace("\n- ", "\n\n- ", 1)
    return "## Verification\n\n" + " ".join([*sentences, *_kept(figures)])


def _kept(figures: dict[str, Any]) -> list[str]:
    """Return what is kept of the model, as sentences."""
    output, sentences = figures["output"], []
    if (found := figures["float_closeness"]) is not None:
        sentences.append(f"Compared with the float model: {Closeness(**found).text(output)}.")
    elif figures["exactness"] is None:
        kept = format_agreement(output, figures["agreement"])
        sentences.append(
            f"Compared with its model: {AGREEMENT[output]} {kept}; the outputs' deviations from their mean correlate "
            f"by {figures['correlation']:.4f}; the largest difference between two outputs is "
            f"{figures['largest_difference']:.2g}, the largest output {figures['largest_output']:.2g}."
        )
    return sentences


def _exactness(exact: dict[str, Any]) -> str:
    if exact.get("parts") is not None:
        return _parts(exact)
    equal = "All outputs are" if exact["equal"] == 1.0 else f"{exact['equal']:.2%} of the outputs are"
    text = f"{equal} equal to the quantized model's, computed in whole numbers"
    if exact["equal"] < 1.0:
        text += f", the others at most {steps_text(exact['steps'])} away"
    if exact["inexact"]:
        text += f"; a step is allowed, as there is no exact rule for {', '.join(exact['inexact'])}"
    if exact["elsewhere"] and (exact["equal"] == 1.0 or exact["inexact"]):
        count = sum(exact["elsewhere"].values())
        differ = "none of the compared ones differs" if count == 0 else f"{count:,} of the compared ones differ"
        text += f". Outputs are known to the bit {_KNOWN_ON}; {differ} between the two"
    return f"{text}."


def _parts(exact: dict[str, Any]) -> str:
    """Return what was checked of a file with parts in floats."""
    parts = exact["parts"]
    whole = "all are equal to the bit" if parts["int8_equal"] == 1.0 else f"{parts['int8_equal']:.2%} are equal, the "
    whole += "" if parts["int8_equal"] == 1.0 else f"others at most {steps_text(parts['int8_steps'])} away"
    floats = "all are equal" if parts["float_equal"] == 1.0 else f"{parts['float_equal']:.2%} are equal, the others at "
    floats += "" if parts["float_equal"] == 1.0 else f"most {steps_text(parts['float_steps'])} away"
    return (
        f"Parts of it compute in floats, so each part was compared by itself on {parts['images']:,} of them, from the "
        f"integers that the file gave it. What the int8 parts give, with whole numbers: {whole}. What the parts in "
        f"floats give as int8, with NumPy's float32: {floats}; one step is allowed. From input to output "
        f"{exact['equal']:.2%} of the outputs are equal, and none is more than {steps_text(exact['steps'])} away."
    )


def _tensor(tensor: dict[str, Any]) -> str:
    return f"{tensor['dtype']} of shape ({', '.join(map(str, tensor['shape']))})"


def _signed(number: int) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number)}"


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
