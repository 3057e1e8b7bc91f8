#!/usr/bin/env bash
# Keras' `ops.image.gaussian_blur` on JAX and PyTorch turns gray photos green: it blurs rows and colors.
#
# One would guess: height and width are blurred, as `image_data_format()` says, and colors stay apart; the same on all
#   backends, and whether it is called by itself or inside a model.
# What happens (9 x 9 pixels, a kernel of 3 x 3; the middle of a gray photo, and how far a red dot spreads):
#     Python 3.11.7, keras 3.15.1 (JAX backend), jax 0.10.2, numpy 2.4.6, image_data_format: channels_last
#                                   gray 200 200 200   a red dot
#     gaussian_blur(x)              145 200 145        1 high, 3 wide, in 2 colors
#     the same inside a model       200 200 200        3 high, 3 wide, in 1 colors
#     data_format="channels_last"   200 200 200        3 high, 3 wide, in 1 colors
#     sigma=(0.1, 3.0), documented as of height and width: 3 high, 1 wide
# Why: called by itself without `data_format` the function hands None to the backend. JAX's and PyTorch's (the same
#   pixels, with torch 2.13.0) take all but "channels_last" for channels first, that is rows for channels, columns for
#   rows and colors for columns. With zeros around, red and blue lose a quarter. Sigma of height is laid along width.
# Why it matters: a pipeline of `keras.ops` works on TensorFlow and spoils its photos on the other two, without an
#   error, as all sizes fit. Augmented photos have a tint that no test photo has. Equal sigmas hide the swap.
# What to do instead: always give `data_format`, and sigma as (of width, of height); or use
#   `keras.layers.RandomGaussianBlur`, which gives `data_format`.
# Known to the library: pull request 23542 of keras-team/keras, merged, but not in 3.15.1; issue 127247 of
#   tensorflow/tensorflow on sigma.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 h5py==3.14.0
cd "$folder"
export KERAS_BACKEND=jax KERAS_HOME="$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import jax
import keras
import numpy as np

versions = f"keras {keras.__version__} (JAX backend), jax {jax.__version__}, numpy {np.__version__}"
print(f"Python {platform.python_version()}, {versions}, image_data_format: {keras.config.image_data_format()}")
blur = keras.ops.image.gaussian_blur
inputs = keras.Input((9, 9, 3))
model = keras.Model(inputs, blur(inputs))
calls = {
    "gaussian_blur(x)": blur,
    "the same inside a model": lambda photos: model.predict(photos, verbose=0),
    'data_format="channels_last"': lambda photos: blur(photos, data_format="channels_last"),
}
gray = np.full((1, 9, 9, 3), 200, "float32")
dot = np.zeros((1, 9, 9, 3), "float32")
dot[0, 4, 4, 0] = 255
seen = {}
print(f"{'':28}  {'gray 200 200 200':18} a red dot")
for name, call in calls.items():
    color = np.asarray(call(gray))[0, 4, 4].round().astype(int).tolist()
    lit = np.argwhere(np.asarray(call(dot))[0] > 0)
    height, width, colors = (len(set(places)) for places in lit.T.tolist())
    seen[name] = (color, [height, width, colors])
    print(f"{name:28}  {' '.join(map(str, color)):18} {height} high, {width} wide, in {colors} colors")
spread = np.asarray(blur(dot, sigma=(0.1, 3.0), data_format="channels_last"))[0, :, :, 0]
tall = [len(set(places)) for places in np.argwhere(spread > 1e-3).T.tolist()]
print(f"sigma=(0.1, 3.0), documented as of height and width: {tall[0]} high, {tall[1]} wide")
right = ([200, 200, 200], [3, 3, 1])
if list(seen.values()) != [([145, 200, 145], [1, 3, 2]), right, right] or tall != [3, 1]:
    sys.exit("Changed: gaussian_blur on JAX blurs other axes than rows and colors, or takes sigma in another order.")
PYTHON
