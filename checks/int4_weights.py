"""Show what LiteRT makes of kernels of 4 bits, one range a channel.

    python -m checks.int4_weights [--repeats 200] [--page results/int4_weights.md]

Each layer is one operator with a kernel of whole numbers from -7 to 7, written once as int8 and once as int4 (two
numbers a byte), the rest of both files the same. Shown is what LiteRT says, into how many parts XNNPACK takes the file,
whether both files give the same outputs, and the latency on one thread.
"""

import statistics
import time
from collections.abc import Sequence

import ai_edge_litert
import numpy as np
from absl import flags
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import Builder

from keras_lite.cli import command_line
from keras_lite.files import write_text
from keras_lite.litert import Operator, QuantizationParameters, QuantizedGraph, Tensor, write
from keras_lite.litert.options import tflite_schema
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.tables import markdown_table, text_table
from keras_lite.training.environment import processor

FLAGS = command_line.new_flags()
flags.DEFINE_integer("repeats", 200, "Runs of each file.", 1, flag_values=FLAGS)
flags.DEFINE_string("page", None, "Page to write.", flag_values=FLAGS)

_LARGEST = 7
_PAGE = """# Kernels of 4 bits in LiteRT

Written by `python -m checks.int4_weights --page results/int4_weights.md`.

Each layer is one operator with a kernel of whole numbers from -7 to 7 and one scale a channel, once as int8 and once as
int4 (two numbers a byte), all else the same. Where XNNPACK does not take the operator, LiteRT's own kernels run it,
which round otherwise.

{table}

XNNPACK has int4 kernels for fully connected layers, and for no convolution. The networks here hold nearly all of their
weights and their work in convolutions, where int4 gives a smaller file and a slower network: so int8 it is, and 4 bits
are no option of `quantize_aware`.

{made_with}; one thread.
"""
# Name -> kind, shape of the input, shape of the kernel, shape of the output.
LAYERS = {
    "1x1 convolution": ("CONV_2D", (1, 28, 28, 128), (128, 1, 1, 128), (1, 28, 28, 128)),
    "3x3 convolution": ("CONV_2D", (1, 28, 28, 64), (64, 3, 3, 64), (1, 28, 28, 64)),
    "3x3 depthwise convolution": ("DEPTHWISE_CONV_2D", (1, 28, 28, 256), (1, 3, 3, 256), (1, 28, 28, 256)),
    "fully connected": ("FULLY_CONNECTED", (1, 1024), (1000, 1024), (1, 1000)),
}
_WINDOW = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "fused_activation_function": "NONE"}
_OPTIONS = {"CONV_2D": _WINDOW, "DEPTHWISE_CONV_2D": {**_WINDOW, "depth_multiplier": 1}}


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Show a table."""
    command_line.expect(positional)
    rows = [("layer", "XNNPACK takes", "outputs", "int8 file", "int4 file", "latency int8", "int4")]
    for name, (kind, *shapes) in LAYERS.items():
        content = write(layer_graph(kind, *shapes))
        rows.append((name, *_compare(content, with_int4(content), values.repeats)))
    print(text_table(rows))
    made_with = f"ai-edge-litert {ai_edge_litert.__version__}, {processor()}"
    print(made_with)
    if values.page:
        write_text(values.page, _PAGE.format(table=markdown_table(rows), made_with=made_with))


def layer_graph(kind: str, shape: Sequence[int], kernel_shape: Sequence[int], output_shape: Sequence[int]):
    """Return an int8 graph of one layer, whose kernel has whole numbers from -7 to 7."""
    rng = np.random.default_rng(0)
    channels = kernel_shape[CHANNEL_AXES[kind]]
    zeros, scales = np.zeros(channels), rng.uniform(0.01, 0.02, channels).astype("float32")
    x = Tensor("x", shape, dtype="int8", quantization=QuantizationParameters(0.05, 0))
    y = Tensor("y", output_shape, dtype="int8", quantization=QuantizationParameters(0.25, 0))
    integers = rng.integers(-_LARGEST, _LARGEST + 1, kernel_shape).astype("int8")
    of_kernel = QuantizationParameters(scales, zeros, CHANNEL_AXES[kind])
    kernel = Tensor("kernel", kernel_shape, integers, quantization=of_kernel)
    of_bias = QuantizationParameters(0.05 * scales.astype("float64"), zeros)
    bias = Tensor("bias", (channels,), rng.integers(-500, 500, channels).astype("int32"), quantization=of_bias)
    operator = Operator(kind, [x, kernel, bias], [y], dict(_OPTIONS.get(kind, {})))
    return QuantizedGraph("layer", [x], [y], [operator])


def with_int4(content: bytes) -> bytes:
    """Return a file whose kernels are int4: two numbers a byte, the first in the lower half.

    Args:
        content: A file of int8 kernels from -7 to 7.
    """
    schema = tflite_schema()
    model = schema.ModelT.InitFromPackedBuf(content)
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.name == b"kernel":
                tensor.type = schema.TensorType.INT4
                model.buffers[tensor.buffer].data = packed(np.asarray(model.buffers[tensor.buffer].data, "uint8"))
    builder = Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def packed(numbers: np.ndarray) -> np.ndarray:
    """Return bytes with two of the numbers each."""
    halves = np.append(numbers, np.zeros(len(numbers) % 2, "uint8")) & 15
    return halves[::2] | (halves[1::2] << 4)


def _compare(whole: bytes, half: bytes, repeats: int) -> tuple[str, ...]:
    sizes = f"{len(whole):,} B", f"{len(half):,} B"
    first, _, seconds = _run(whole, repeats)
    try:
        second, parts, other_seconds = _run(half, repeats)
    except (RuntimeError, ValueError) as error:
        return "-", str(error).split("\n")[0], *sizes, f"{1e3 * seconds:.3f} ms", "-"
    apart = np.abs(first.astype("int32") - second)
    outputs = "equal" if not apart.any() else f"{(apart > 0).mean():.1%} differ, by up to {apart.max()}"
    return parts, outputs, *sizes, f"{1e3 * seconds:.3f} ms", f"{1e3 * other_seconds:.3f} ms"


def _run(content: bytes, repeats: int) -> tuple[np.ndarray, str, float]:
    """Return the outputs of a file, what of it XNNPACK took, and the median latency."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    delegated = [each for each in interpreter._get_ops_details() if each["op_name"] == "DELEGATE"]
    parts = "the operator" if delegated else "nothing"
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    rng = np.random.default_rng(1)
    interpreter.set_tensor(source["index"], rng.integers(-128, 128, source["shape"]).astype("int8"))
    interpreter.invoke()
    outputs, seconds = interpreter.get_tensor(target["index"]), []
    for _ in range(repeats):
        start = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - start)
    return outputs, parts, statistics.median(seconds)


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
