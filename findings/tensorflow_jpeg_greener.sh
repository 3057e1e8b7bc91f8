#!/usr/bin/env bash
# TensorFlow decodes JPEG files to greener pixels than Pillow, and those of quality 95 and more less truly than those of 90.
#
# One would guess: both call libjpeg-turbo, so pixels are equal, or a level apart here and there, up and down alike; and the
#   finer a file is quantized, the closer its pixels are to the photo's.
# What happens (a smooth photo of 320 x 240 made of random colors; errors in levels of 256, mean over all pixels):
#     Python 3.11.7, tensorflow 2.21.0, keras 3.15.1, pillow 13.0.0, numpy 2.4.6
#     quality   mean error of               TensorFlow less Pillow
#               Pillow  TensorFlow  Keras   red    green  blue   at most   INTEGER_ACCURATE less Pillow
#          75    2.31      2.44     2.44   -1.15   0.03  -1.33       4                0
#          90    1.52      1.72     1.72   -1.15   0.03  -1.33       5                0
#          95    1.11      1.85     1.85   -1.16   0.03  -1.33      10                0
#          98    0.71      2.10     2.10   -1.14   0.02  -1.32      12                0
#         100    0.47      2.07     2.07   -1.14   0.02  -1.32      13                0
# Why: `tf.io.decode_jpeg` and `decode_image` ask for the library's fast inverse transform unless told otherwise. It cuts
#   fractions off, so brightness and both colors come out half a level low, which is green; and with fine
#   quantization tables its own error is more than what the file lost. "Keras" is image_dataset_from_directory.
# Why it matters: a model that is trained through TensorFlow's or Keras' data sets meets other pixels where Pillow decodes
#   the photos, in every photo by the same shift. Photos saved at quality 95 and above, to lose less, lose
#   more than at 90.
# What to do instead: `tf.io.decode_jpeg(content, dct_method="INTEGER_ACCURATE")`, which gives Pillow's pixels to the bit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 pillow==13.0.0 numpy==2.4.6 h5py==3.14.0 protobuf==7.36.2 ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import io
import platform
import sys
from pathlib import Path

import keras
import numpy as np
import PIL
import tensorflow as tf
from PIL import Image

print(f"Python {platform.python_version()}, tensorflow {tf.__version__}, keras {keras.__version__}, "
      f"pillow {PIL.__version__}, numpy {np.__version__}")
coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype="uint8"))
PHOTO = coarse.resize((320, 240), Image.Resampling.BICUBIC)
PIXELS = np.asarray(PHOTO).astype(int)


def by_keras(content):
    """Return what Keras' image_dataset_from_directory makes of a file."""
    Path("photos/one").mkdir(parents=True, exist_ok=True)
    Path("photos/one/photo.jpg").write_bytes(content)
    data = keras.utils.image_dataset_from_directory("photos", image_size=(240, 320), batch_size=None, verbose=False)
    return next(iter(data))[0].numpy().astype(int)


print("quality   mean error of               TensorFlow less Pillow")
print("          Pillow  TensorFlow  Keras   red    green  blue   at most   INTEGER_ACCURATE less Pillow")
worked = True
for quality in (75, 90, 95, 98, 100):
    memory = io.BytesIO()
    PHOTO.save(memory, "JPEG", quality=quality, subsampling=0)
    content = memory.getvalue()
    pillow = np.asarray(Image.open(io.BytesIO(content))).astype(int)
    tensorflow = tf.io.decode_jpeg(content).numpy().astype(int)
    accurate = tf.io.decode_jpeg(content, dct_method="INTEGER_ACCURATE").numpy().astype(int)
    errors = [np.abs(each - PIXELS).mean() for each in (pillow, tensorflow, by_keras(content))]
    red, green, blue = (tensorflow - pillow).mean((0, 1))
    print(f"  {quality:5}{errors[0]:8.2f}{errors[1]:10.2f}{errors[2]:9.2f}{red:8.2f}{green:7.2f}{blue:7.2f}"
          f"{np.abs(tensorflow - pillow).max():8}{np.abs(accurate - pillow).max():17}")
    worked &= red < -1 and abs(green) < 0.2 and blue < -1 and not (accurate - pillow).any() and errors[1] == errors[2]
    worked &= quality < 95 or errors[1] > 1.5 * errors[0]
if not worked:
    sys.exit("Changed: TensorFlow decodes JPEG files as Pillow does, or in another way than described.")
PYTHON
