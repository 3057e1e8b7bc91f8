"""The command line, `keras-lite COMMAND`: one file a command, which has its flags and nothing else.

Each of these modules has a docstring, which is the help text, `FLAGS`, and `main(values, positional)`. They are
imported when their command runs, so that `keras-lite --help` need not wait for Keras.
"""

import importlib
import sys
from typing import NoReturn

# Name -> what it does.
COMMANDS = {
    "finetune": "from photos and weights to a model, its mistakes, an app's assets and a web page",
    "train": "train a published network by its recipe",
    "quantize": "the int8 file closest to a trained model, with a table",
    "export": "one verified .tflite file: float32, float16, dynamic, int16 or int8",
    "evaluate": "accuracy of a model, its classes and worst mistakes",
    "predict": "what a model says of single photos",
    "compare": "accuracy, size and latency at each precision",
    "benchmark": "latency and operators of .tflite files",
    "android": "latency of .tflite files on a phone, through adb",
    "web": "a web page that runs a quantized model in the browser",
    "profile": "parameters and multiply-accumulates, layer by layer",
    "convert": "weights from and to PyTorch files; Keras 2 models to Keras 3",
}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command that a command line names, then end the process.

    Args:
        arguments: The command line without the program's name. Defaults to `sys.argv[1:]`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0] if arguments else ""
    if name in COMMANDS:
        run(name, arguments[1:])
    width = max(map(len, COMMANDS))
    text = "\n".join(f"  {command:{width}}  {what}" for command, what in COMMANDS.items())
    usage = f"keras-lite COMMAND ...\n\n{text}\n\nkeras-lite COMMAND --help says more of one."
    if name in ("", "-h", "--help", "help"):
        print(usage)
        sys.exit(0 if name else 2)
    print(f"error: Expected a command, one of {', '.join(COMMANDS)}; received {name!r}.", file=sys.stderr)
    sys.exit(2)


def run(name: str, arguments: list[str] | None = None) -> NoReturn:
    """Run one command, then end the process.

    Args:
        name: One of `COMMANDS`.
        arguments: What stands behind the command. Defaults to `sys.argv[1:]`.
    """
    command = importlib.import_module(f"keras_lite.cli.{name}")
    if hasattr(command, "run"):  # its flags depend on what it is to run
        command.run(arguments)
    command_line = importlib.import_module("keras_lite.cli.command_line")
    command_line.run(command.main, command.FLAGS, command.__doc__, arguments)
