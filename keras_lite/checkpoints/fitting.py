"""Which entry of a state dict belongs to which variable of a network, and what does not fit."""

import dataclasses
from collections.abc import Collection, Mapping

import keras
import numpy as np

from keras_lite.checkpoints.contents import is_averaged
from keras_lite.checkpoints.registry import CLASSIFIER
from keras_lite.checkpoints.torch_mapping import find_mapping, prefixes, to_keras_layout, torch_module

# What PyTorch or a FLOP counter keeps in a state dict and a Keras model has no use for.
_PASSED_OVER = ("num_batches_tracked", "total_ops", "total_params", "n_averaged")


@dataclasses.dataclass(frozen=True)
class Fit:
    """How a state dict fits a network.

    Attributes:
        values: The variables and what each gets.
        problems: What does not fit, in words; empty if all does.
        notes: What was taken for something else, or passed over, in words.
        other_classes: Whether the classifier is all that does not fit.
        fitting: How many of the network's variables fit.
        size: How many it has.
        classes: Outputs of the file's classifier, if it has one.
    """

    values: list[tuple[keras.Variable, np.ndarray]]
    problems: list[str]
    notes: list[str]
    _: dataclasses.KW_ONLY
    other_classes: bool
    fitting: int
    size: int
    classes: int | None


def fit(model: keras.Model, state_dict: Mapping[str, np.ndarray], load_classifier: bool = True) -> Fit:
    """Compare a state dict with a network, without loading it.

    Args:
        model: The network.
        state_dict: Name -> tensor, or array in PyTorch's layout.
        load_classifier: Whether the classifier's weights are wanted too.

    Raises:
        InputError: If the network is not of a known family.
    """
    arrays = {name: value for name, value in state_dict.items() if name.rpartition(".")[2] not in _PASSED_OVER}
    mapping = find_mapping(model, arrays.keys())
    variables = mapping.variables()
    known = variables.keys() | mapping.unused().keys()
    prefix, copies, notes = find_prefix(arrays.keys(), known)
    inside = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    beside = [name for name in arrays if not name.startswith(prefix)]
    for copy in copies:
        beside += [prefix + name for name in inside if (prefix + name).startswith(copy)]
        inside = {name: value for name, value in inside.items() if not (prefix + name).startswith(copy)}
    if beside:
        reason = f"do not begin with {prefix}" if prefix else "are a copy's"
        notes.append(f"passed over {len(beside)} entries whose names {reason}: {shorten(beside)}")
    classifier = torch_module(mapping.names, CLASSIFIER)
    classes = None
    if classifier:
        inside, note = merge_classifier(inside, classifier)
        notes += [note] if note and load_classifier else []
        classes = len(inside[f"{classifier}.bias"]) if f"{classifier}.bias" in inside else None
    left_out = mapping.left_out(load_classifier)
    if classifier in left_out:
        inside = {name: value for name, value in inside.items() if not name.startswith(f"{classifier}.")}
    inside = {name: value for name, value in inside.items() if name.rpartition(".")[0] not in left_out}
    targets = {name: target for name, target in variables.items() if name.rpartition(".")[0] not in left_out}
    values, misshapen = [], []
    for name in sorted(targets.keys() & inside.keys()):
        layer, variable = targets[name]
        value = to_keras_layout(layer, variable, as_array(inside[name]))
        if value.shape == tuple(variable.shape):
            values.append((variable, value))
        else:
            misshapen.append(f"{name} {tuple(inside[name].shape)}")
    missing = sorted(targets.keys() - inside.keys())
    unknown = sorted(inside.keys() - targets.keys() - mapping.unused().keys())
    problems = [
        f"{what}: {shorten(names)}"
        for what, names in (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
        if names
    ]
    of_classifier = bool(classifier) and all(
        name.startswith((f"{classifier}.", f"{classifier} ")) for name in (*missing, *unknown, *misshapen)
    )
    return Fit(
        values,
        problems,
        notes,
        other_classes=bool(problems) and of_classifier,
        fitting=len(values),
        size=len(targets),
        classes=classes,
    )


def find_prefix(names: Collection[str], known: Collection[str]) -> tuple[str, list[str], list[str]]:
    """Return what the network's names begin with in a file, which other prefixes are copies of it, and notes on that.

    Args:
        names: The names in the file.
        known: The names of the network.
    """
    counts = prefixes(names, known)
    if not counts:
        return "", [], []
    prefix = min(counts, key=lambda prefix: (-counts[prefix], is_averaged(prefix), len(prefix)))
    copies = [other for other in counts if other != prefix and 2 * counts[other] >= counts[prefix]]
    notes = [
        f"the weights {prefix.rstrip('.') or 'without prefix'} were taken; there are also the weights {copy} "
        f"(entry={copy!r}, or --entry {copy}, takes those)"
        for copy in (copy.rstrip(".") for copy in copies)
    ]
    return prefix, copies, notes


def merge_classifier(arrays: dict[str, np.ndarray], module: str) -> tuple[dict[str, np.ndarray], str | None]:
    """Return arrays with one linear layer in place of a `torch.nn.Sequential` of them, and a note if it had several.

    What lies between two linear layers is not in a file if it has no weights: dropout changes no output, an activation
    would.

    Args:
        arrays: Name -> array.
        module: What the classifier is called.
    """
    numbers = sorted({int(name.split(".")[-2]) for name in arrays if _is_part(name, module)})
    inside = {f"{module}.{number}.{part}" for number in numbers for part in ("weight", "bias")}
    if not numbers or inside != {name for name in arrays if name.startswith(f"{module}.")}:
        return arrays, None
    kernel, bias = None, None
    for number in numbers:
        weight, offset = (as_array(arrays[f"{module}.{number}.{part}"]) for part in ("weight", "bias"))
        if weight.ndim != 2 or offset.ndim != 1 or (kernel is not None and weight.shape[1] != len(kernel)):
            return arrays, None
        weight, offset = weight.astype("float64"), offset.astype("float64")
        bias = offset if bias is None else weight @ bias + offset
        kernel = weight if kernel is None else weight @ kernel
    merged = {name: value for name, value in arrays.items() if name not in inside}
    merged |= {f"{module}.weight": kernel.astype("float32"), f"{module}.bias": bias.astype("float32")}
    if len(numbers) == 1:
        return merged, None
    layers = " and ".join(f"{module}.{number}" for number in numbers)
    note = f"{layers} were taken as one linear layer"
    if numbers[-1] - numbers[0] >= len(numbers):
        note += (
            ": right if only dropout lies between them, which the file does not tell. With an activation there this is "
            "another network (load_classifier=False, or --noload_classifier, leaves them out)"
        )
    return merged, note


def _is_part(name: str, module: str) -> bool:
    parts = name.removeprefix(f"{module}.").split(".")
    return name.startswith(f"{module}.") and len(parts) == 2 and parts[0].isdigit() and parts[0].isascii()


def as_array(value) -> np.ndarray:
    """Return a tensor of PyTorch, or what NumPy takes, as an array."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def shorten(names: list[str], most: int = 8) -> str:
    """Return the first names and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
