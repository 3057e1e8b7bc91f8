"""Shared parts of all commands: flags, and errors of one line."""

import contextlib
import copy
import errno
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from absl import flags

from keras_lite.errors import InputError, InputWarning, MissingExtraError

USAGE_ERROR = 2
INPUT_ERROR = 1


HELP_ALL = "--help-all"


class Flags(flags.FlagValues):
    """The flags of a command.

    Attributes:
        _hidden: Names of those that only `--help-all` explains.
    """

    def __init__(self) -> None:
        super().__init__()
        # FlagValues takes attributes for flags.
        self.__dict__["_hidden"] = set()


def new_flags() -> Flags:
    """Return an empty set of flags with `--help` and `--debug`, to define a command's own flags in."""
    values = Flags()
    flags.DEFINE_boolean("help", False, "Show this help and stop.", short_name="h", flag_values=values)
    flags.DEFINE_boolean("debug", False, "Show the traceback of an error.", flag_values=values)
    hide(values, "help", "debug")
    return values


def hide(values: Flags, *names: str) -> None:
    """Hide flags from `--help`; `--help-all` explains them.

    Args:
        values: The flags, from `new_flags`.
        *names: Names of flags that are seldom needed.
    """
    values._hidden.update(names)


def expect(positional: list[str], *names: str) -> list[str]:
    """Return the positional arguments, after checking their number.

    Args:
        positional: The arguments.
        *names: Name of each, such as `"MODEL"`.

    Raises:
        InputError: If they are more or fewer.
    """
    if len(positional) != len(names):
        wanted = " and ".join(names) if len(names) > 1 else f"one {names[0]}" if names else "flags only"
        received = len(positional) if names else " ".join(positional)
        raise InputError(f"Expected {wanted}, received {received} (--help says more).")
    return positional


def run(
    main: Callable[[flags.FlagValues, list[str]], None],
    values: Flags,
    usage: str,
    arguments: list[str] | None = None,
) -> NoReturn:
    """Parse the command line, call `main(flags, positional_arguments)` and end the process.

    The process ends with 0; with 1 after an error that the input caused (wrong file, missing extra, full disk), said
    in one line; with 2 after a wrong flag. Any other exception is a defect and keeps its traceback.

    Args:
        main: The command.
        values: Its flags, from `new_flags`.
        usage: The help text; usually the `__doc__` of the command's module.
        arguments: The command line without the program's name. Defaults to `sys.argv[1:]`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if HELP_ALL in arguments:
        print(_help(values, usage, everything=True))
        sys.exit(0)
    values = copy.deepcopy(values)  # so that a second run in the same process starts from the defaults
    try:
        positional = values([sys.argv[0], *arguments])[1:]
    except flags.Error as error:
        print(f"error: {_one_line(error)} (--help lists the flags)", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    if values.help:
        print(_help(values, usage, everything=False))
        sys.exit(0)
    # Photos of 90 to 179 megapixels are read; of larger ones Pillow's refusal is an error.
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")
    try:
        with warnings_in_plain_lines():
            main(values, positional)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except (InputError, MissingExtraError, OSError) as error:
        if values.debug:
            raise
        print(f"error: {_describe(error)}", file=sys.stderr)
        sys.exit(INPUT_ERROR)
    sys.exit(0)


@contextlib.contextmanager
def warnings_in_plain_lines() -> Iterator[None]:
    """Within the block an `InputWarning` is a line on the standard error output, without the place in the code."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if issubclass(category, InputWarning):
                print(message, file=sys.stderr)
            else:
                shown(message, category, *place)

        warnings.simplefilter("always", InputWarning)
        warnings.showwarning = show
        yield


def _help(values: Flags, usage: str, everything: bool) -> str:
    lines, hidden = [], []
    for name in values:
        flag = values[name]
        if name != flag.name:  # a short name
            continue
        if name in values._hidden and not everything:
            hidden.append(name)
            continue
        default = "" if flag.default in (None, False, []) else f" (default: {flag.default_as_str.strip(chr(39))})"
        lines.append(f"  --{name}: {flag.help}{default}")
    if hidden:
        lines.append(f"{HELP_ALL} explains {len(hidden)} more: {', '.join(hidden)}.")
    return "\n".join([usage.strip(), "", "Flags:", *lines])


def _describe(error: Exception) -> str:
    # h5py wraps the number of a failed write into its text.
    if isinstance(error, OSError) and (error.errno == errno.ENOSPC or "No space left" in str(error)):
        return f"no space left on the disk{_place(error)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{_place(error)}"
    return _one_line(error)


def _place(error: OSError) -> str:
    return f": {os.fspath(error.filename)}" if error.filename else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
