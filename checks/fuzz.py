"""Export small random models, and run each file in a process of its own.

    python tools/fuzz_export.py blocks|layers [--models 500] [--first 0] [--cache_dir DIR]

`blocks` were made to break an exporter: published blocks of many widths and activations, some with dead channels, dead
layers or weights of odd sizes, some calibrated on images without contrast; they are quantized by TF-MOT. `layers` are
of the layers, activations and functions in LAYERS.md, with branches, several inputs and several outputs; each becomes a
float32 file, which must agree with Keras, and an int8 file, equal to its model to the bit.

Finished models are kept in the cache until the code changes, so that the run can go on where it was. A file that is not
its model's is an error, and so are an abort of LiteRT, a traceback, a refusal that no one promised, and more than one
refusal in twenty models. Each refusal is printed with its reason.
"""

import gc
from pathlib import Path
from typing import Any

import keras
from absl import flags

from checks import random_blocks, random_layers
from checks.subjects import code_hash
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import read_json, write_json

FLAGS = command_line.new_flags()
flags.DEFINE_integer("models", 200, "How many.", 1, flag_values=FLAGS)
flags.DEFINE_integer("first", 0, "Seed of the first; the others follow.", 0, flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/fuzz-export", "Where finished models are kept.", flag_values=FLAGS)

# What makes, exports and judges the model of a seed. It returns what the model was made of (`parts`), a text that says
# how the file is (`verdict`), and whether it was `refused`, as it may be, or is `wrong`, as it may not.
KINDS = {"blocks": random_blocks.export, "layers": random_layers.export}
_ROOMS = ("export", "graph", "layers", "litert", "quantization", "runtime")
_PACKAGES = ("keras", "ai-edge-litert")


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Export all models of a kind."""
    if len(positional) != 1 or positional[0] not in KINDS:
        raise InputError(f"Expected one of {', '.join(KINDS)}, received {' '.join(positional) or 'nothing'}.")
    [kind] = positional
    code = code_hash(_ROOMS, _PACKAGES, [random_layers.TABLE, *Path(__file__).parent.glob("random_*.py")])
    results = []
    for seed in range(values.first, values.first + values.models):
        cached = Path(values.cache_dir, kind, f"{seed}.json")
        result = read_json(cached) if cached.is_file() else {}
        if result.get("code") != code:
            result = {"seed": seed, "code": code, **KINDS[kind](seed)}
            write_json(cached, result)
            keras.backend.clear_session()
            gc.collect()
        results.append(result)
        print(f"{seed} ({', '.join(result['parts'])}): {result['verdict']}", flush=True)
    print(summary(results))


def summary(results: list[dict[str, Any]]) -> str:
    """Return one line about results of what `KINDS` holds.

    Raises:
        InputError: If one is wrong, or too many were refused.
    """
    wrong = [result["seed"] for result in results if result["wrong"]]
    refused = [result for result in results if result["refused"]]
    if wrong or 20 * len(refused) > len(results):
        raise InputError(
            f"Expected every file to be its model's, received {len(refused)} refusals out of {len(results)} models, "
            f"and failures with the seeds {wrong}."
        )
    return f"{len(results) - len(refused)} of {len(results)} models exported, {len(refused)} refused"
