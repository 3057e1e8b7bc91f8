"""The same network in PyTorch, trained step by step like the published code, to compare the speed."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.graph import View, flatten

# From tensors to a tensor, and the PyTorch module behind it, if it has weights.
_Step = tuple[Callable, Any]


def pytorch_twin(model: keras.Model) -> Any:
    """Return a Keras model as a PyTorch module of PyTorch's own layers, with the same weights and outputs.

    Padding that stands before a convolution becomes the convolution's own, as one writes it in PyTorch.

    Args:
        model: A functional Keras model on any backend, with one input and one output.

    Returns:
        A `torch.nn.Module` that takes images of shape `(batch, channels, height, width)`.

    Raises:
        InputError: If the model contains a layer that has no twin here; the message names it.
        MissingExtraError: If PyTorch is not installed.

    Example:

    ```python
    twin = pytorch_twin(keras_lite.applications.CARNet18())
    logits = twin(torch.zeros(1, 3, 244, 244))
    ```
    """
    torch = import_extra("torch", "torch")
    flat = flatten(model)
    padding: dict[int, tuple[int, int]] = {}  # of tensors that only a convolution pads
    sources: dict[int, int] = {}
    steps, modules = [], []
    view = View(flat)
    for layer, inputs, [output] in view.calls:
        keys = [sources.get(id(tensor), id(tensor)) for tensor in inputs]
        if type(layer).__name__ == "ZeroPadding2D" and _only_convolved(view, output):
            padding[id(output)] = _symmetric(layer.padding)
            sources[id(output)] = keys[0]
            continue
        function, module = _step(layer, padding.get(id(inputs[0]), (0, 0)), len(output.shape), torch)
        steps.append((function, keys, id(output)))
        modules += [] if module is None else [module]

    class Twin(torch.nn.Module):
        """The steps of the model, one after the other."""

        def __init__(self) -> None:
            super().__init__()
            self.weighted = torch.nn.ModuleList(modules)

        def forward(self, images: Any) -> Any:
            values = {id(flat.inputs[0]): images}
            for function, keys, output in steps:
                values[output] = function(*(values[key] for key in keys))
            return values[id(flat.outputs[0])]

    return Twin()


class TwinTraining:
    """The training step of a network's PyTorch twin, images with the channels last, on the CPU.

    It runs in a process of its own, since the threads of two frameworks in one process slow each other down. Between
    the calls that process waits. `close` ends it.

    Args:
        model: The Keras model.
        batch_size: Images in a step.
        adam: Whether the optimizer is Adam; else it is SGD with momentum and weight decay.
        compiled: Whether `torch.compile` compiles the network, which needs a C++ compiler; else it is eager.

    Raises:
        MissingExtraError: If PyTorch is not installed.
    """

    def __init__(self, model: keras.Model, batch_size: int, adam: bool, compiled: bool = False) -> None:
        import_extra("torch", "torch")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            model.save(path)
            command = [sys.executable, "-m", __name__, str(path), str(batch_size), "adam" if adam else "sgd"]
            command += ["compiled"] if compiled else []
            environment = {**os.environ, "KERAS_BACKEND": "torch"}
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
            )
            self.images_per_second(1)

    def images_per_second(self, steps: int) -> float:
        """Train some steps on one batch and return the speed."""
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            raise InputError(f"Expected PyTorch to train the network, received exit code {self._process.wait()}.")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _serve(path: str, batch_size: int, optimizer: str, *, compiled: bool) -> None:
    """Train as many steps as each line of the standard input says, and answer each with the images a second."""
    torch = import_extra("torch", "torch")
    torch.set_num_threads(os.cpu_count() or 1)
    model = keras.models.load_model(path, compile=False)
    twin = pytorch_twin(model).to(memory_format=torch.channels_last).train()
    height, width, channels = model.input_shape[1:]
    images = torch.rand(batch_size, channels, height, width).to(memory_format=torch.channels_last)
    labels = torch.randint(model.output_shape[-1], (batch_size,))
    if optimizer == "adam":
        update = torch.optim.Adam(twin.parameters(), 1e-4)
    else:
        update = torch.optim.SGD(twin.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)
    run = torch.compile(twin) if compiled else twin
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            update.zero_grad()
            loss = torch.nn.functional.cross_entropy(run(images), labels)
            loss.backward()
            update.step()
            loss.item()
        print(int(line) * batch_size / (time.perf_counter() - start), flush=True)


def _only_convolved(view: View, tensor: keras.KerasTensor) -> bool:
    """Return whether convolutions, and nothing else, take a tensor."""
    calls = view.consumers(tensor)
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return bool(calls) and all(isinstance(call.operation, kinds) for call in calls)


def _symmetric(padding: tuple) -> tuple[int, int]:
    (top, bottom), (left, right) = padding
    if top != bottom or left != right:
        raise InputError(f"Expected padding that is the same on both sides, received {padding}.")
    return top, left


def _step(layer: keras.Operation, padding: tuple[int, int], rank: int, torch: Any) -> _Step:
    kind = type(layer).__name__
    functional = torch.nn.functional
    if kind in ("Conv2D", "DepthwiseConv2D"):
        return _convolution(layer, padding, torch)
    if kind == "BatchNormalization":
        return _batch_norm(layer, torch)
    if kind == "Dense":
        return _dense(layer, torch)
    if kind == "PositionEmbedding":
        (weights,) = _weights(layer, torch)
        module = torch.nn.ParameterList([weights.permute(2, 0, 1).contiguous()])
        return lambda x: x + module[0], module
    if kind == "Dropout":
        module = torch.nn.Dropout(layer.rate)
        return module, module
    if kind == "MaxPooling2D":
        side = layer.pool_size[0] // 2 if layer.padding == "same" else 0
        return lambda x: functional.max_pool2d(x, layer.pool_size, layer.strides, side), None
    if kind == "GlobalAveragePooling2D":
        return lambda x: x.mean((2, 3), keepdim=layer.keepdims), None
    if kind == "Reshape":
        return lambda x: _images(_rows(x).reshape(-1, *layer.target_shape)), None
    if kind == "Permute":
        dims = (0, *layer.dims)
        return lambda x: _images(_rows(x).permute(dims)), None
    if kind == "Cropping2D":
        (top, bottom), (left, right) = layer.cropping
        return lambda x: x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right], None
    if kind == "ZeroPadding2D":
        rows, columns = layer.padding
        return lambda x: functional.pad(x, (*columns, *rows)), None
    if kind == "Concatenate":
        axis = {1: 2, 2: 3}.get(layer.axis, 1) if rank == 4 else layer.axis
        return lambda *tensors: torch.cat(tensors, axis), None
    simple = {
        "Add": lambda *tensors: sum(tensors[1:], tensors[0]),
        "Flatten": lambda x: _rows(x).flatten(1),
        "Multiply": lambda x, y: x * y,
        "ReLU": functional.relu6 if getattr(layer, "max_value", None) == 6 else functional.relu,
    }
    if kind == "Activation":
        name = keras.activations.serialize(layer.activation)
        activations = {
            "hard_silu": functional.hardswish,
            "hard_sigmoid": functional.hardsigmoid,
            "relu": functional.relu,
            "relu6": functional.relu6,
            "sigmoid": torch.sigmoid,
        }
        simple["Activation"] = activations.get(name)
    if simple.get(kind) is None:
        raise InputError(f"Expected layers that have a twin in PyTorch, received {layer.name} of type {kind}.")
    return simple[kind], None


def _rows(x: Any) -> Any:
    """Return a tensor with the channels last."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def _images(x: Any) -> Any:
    """Return a tensor with the channels first."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _weights(layer: keras.layers.Layer, torch: Any) -> list[Any]:
    return [torch.from_numpy(np.array(values, "float32")) for values in layer.get_weights()]


def _convolution(layer: keras.layers.Layer, padding: tuple[int, int], torch: Any) -> _Step:
    kernel, *bias = _weights(layer, torch)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = kernel.permute(2, 3, 0, 1)
        channels = kernel.shape[0]
        filters, groups = channels * kernel.shape[1], channels
        kernel = kernel.reshape(filters, 1, *kernel.shape[2:])
    else:
        kernel, groups = kernel.permute(3, 2, 0, 1), layer.groups
        filters, channels = kernel.shape[0], kernel.shape[1] * groups
    if layer.padding == "same":
        padding = tuple(size // 2 for size in layer.kernel_size)
    module = torch.nn.Conv2d(
        channels, filters, layer.kernel_size, layer.strides, padding, groups=groups, bias=layer.use_bias
    )
    _copy(torch, {module.weight: kernel, **({module.bias: bias[0]} if bias else {})})
    return module, module


def _batch_norm(layer: keras.layers.Layer, torch: Any) -> _Step:
    gamma, beta, mean, variance = _weights(layer, torch)
    module = torch.nn.BatchNorm2d(len(gamma), layer.epsilon, 1 - layer.momentum)
    _copy(
        torch,
        {module.weight: gamma, module.bias: beta, module.running_mean: mean, module.running_var: variance},
    )
    return module, module


def _dense(layer: keras.layers.Layer, torch: Any) -> _Step:
    kernel, bias = _weights(layer, torch)
    module = torch.nn.Linear(*kernel.shape)
    _copy(torch, {module.weight: kernel.T, module.bias: bias})
    return module, module


def _copy(torch: Any, values: dict[Any, Any]) -> None:
    with torch.no_grad():
        for parameter, value in values.items():
            parameter.copy_(value)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], compiled="compiled" in sys.argv[4:])
