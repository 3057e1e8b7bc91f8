"""Compare the web page with Python: photos' levels, outputs in Node and in Chromium, and what a visit takes.

    python tools/verify_web.py [--data_dir PHOTOS] [--output FILE.md]

Needed are Node.js with npm, Chromium, and Playwright, which `make test-web` gets; without them nothing is run, and the
tool says so. Pages are made of the networks with kept weights (weights/). Photos of odd kinds are read by the page
in Chromium and by Pillow, with each interpolation. Then 20 photos, of PHOTOS or of the built-in shapes, go through
each model in LiteRT here, in Node and in the page: all outputs must be equal. Last, a visit is measured.
"""

import base64
import json
import tempfile
import warnings
from pathlib import Path
from statistics import median

import numpy as np
from absl import flags
from PIL import Image

from checks.int8_figures import made_with
from checks.odd_photos import write_odd_photos
from checks.subjects import export_int8
from checks.web_runs import browse, missing_for_browser, outputs_in_node
from keras_lite import published
from keras_lite.applications.kept_weights import KeptWeights, list_weights
from keras_lite.cli import command_line
from keras_lite.data import Preprocessing, make_shapes, read_model_info
from keras_lite.data.images import open_photo
from keras_lite.data.open_data import SHAPES
from keras_lite.data.photo_tree import find_photos
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.errors import InputError, InputWarning
from keras_lite.export import VerificationError
from keras_lite.files import read_json, write_text
from keras_lite.pipelines import make_web_page
from keras_lite.pipelines.web import WebOptions
from keras_lite.runtime import benchmark_files, examine
from keras_lite.runtime.litert_worker import to_float, to_model_type
from keras_lite.tables import markdown_table
from keras_lite.training.environment import processor

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", SHAPES, "Photos, at any depth.", flag_values=FLAGS)
flags.DEFINE_string("output", "results/web_page.md", "The page of results.", flag_values=FLAGS)
flags.DEFINE_string("pages", None, "Where the pages are made, or found again.", flag_values=FLAGS)
flags.DEFINE_integer("photos", 20, "How many.", 1, flag_values=FLAGS)

_SIZE = (224, 224)
_SHAPES_PIXELS = 160
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
        photos = _photos(values.data_dir, values.photos, folder / "photos")
        pages = [_page(kept, Path(values.pages or folder / "pages")) for kept in list_weights()]
        levels, chromium = _levels(pages[0], folder)
        outputs = [_outputs(page, photos, folder) for page in pages]
        visits = [_visit(page, photos[0]) for page in pages]
    command = f"python tools/verify_web.py --data_dir {Path(values.data_dir).name}"
    write_text(values.output, _results(levels, outputs, visits, f"{command}`, with Chromium {chromium}", len(photos)))
    print(f"written: {values.output}")


def _page(kept: KeptWeights, folder: Path) -> Path:
    """Return the page of a network with kept weights, made unless it is there."""
    place = folder / kept.row.replace("/", "-")
    [*files] = place.glob("*.tflite")
    if files:
        return make_web_page(WebOptions(files[0]))
    with warnings.catch_warnings():
        # The input is not the pixels as they are: the page reads how to get it.
        warnings.simplefilter("ignore", InputWarning)
        return make_web_page(WebOptions(export_int8(published.get(kept.row), kept, place, "uint8")[0]))


def _photos(data_dir: str, count: int, folder: Path) -> list[Path]:
    if data_dir != SHAPES:
        found = find_photos(data_dir)
        if len(found) < count:
            raise InputError(f"Expected {count} photos in {data_dir}, found {len(found)}.")
        return [found[index] for index in np.linspace(0, len(found) - 1, count).astype(int)]
    folder.mkdir()
    paths = []
    for number, image in enumerate(make_shapes(count, 0, _SHAPES_PIXELS).images(np.arange(count))):
        paths.append(folder / f"{number}.png")
        Image.fromarray(image).save(paths[-1])
    return paths


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


def _outputs(page: Path, photos: list[Path], folder: Path) -> tuple[str, ...]:
    """Return a row: a model's outputs in LiteRT here, in Node and in Chromium."""
    information = read_json(page / "model.json")
    preprocessing = read_model_info(page / "model.tflite").preprocessing
    images = preprocessing(np.stack([preprocessing.geometry.center(open_photo(path)) for path in photos]))
    details = [
        {"dtype": each["dtype"], "quantization": (each["scale"], each["zero_point"])}
        for each in (information["input_tensor"], information["output_tensor"])
    ]
    here = examine(page / "model.tflite", images=images).outputs
    scratch = folder / f"node {page.parent.name}"
    scratch.mkdir()
    in_node = to_float(outputs_in_node(page, to_model_type(images, details[0]), scratch), details[1])
    answers = browse(page, "answers", photos=[str(path) for path in photos])
    in_page = np.array(answers["numbers"], "float32")
    different = [int((other != here).sum()) for other in (in_node, in_page)]
    if any(different):
        raise VerificationError(
            f"Expected the outputs of LiteRT for {information['name']}, received other: {different}"
        )
    size = f"{information['bytes'] / 1e3:,.0f} kB"
    side = " x ".join(map(str, preprocessing.image_size))
    varied = f"{np.median(np.rint(here / details[1]['quantization'][0]).std(0)):.1f}"
    return (information["name"], side, size, f"{here.size:,}", varied, *map(str, different))


def _visit(page: Path, photo: Path) -> tuple[str, ...]:
    found = browse(page, "load", photos=[str(photo)])
    [here] = benchmark_files([page / "model.tflite"])
    ran, prepared = (median(each[kind] for each in found["later"]) for kind in ("running", "preparing"))
    name = read_json(page / "model.json")["name"]
    return (
        name,
        f"{found['bytes'] / 1e6:.1f} MB",
        f"{found['loaded'] / 1e3:.2f} s",
        f"{found['total'] / 1e3:.2f} s",
        f"{prepared:.1f} ms",
        f"{ran:.1f} ms",
        f"{here.latencies[0].median:.2f} ms",
    )


def _results(
    levels: list[tuple[str, ...]],
    outputs: list[tuple[str, ...]],
    visits: list[tuple[str, ...]],
    command: str,
    photos: int,
) -> str:
    shown = markdown_table([("interpolation", "photos", "all equal", "largest difference elsewhere"), *levels], [0, 3])
    equal = markdown_table(
        [("network", "pixels", "file", "outputs", "deviation", "other in Node", "other in the page"), *outputs], [0]
    )
    taken = markdown_table(
        [("network", "over the wire", "ready", "first answer", "preparing", "model", "LiteRT in Python"), *visits], [0]
    )
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

## Outputs

{photos} photos go through each network's int8 file with uint8 ends, in LiteRT here, in LiteRT.js in Node, and in the
page, there from the photo on. The deviation over the photos is in steps of the output: the outputs are no constants.

{equal}

## A visit

What comes over the wire the first time, from this machine's own server; seconds until the page is ready, and until it
has answered for the first photo; then the medians of 20 more answers.

{taken}

{made_with()}
"""
