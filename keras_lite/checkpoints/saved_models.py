"""TensorFlow SavedModels that Keras 2 wrote, as Keras 3 models.

The layers stand in `keras_metadata.pb`, the weights in TensorFlow's checkpoint, which TensorFlow reads.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.checkpoints.keras2_files import assign, build, check_layers, inner_layers, parts_of, refusal
from keras_lite.errors import InputError, import_extra


def is_saved_model(path: Path) -> bool:
    """Return whether a folder is a TensorFlow SavedModel."""
    return (path / "saved_model.pb").is_file()


def load_saved_model(path: Path) -> keras.Model:
    """Load a TensorFlow SavedModel that Keras 2 wrote. Needs TensorFlow, which reads its weights.

    Args:
        path: The folder.

    Raises:
        InputError: If it has no layers, or some that are not known here.
        MissingExtraError: If TensorFlow is not installed.
    """
    metadata = path / "keras_metadata.pb"
    if not metadata.is_file():
        raise InputError(
            f"Expected a model of Keras 2 in {path}, received a SavedModel without layers (no keras_metadata.pb), a "
            "program of TensorFlow alone; save the Keras model that it was made from, as .keras."
        )
    try:
        root = next(node for node in _nodes(metadata.read_bytes()) if node.get(3) == b"root")
        config = json.loads(root[5])
        config = {"class_name": config["class_name"], "config": config["config"]}
    except (StopIteration, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"Expected the layers of a model in {metadata}, which can't be read.") from error
    if "layers" not in config["config"]:
        what = f"it is of the class {config['class_name']}, whose Python code is not in it"
        raise refusal(path, "2", f"{what}; take its weights into a functional model where it was made")
    check_layers(config, path, "2")
    model = build(config, path, "2")
    tensorflow = import_extra("tensorflow", "tensorflow")
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    reader = tensorflow.train.load_checkpoint(str(path / "variables" / "variables"))
    graph = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    _take_nodes(model, config["config"], _Node(graph, 0, reader), lambda what: refusal(path, "2", what))
    return model


class _Node:
    """An object in the graph of a SavedModel's checkpoint."""

    def __init__(self, graph, index: int, reader) -> None:
        self._graph, self._node, self._reader = graph, graph.nodes[index], reader

    def child(self, name: str) -> "_Node | None":
        for reference in self._node.children:
            if reference.local_name == name:
                return _Node(self._graph, reference.node_id, self._reader)
        return None

    def value(self) -> np.ndarray | None:
        keys = [attribute.checkpoint_key for attribute in self._node.attributes]
        return self._reader.get_tensor(keys[0]) if keys else None


def _take_nodes(layer, config: dict[str, Any], node: _Node, refuse) -> None:
    """Assign a layer's weights, and those of its layers, from a SavedModel."""
    if "layers" in config:
        with_weights = [(inner, part) for inner, part in inner_layers(layer, config) if inner.weights]
        for index, (inner, part) in enumerate(with_weights):
            child = node.child(f"layer_with_weights-{index}")
            if child is None:
                raise refuse(f"the weights of its layer {inner.name!r} are missing")
            _take_nodes(inner, part["config"], child, refuse)
        return
    if parts := parts_of(layer):
        for name, part in parts.items():
            if (child := node.child(name)) is None:
                raise refuse(f"the weights of the {name} of its layer {layer.name!r} are missing")
            _take_nodes(part, {}, child, refuse)
        return
    arrays = []
    for variable in layer.weights:
        child = node.child(variable.name) or node.child(f"depthwise_{variable.name}")
        value = None if child is None else child.value()
        if value is None or value.shape != tuple(variable.shape):
            raise refuse(f"the weights {variable.name!r} of its layer {layer.name!r} are missing or of another shape")
        arrays.append(value)
    assign(layer, arrays)


def _nodes(data: bytes) -> Iterator[dict[int, bytes | int]]:
    """Yield the objects that a SavedModel of Keras 2 has: number of the field -> value, as protocol buffers have it."""
    for field, value in _fields(data):
        if field == 1:
            yield dict(_fields(value))


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    position = 0

    def number() -> int:
        nonlocal position
        value, shift = 0, 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    while position < len(data):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
        elif tag & 7 == 2:
            length = number()
            if position + length > len(data):
                raise ValueError("a field that is cut off")
            yield tag >> 3, data[position : position + length]
            position += length
        else:
            raise ValueError(f"a field of the type {tag & 7}")
