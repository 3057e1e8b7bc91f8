"""Write an int8 file by other means than those of this checkout, for `checks.ways`; run by another Python or checkout.

    PYTHONPATH=CHECKOUT python -P quantize_once.py post_training MODEL.keras PHOTOS.npy FILE
    OTHER/bin/python quantize_once.py litert_quantizer FLOAT.tflite PHOTOS.npy FILE

PHOTOS are images as the network takes them. `post_training` is an older checkout's, with TF-MOT; `litert_quantizer`
quantizes a float file with static ranges, from the smallest to the largest value on all photos.
"""

import sys
from pathlib import Path

import numpy as np


def post_training(model: Path, photos: np.ndarray) -> bytes:
    """Return the file of an older `post_training`."""
    import keras

    from keras_lite import quantization
    from keras_lite.export.conversion import convert

    quantized, _ = quantization.post_training(keras.saving.load_model(model), photos)
    return convert(quantized, "int8")


def litert_quantizer(model: Path, photos: np.ndarray) -> bytes:
    """Return the file of LiteRT's own quantizer."""
    from ai_edge_litert.interpreter import Interpreter
    from litert_quantizer import calibrator, quantizer, recipe
    from litert_quantizer.utils import qsv_utils

    content = model.read_bytes()
    [(signature, ends)] = Interpreter(model_content=content).get_signature_list().items()
    data = {signature: [{ends["inputs"][0]: photo[None]} for photo in photos]}
    recipes = quantizer.recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(recipe.static_wi8_ai8())
    # By itself it takes moving averages of the ranges' ends.
    calibration = calibrator.Calibrator(content, qsv_update_func=qsv_utils.min_max_update)
    calibration.calibrate(data, recipes)
    made = quantizer.Quantizer(content)
    made.load_quantization_recipe(recipe.static_wi8_ai8())
    return bytes(made.quantize(calibration.get_model_qsvs()).quantized_model)


if __name__ == "__main__":
    _, what, model, photos, file = sys.argv
    quantize = {"post_training": post_training, "litert_quantizer": litert_quantizer}[what]
    Path(file).write_bytes(quantize(Path(model), np.load(photos)))
