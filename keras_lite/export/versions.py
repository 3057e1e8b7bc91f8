"""Which versions of packages a file was made with."""

import importlib.metadata

import keras

_PACKAGES = ("keras-lite", "keras", "tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert")


def versions() -> dict[str, str]:
    """Return the backend, and the versions of the packages that make a file."""
    found = {"backend": keras.backend.backend()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
