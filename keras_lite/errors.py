"""The errors and warnings a user can cause, words for their messages, and the way to import what an extra installs."""

import importlib
import sys
import warnings
from types import ModuleType


class InputError(ValueError):
    """Raised for bad input; the message is one line that says what was expected and what was received."""


class MissingExtraError(ImportError):
    """Raised if a package is missing that an optional extra of keras-lite installs."""


class InputWarning(UserWarning):
    """A part of the input is left out, or was taken for something else: the result is another than one may expect."""


def warn(message: str) -> None:
    """Issue an `InputWarning` at the line outside of this package that called it."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, InputWarning, stacklevel=level)


def some(names: list[str]) -> str:
    """Return the first of some names, and how many there are more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def import_extra(module: str, extra: str) -> ModuleType:
    """Return a module that belongs to an optional extra.

    Args:
        module: Dotted name of the module, for example `"ai_edge_litert.interpreter"`.
        extra: The extra of keras-lite that installs it, for example `"quantization"`.

    Returns:
        The module.

    Raises:
        MissingExtraError: If it is not installed; the message gives the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise MissingExtraError(
            f'This needs the package {package}. Install it with: pip install "keras-lite[{extra}]"'
        ) from error
