"""The web page's own scripts in Node, and the page itself in headless Chromium."""

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.errors import InputError
from keras_lite.files import read_json
from keras_lite.pipelines.web import PAGE, web_server

_REPOSITORY = Path(__file__).resolve().parents[1]
_SCRIPTS = Path(__file__).with_name("web")
_PLAYWRIGHT = _REPOSITORY / ".web/node_modules/playwright-core"
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_WAIT_SECONDS = 300


def missing_for_node() -> str:
    """Return what a run in Node lacks, as the end of a sentence; nothing if it can run."""
    return "" if shutil.which("node") else "there is no program node"


def missing_for_browser() -> str:
    """Return what a run in Chromium lacks, as the end of a sentence; nothing if it can run."""
    if not any(map(shutil.which, _CHROMIUM)):
        return "there is no Chromium (Debian's package chromium has it)"
    if not _PLAYWRIGHT.is_dir():
        return f"there is no {_PLAYWRIGHT}, which make test-web gets"
    return missing_for_node()


def run_script(script: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Run a script in Node, and return what it prints.

    Args:
        script: The script. It reads the job as JSON, and prints its result as a line of JSON.
        job: The job.

    Raises:
        InputError: If the script fails; the message has what it said.
    """
    finished = subprocess.run(
        ["node", str(script)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_WAIT_SECONDS,
    )
    if finished.returncode:
        raise InputError(f"Expected {script.name} to run, received: {finished.stderr[-3000:]}")
    return json.loads(finished.stdout.splitlines()[-1])


def modules_of(page: Path, folder: Path) -> Path:
    """Copy the scripts and the model of a page so that Node takes the scripts for modules; return the folder.

    Args:
        page: The page, or `keras_lite.pipelines.web.PAGE`, which has no model.
        folder: Where to; it must not be there.
    """
    shutil.copytree(page, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    for name in ("core", "wasm-utils"):
        source = folder / "litert" / f"{name}.js"
        if source.is_file():
            package = folder / "node_modules" / "@litertjs" / name
            package.mkdir(parents=True)
            shutil.copy(source, package / "index.js")
            (package / "package.json").write_text('{"type": "module", "main": "index.js"}')
    return folder


def prepare_in_node(
    photos: list[np.ndarray], preprocessings: list[Preprocessing], tensor: dict[str, Any], folder: Path
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Return what the page makes of pixels, for each preprocessing and each photo: levels, and the model's input.

    Args:
        photos: uint8 arrays of shape `(height, width, 4)`: red, green, blue and alpha.
        preprocessings: How to prepare them.
        tensor: The input's dtype, scale and zero point.
        folder: An empty folder for files.
    """
    modules = modules_of(PAGE, folder / "modules")
    for number, photo in enumerate(photos):
        (folder / f"{number}.rgba").write_bytes(np.ascontiguousarray(photo).tobytes())
    cases = []
    for case, preprocessing in enumerate(preprocessings):
        entries = [
            {
                "file": str(folder / f"{number}.rgba"),
                "width": photo.shape[1],
                "height": photo.shape[0],
                "levels": str(folder / f"{case}-{number}.levels"),
                "input": str(folder / f"{case}-{number}.input"),
            }
            for number, photo in enumerate(photos)
        ]
        cases.append({"fields": preprocessing.to_dict(), "tensor": tensor, "photos": entries})
    run_script(_SCRIPTS / "preprocess.mjs", {"modules": str(modules), "cases": cases})
    return [
        [
            tuple(
                np.fromfile(entry[kind], dtype).reshape(*preprocessing.image_size, preprocessing.channels)
                for kind, dtype in (("levels", "uint8"), ("input", tensor["dtype"]))
            )
            for entry in case["photos"]
        ]
        for case, preprocessing in zip(cases, preprocessings, strict=True)
    ]


def outputs_in_node(page: Path, inputs: np.ndarray, folder: Path) -> np.ndarray:
    """Return the outputs of a page's model in Node, both in the types of the file.

    Args:
        page: The page.
        inputs: Of shape `(count, height, width, channels)`.
        folder: An empty folder for files.
    """
    information = read_json(page / "model.json")
    (folder / "inputs").write_bytes(np.ascontiguousarray(inputs).tobytes())
    job = {
        "modules": str(modules_of(page, folder / "modules")),
        "inputs": str(folder / "inputs"),
        "outputs": str(folder / "outputs"),
        "count": len(inputs),
        "dtype": information["input_tensor"]["dtype"],
    }
    run_script(_SCRIPTS / "classify.mjs", job)
    output = information["output_tensor"]
    return np.fromfile(folder / "outputs", output["dtype"]).reshape(len(inputs), *output["shape"][1:])


@contextlib.contextmanager
def served(page: Path) -> Iterator[int]:
    """Within the block a page is served on this machine, at the port that it yields."""
    with web_server(page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def browse(page: Path, scenario: str, host: str = "localhost", **job: Any) -> dict[str, Any]:
    """Return what a scenario of `browse.mjs` finds on a page in headless Chromium.

    Args:
        page: The page.
        scenario: Its name.
        host: The name that the browser asks for.
        **job: What the scenario needs.
    """
    chromium = next(filter(None, map(shutil.which, _CHROMIUM)))
    with served(page) as port:
        job |= {"scenario": scenario, "playwright": str(_PLAYWRIGHT), "chromium": chromium}
        return run_script(_SCRIPTS / "browse.mjs", job | {"url": f"http://{host}:{port}/"})
