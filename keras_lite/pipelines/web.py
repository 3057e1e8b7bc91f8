"""A web page around one model: a folder of static files, which a browser runs without a connection."""

import dataclasses
import functools
import os
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from keras_lite.data import model_info_path, read_model_info
from keras_lite.errors import InputError
from keras_lite.export.tflite import check_writable
from keras_lite.files import read_json, shipped_folder, write_bytes, write_text
from keras_lite.pipelines.quantize import uint8_file
from keras_lite.runtime.litert_js import PACKAGES, litert_js
from keras_lite.training import RunFolder

# HTML, styles and scripts; in the repository also examples to read.
PAGE = shipped_folder("examples/web")
_RUNTIME = "litert"
_ENDS = ("uint8", "float32")
_NOTICE = (
    "From the npm packages "
    + " and ".join(f"{package.name} {package.version}" for package in PACKAGES)
    + ", Apache-2.0, unchanged but for names and compression.\n"
)


@dataclasses.dataclass(frozen=True)
class WebOptions:
    """Options of `make_web_page`.

    Args:
        model: A run folder with a quantized model, or a `.tflite` file with its information file beside it, of uint8 or
            float32 at its ends.
        output_dir: The folder to write to; `None`: `web` in the run folder, or beside the file.
    """

    model: str | os.PathLike
    output_dir: str | os.PathLike | None = None


def make_web_page(options: WebOptions, verbose: int = 0) -> Path:
    """Write a web page that shows what a model says of photos, and return its folder.

    Any web server shows the folder; on a phone too. LiteRT.js runs the model in the browser, and photos are prepared
    as in training. What the page needs of LiteRT.js is fetched by npm the first time, and kept.

    Args:
        options: Which model, and where to.
        verbose: 1 prints what is written.

    Raises:
        InputError: If there is no such model, a browser can't run it, or LiteRT.js is not to be had.

    Example:

    ```python
    folder = make_web_page(WebOptions("runs/photos"))
    serve_web_page(folder)
    ```
    """
    file = _model_file(Path(options.model))
    folder = Path(options.output_dir or _beside(Path(options.model)))
    check_writable(folder)
    files = {f"{_RUNTIME}/{name}": content for name, content in litert_js().items()}
    files |= {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in (".html", ".css", ".js")}
    files |= {"model.tflite": file.read_bytes(), "model.json": model_info_path(file).read_bytes()}
    for name, content in files.items():
        write_bytes(folder / name, content)
    write_text(folder / _RUNTIME / "NOTICE.txt", _NOTICE)
    if verbose:
        size = sum(map(len, files.values())) / 1e6
        print(f"web page: {folder} ({len(files) + 1} files, {size:.1f} MB); any web server shows it", flush=True)
    return folder


def serve_web_page(folder: str | os.PathLike, address: str = "127.0.0.1", port: int = 8000, verbose: int = 0) -> None:
    """Serve the folder of a page until the process is interrupted.

    Args:
        folder: The folder.
        address: Where to listen. By default this machine alone can reach it.
        port: The port; 0: any that is free.
        verbose: 1 prints the page's address.

    Raises:
        OSError: If the address or the port can't be had.
    """
    with web_server(folder, address, port) as server:
        if verbose:
            shown = "localhost" if address == "127.0.0.1" else address
            print(f"http://{shown}:{server.server_port}/ (Ctrl+C ends it)", flush=True)
        server.serve_forever()


def web_server(folder: str | os.PathLike, address: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the folder's files, which listens but does not answer yet.

    Args:
        folder: The folder.
        address: Where to listen.
        port: The port; 0: any that is free, which is then `server_port`.
    """
    return ThreadingHTTPServer((address, port), functools.partial(_Handler, directory=os.fspath(folder)))


class _Handler(SimpleHTTPRequestHandler):
    # Whatever the system's own table says of them.
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".json": "application/json",
        ".gz": "application/gzip",
        ".tflite": "application/octet-stream",
    }

    def end_headers(self) -> None:
        # A browser asks whether a file has changed, so that a new page shows.
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def _model_file(path: Path) -> Path:
    """Return the file to put into the page, once its information is known to fit."""
    if path.suffix == ".tflite":
        if not path.is_file():
            raise InputError(f"Expected a model at {path}, which does not exist.")
        file = path
    else:
        run = RunFolder(path)
        file = uint8_file(run.quantized, run.info)
        if not file.is_file():
            raise InputError(f"Expected {file}, which does not exist: `keras-lite quantize {path}` writes it.")
    output = read_model_info(file).output
    entries = read_json(model_info_path(file))
    # A model may also say what each pixel is, with the output of a classifier.
    if output in ("image", "several") or len(entries.get("output_tensor", {}).get("shape", ())) > 2:
        what = {"image": "an image", "several": "several"}.get(output, "a map")
        raise InputError(f"Expected a model with one row of numbers as output, received {file}, which outputs {what}.")
    absent = [name for name in ("input_tensor", "output_tensor") if "dtype" not in entries.get(name, {})]
    if absent:
        raise InputError(
            f"Expected {' and '.join(absent)} in {model_info_path(file)}, as keras-lite quantize and export write them "
            "beside their files; received none."
        )
    types = {entries[name]["dtype"] for name in ("input_tensor", "output_tensor")}
    if not types <= set(_ENDS):
        raise InputError(
            f"Expected a model with {' or '.join(_ENDS)} at its ends, which browsers can run, received {file} with "
            f"{' and '.join(sorted(types))}: keras-lite quantize writes NAME_uint8.tflite, keras-lite export does with "
            "--precision int8 --ends uint8."
        )
    return file


def _beside(model: Path) -> Path:
    return model.with_name("web") if model.suffix == ".tflite" else RunFolder(model).web
