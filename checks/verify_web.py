"""Compare the levels that the web page makes of photos with Python's, and measure what a visit takes.

    python tools/verify_web.py [--data_dir PHOTOS] [--output FILE.md]

Needed are Node.js with npm, Chromium, and Playwright, which `make test-web` gets; without them nothing is run, and the
tool says so. Pages are made of the networks with kept weights (weights/), of an int8 and of a float32 file each.
Photos of odd kinds are read by the page in Chromium and by Pillow, with each interpolation. Then a visit with a photo,
of PHOTOS or of the built-in shapes, is measured. `tools/same_answers.py` compares the outputs.
"""

import base64
import functools
import json
import tempfile
import warnings
from pathlib import Path
from statistics import median

import numpy as np
from absl import flags

from checks.int8_figures import made_with
from checks.odd_photos import write_odd_photos
from checks.subjects import export_float, export_int8, write_photos
from checks.web_runs import browse, missing_for_browser
from keras_lite import published
from keras_lite.applications.kept_weights import KeptWeights, list_weights
from keras_lite.cli import command_line
from keras_lite.data import Preprocessing
from keras_lite.data.images import open_photo
from keras_lite.data.open_data import SHAPES
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.errors import InputWarning
from keras_lite.export import VerificationError
from keras_lite.files import read_json, write_text
from keras_lite.pipelines import make_web_page
from keras_lite.pipelines.web import WebOptions
from keras_lite.runtime import benchmark_files
from keras_lite.tables import markdown_table
from keras_lite.training.environment import processor

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", SHAPES, "Photos, at any depth.", flag_values=FLAGS)
flags.DEFINE_string("output", "results/web_page.md", "The page of results.", flag_values=FLAGS)
flags.DEFINE_string("pages", None, "Where the pages are made, or found again.", flag_values=FLAGS)

_SIZE = (224, 224)
_EXPORTS = {"int8": functools.partial(export_int8, ends="uint8"), "float32": export_float}
# Where decoders round inks and 16 bits to 8 in their own ways. Bicubic scaling overshoots, so that it makes more of it.
_ALLOWED_LEVELS = dict.fromkeys(INTERPOLATIONS, 1) | {"bicubic": 3}


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Compare, and write the page of results."""
    command_line.expect(positional)
    if missing := missing_for_browser():
        print(f"SKIPPED: nothing was run, because {missing}.")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        [photo] = write_photos(values.data_dir, 1, folder / "photos")
        made = Path(values.pages or folder / "pages")
        pages = [_page(kept, precision, made) for kept in list_weights() for precision in _EXPORTS]
        levels, chromium = _levels(pages[0], folder)
        visits = [_visit(page, photo) for page in pages]
    command = f"python tools/verify_web.py --data_dir {Path(values.data_dir).name}"
    write_text(values.output, _results(levels, visits, f"{command}`, with Chromium {chromium}"))
    print(f"written: {values.output}")


def _page(kept: KeptWeights, precision: str, folder: Path) -> Path:
    """Return the page of a network with kept weights, made unless it is there."""
    place = folder / precision / kept.row.replace("/", "-")
    [*files] = place.glob("*.tflite")
    if files:
        return make_web_page(WebOptions(files[0]))
    with warnings.catch_warnings():
        # The input is not the pixels as they are: the page reads how to get it.
        warnings.simplefilter("ignore", InputWarning)
        return make_web_page(WebOptions(_EXPORTS[precision](published.get(kept.row), kept, place)[0]))


def _levels(page: Path, folder: Path) -> tuple[list[tuple[str, ...]], str]:
    """Return a row for each interpolation: how the page's levels of odd photos compare with Python's."""
    photos = write_odd_photos(folder / "odd")
    preprocessings = [Preprocessing(_SIZE, interpolation=name) for name in INTERPOLATIONS]
    output = folder / "levels.json"
    found = browse(
        page,
        "levels",
        photos=[str(path) for path in photos.values()],
        preprocessings=[preprocessing.to_dict() for preprocessing in preprocessings],
        output=str(output),
    )
    apart: dict[str, list[int]] = {}
    for (name, path), results in zip(photos.items(), json.loads(output.read_text()), strict=True):
        if isinstance(results, str):
            raise VerificationError(f"Expected levels of {name}, received: {results}")
        photo = open_photo(path)
        apart[name] = [
            int(np.abs(_decoded(text).astype(int) - preprocessing.geometry.center(photo)).max())
            for preprocessing, text in zip(preprocessings, results, strict=True)
        ]
    rows = []
    for index, interpolation in enumerate(INTERPOLATIONS):
        other = {name: differences[index] for name, differences in apart.items() if differences[index]}
        if max(other.values(), default=0) > _ALLOWED_LEVELS[interpolation]:
            raise VerificationError(f"Expected {interpolation} levels to be those of Python, received apart: {other}")
        named = "; ".join(f"{name}: {levels}" for name, levels in other.items())
        rows.append((interpolation, str(len(apart)), str(len(apart) - len(other)), named or "none"))
    return rows, found["chromium"]


def _decoded(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "uint8").reshape(*_SIZE, 3)


def _visit(page: Path, photo: Path) -> tuple[str, ...]:
    found = browse(page, "load", photos=[str(photo)])
    [here] = benchmark_files([page / "model.tflite"])
    ran, prepared = (median(each[kind] for each in found["later"]) for kind in ("running", "preparing"))
    return (
        read_json(page / "model.json")["name"],
        page.parents[1].name,
        f"{found['bytes'] / 1e6:.1f} MB",
        f"{found['loaded'] / 1e3:.2f} s",
        f"{found['total'] / 1e3:.2f} s",
        f"{prepared:.1f} ms",
        f"{ran:.1f} ms",
        f"{here.latencies[0].median:.2f} ms",
    )


def _results(levels: list[tuple[str, ...]], visits: list[tuple[str, ...]], command: str) -> str:
    shown = markdown_table([("interpolation", "photos", "all equal", "largest difference elsewhere"), *levels], [0, 3])
    header = ("network", "file", "over the wire", "ready", "first answer", "preparing", "model", "LiteRT in Python")
    taken = markdown_table([header, *visits], [0, 1])
    return f"""# The web page beside Python

Written by `{command},
on {processor()}.

## Levels of odd photos

Photos of odd sizes and kinds (turned by EXIF, gray, transparent, Display P3, CMYK, 16 bits, one bit, WebP, AVIF, ...),
as the page reads and scales them to 224 x 224 in Chromium, beside Pillow and `keras_lite.data`. Color profiles are
passed over on both sides. Where levels differ, the decoders do: inks and 16 bits are rounded to 8 bits in other ways,
by one level, as "nearest" shows, which copies pixels alone. Bicubic scaling overshoots and makes up to three levels of
it.

{shown}

## A visit

What comes over the wire the first time, from this machine's own server; seconds until the page is ready, and until it
has answered for the first photo; then the medians of 20 more answers. The int8 files have uint8 ends, as LiteRT.js
takes no int8 there.

{taken}

Its outputs are compared in [same_answers.md](same_answers.md).

{made_with()}
"""
