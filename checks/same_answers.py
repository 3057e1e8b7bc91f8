"""Compare what one int8 file answers on x86, on emulated ARM64 processors, and in WebAssembly, in Node and in Chromium.

    python tools/same_answers.py [--data_dir PHOTOS] [--output FILE.md]

Needed are what `make arm64` and `make test-web` get, Node.js and Chromium; without them nothing is run, and the tool
says so. The networks with kept weights (weights/) are exported with uint8 ends, as the page needs them, and every
processor gets the same file and the same photos, of PHOTOS or of the built-in shapes; the page prepares them itself.
All outputs must be those of `keras_lite.litert.IntegerModel` of the processor's target, computed without a file:
"x86", for WebAssembly too, and "arm64".
"""

import platform
import tempfile
import warnings
from pathlib import Path

import numpy as np
from absl import flags

from checks.arm64_runs import PROCESSORS, Emulator
from checks.int8_figures import made_with
from checks.subjects import export_int8, write_photos
from checks.web_runs import browse, missing_for_browser, outputs_in_node
from keras_lite import published
from keras_lite.applications.kept_weights import KeptWeights, list_weights
from keras_lite.cli import command_line
from keras_lite.data.images import open_photo
from keras_lite.data.open_data import SHAPES
from keras_lite.errors import InputWarning
from keras_lite.export import VerificationError
from keras_lite.files import read_json, write_text
from keras_lite.litert import IntegerModel, target_of
from keras_lite.pipelines import make_web_page
from keras_lite.pipelines.web import WebOptions
from keras_lite.runtime import examine
from keras_lite.runtime.litert_worker import to_float, to_model_type
from keras_lite.tables import markdown_table, text_table
from keras_lite.training.environment import processor

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", SHAPES, "Photos, at any depth.", flag_values=FLAGS)
flags.DEFINE_string("output", "results/same_answers.md", "The page of results.", flag_values=FLAGS)
flags.DEFINE_integer("photos", 20, "How many.", 1, flag_values=FLAGS)

_HERE = "x86"
_PLACES = (_HERE, *PROCESSORS, "Node", "Chromium")
_HEADER = ("network", "pixels", "outputs", "deviation", *_PLACES, "others on ARM64")


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Compare, and write the page of results."""
    command_line.expect(positional)
    emulator = Emulator()
    missing = [f"there is no {getattr(emulator, name)}, which make arm64 gets" for name in emulator.missing()]
    missing += [reason for reason in [missing_for_browser()] if reason]
    if target_of(platform.machine()) != _HERE:
        missing.append(f"this is no {_HERE} processor")
    if missing:
        print(f"SKIPPED: nothing was run, because {missing[0]}.")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = write_photos(values.data_dir, values.photos, folder / "photos")
        compared = [_compare(kept, photos, emulator, folder / kept.name / kept.network) for kept in list_weights()]
    rows = [_HEADER, *(row for row, _ in compared)]
    print(text_table(rows))
    write_text(values.output, _results(rows, values.data_dir, len(photos), compared[0][1]))
    print(f"written: {values.output}")


def _compare(kept: KeptWeights, photos: list[Path], emulator: Emulator, folder: Path) -> tuple[tuple[str, ...], str]:
    """Return a row of the table, and the version of Chromium.

    Raises:
        VerificationError: If an output is not that of the target's model.
    """
    with warnings.catch_warnings():
        # The input is not the pixels as they are: the page reads how to get it.
        warnings.simplefilter("ignore", InputWarning)
        path, info, graph = export_int8(published.get(kept.row), kept, folder, "uint8")
    preprocessing = info.preprocessing
    images = preprocessing(np.stack([preprocessing.geometry.center(open_photo(photo)) for photo in photos]))
    models = {target: IntegerModel(graph, target).predict(images) for target in (_HERE, "arm64")}
    received = {_HERE: examine(path, images=images).outputs}
    received |= {cpu: emulator.run(cpu, path, images, folder)[0] for cpu in PROCESSORS}
    page = make_web_page(WebOptions(path))
    entries = read_json(page / "model.json")
    ends = [
        {"dtype": each["dtype"], "quantization": (each["scale"], each["zero_point"])}
        for each in (entries["input_tensor"], entries["output_tensor"])
    ]
    scratch = folder / "node"
    scratch.mkdir()
    received["Node"] = to_float(outputs_in_node(page, to_model_type(images, ends[0]), scratch), ends[1])
    answers = browse(page, "answers", photos=list(map(str, photos)))
    received["Chromium"] = np.array(answers["numbers"], "float32")

    step = entries["output_tensor"]["scale"]
    models = {target: np.rint(outputs / step) for target, outputs in models.items()}
    others = {
        place: np.count_nonzero(np.rint(received[place] / step) != models["arm64" if place in PROCESSORS else _HERE])
        for place in _PLACES
    }
    if any(others.values()):
        raise VerificationError(f"Expected the outputs of {info.name}'s models, received others: {others}")
    expected = models[_HERE]
    counts = [expected.size, *others.values(), np.count_nonzero(models["arm64"] != expected)]
    outputs, *counts = [f"{count:,}" for count in counts]
    side = " x ".join(map(str, preprocessing.image_size))
    return (info.name, side, outputs, f"{np.median(expected.std(0)):.1f}", *counts), answers["chromium"]


def _results(rows: list[tuple[str, ...]], data_dir: str, photos: int, chromium: str) -> str:
    return f"""# The same answers everywhere

Written by `python tools/same_answers.py --data_dir {Path(data_dir).name}`, on {processor()}, with Chromium {chromium}.

{photos} photos go through one int8 file of each network with kept weights: in LiteRT on this processor, on three ARM64
processors that QEMU emulates, and as WebAssembly (LiteRT.js) in Node and in the page in Chromium, there from the photo
on. A column says how many outputs are not those of `keras_lite.litert.IntegerModel(graph, target)`, which computes in
whole numbers, without a file: target "x86" for x86, Node and Chromium, and "arm64" for the ARM64 processors.

{markdown_table(rows, [0])}

- **deviation**: of an output between photos, in steps, the median: files that answer alike would prove little.
- **{", ".join(PROCESSORS)}**: plain NEON; with dot products; all that QEMU knows. XNNPACK has other code for each.
- **others on ARM64**: how many outputs the rules of ARM64 make others than those of x86.

Seven more families, with known random weights, are in [arm64_files.md](arm64_files.md).

{made_with()}
"""
