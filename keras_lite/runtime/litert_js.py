"""LiteRT.js, LiteRT for browsers: its two npm packages, of one version, their hashes checked."""

import dataclasses
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from keras_lite.errors import InputError
from keras_lite.files import write_bytes

_WAIT_SECONDS = 600
# npm alone would try for a quarter of an hour where nothing answers.
_PATIENCE = ("--fetch-retries=1", "--fetch-timeout=120000")


@dataclasses.dataclass(frozen=True)
class NpmPackage:
    """A package of one version, and which of its files are taken.

    Args:
        name: As npm has it.
        version: The version.
        sha256: SHA-256 of the archive that `npm pack` gets.
        files: Path of a file in the package -> its name here. One that ends in `.gz` is compressed.
    """

    name: str
    version: str
    sha256: str
    files: dict[str, str]

    @property
    def archive(self) -> str:
        """Name of the archive that `npm pack` writes."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


# The runtime without threads (they need headers that few servers send), and one for browsers without relaxed SIMD.
PACKAGES = (
    NpmPackage(
        "@litertjs/core",
        "2.5.3",
        "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd",
        {"dist/index.js": "core.js"}
        | {f"wasm/{name}.js": f"{name}.js" for name in ("litert_wasm_internal", "litert_wasm_compat_internal")}
        | {f"wasm/{name}.wasm": f"{name}.wasm.gz" for name in ("litert_wasm_internal", "litert_wasm_compat_internal")},
    ),
    NpmPackage(
        "@litertjs/wasm-utils",
        "2.5.3",
        "ce2a1f8379c067be49e59752e5a7f40db6be09f6e497f0f11e59f17b515366a7",
        {"dist/index.js": "wasm-utils.js"},
    ),
)


def litert_js() -> dict[str, bytes]:
    """Return the files of LiteRT.js that a page needs: name -> content.

    The packages are fetched by npm the first time, and kept in Keras' cache (`~/.keras`, or `KERAS_HOME`).

    Raises:
        InputError: If npm is missing or can't get a package, or gets another one than is expected.

    Example:

    ```python
    sizes = {name: len(content) for name, content in litert_js().items()}
    ```
    """
    return {name: content for package in PACKAGES for name, content in _files(package).items()}


def cache_folder() -> Path:
    """Return where the packages are kept."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "keras_lite" / "npm"


def _files(package: NpmPackage) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(_archive(package))) as archive:
        for path, name in package.files.items():
            content = archive.extractfile(f"package/{path}").read()
            # Without a date: the same package gives the same bytes.
            files[name] = gzip.compress(content, mtime=0) if name.endswith(".gz") else content
    return files


def _archive(package: NpmPackage) -> bytes:
    """Return the archive of a package, from the cache where it is there and whole."""
    path = cache_folder() / package.archive
    if path.is_file() and _sha256(path.read_bytes()) == package.sha256:
        return path.read_bytes()
    content = _fetch(package)
    received = _sha256(content)
    if received != package.sha256:
        raise InputError(
            f"Expected {package.name} {package.version} with SHA-256 {package.sha256}, received one with {received}."
        )
    write_bytes(path, content)
    return content


def _fetch(package: NpmPackage) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            f"Expected npm, which comes with Node.js, to fetch {package.name} {package.version}, received no such "
            "program."
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", *_PATIENCE, f"{package.name}@{package.version}"]
        try:
            finished = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_WAIT_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"Expected {' '.join(command[1:])} to end in {_WAIT_SECONDS} s, it did not.") from error
        path = Path(folder, package.archive)
        if finished.returncode or not path.is_file():
            lines = [line for line in finished.stderr.splitlines() if line.strip()] or [f"exit {finished.returncode}"]
            raise InputError(
                f"Expected npm to fetch {package.name} {package.version}, received: {lines[0].strip()} (once it is "
                f"there, it is kept in {cache_folder()})."
            )
        return path.read_bytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
