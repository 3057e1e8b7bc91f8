#!/usr/bin/env python3
"""From images to a verified int8 TFLite file in a few minutes: what `make demo` runs.

    python tools/demo.py [--output_dir runs/demo]

Trains CARNet18 on the built-in set of shapes, fine-tunes it quantization-aware, exports it as float32 and int8,
verifies both files in LiteRT, and prints one table. Killed and started again it goes on where it was.
"""

import sys
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from keras_lite.checkpoints import load_model
from keras_lite.cli import command_line
from keras_lite.data import open_data, read_model_info
from keras_lite.errors import import_extra
from keras_lite.inference.report import format_report
from keras_lite.pipelines.quantize import QuantizationOptions, QuantizationResult, quantize_run
from keras_lite.training import Options, RunFolder, fit
from recipes.shapes_carnet18 import RECIPE

QUANTIZATION = QuantizationOptions(epochs=1, image_limit=1280)

FLAGS = command_line.new_flags()
flags.DEFINE_string("output_dir", "runs/demo", "The run folder.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Run the whole way and print the table."""
    import_extra("tensorflow_model_optimization", "quantization")
    start = time.monotonic()
    folder = RunFolder(values.output_dir)
    options = Options.of(RECIPE, data_dir="shapes")
    print("1/4 drawing the images")
    data = open_data("shapes", options.image_size, verbose=1)
    print(f"2/4 training CARNet18 on {len(data['train'])} images")
    fit(RECIPE, data, options, folder.path, verbose=1)
    print("3/4 quantization-aware fine-tuning, export, verification in LiteRT")
    quantized = folder.path / "quantized"
    figures = quantized / "result.json"
    if figures.is_file():
        print(f"(already there: {figures})")
        result = QuantizationResult.read(figures)
    else:
        info = read_model_info(folder.model)
        result = quantize_run(
            load_model(folder.model),
            info,
            data,
            quantized,
            options=QUANTIZATION,
            augmentation=RECIPE.augmentation,
            verbose=1,
        )
    print(f"4/4 done in {time.monotonic() - start:.0f} s\n\nCARNet18 on the built-in shapes, seed {options.seed}:")
    print(format_report(result.report))
    print(f"\nfiles: {quantized}")


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
