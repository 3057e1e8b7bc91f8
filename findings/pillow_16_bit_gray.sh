#!/usr/bin/env bash
# Pillow turns a gray PNG of 16 bits white: `convert("RGB")` cuts levels off at 255 instead of scaling them.
#
# One would guess: `Image.open(path).convert("RGB")`, which nearly every data pipeline has, gives the photo in 8 bits, as
#   for all other kinds of PNG.
# What happens (a ramp of eight levels from 0 to 65535):
#     Python 3.11.7, Pillow 13.0.0, numpy 2.4.6
#     mode: I;16
#     in the file                                  0  9362 18724 28086 37448 46810 56172 65535
#     convert("RGB"), red                          0   255   255   255   255   255   255   255
#     convert("L")                                 0   255   255   255   255   255   255   255
#     divided by 257, then convert("RGB"), red     0    36    72   109   145   182   218   255
# Why: levels above 255 are cut off, as Pillow does not know how many of the 16 bits a file uses.
# Why it matters: scans, X-rays, depth maps and some cameras' files have 16 bits. A data pipeline makes all of them next
#   to white; nothing warns, training runs, and the classes that have such files are learned by their brightness.
# What to do instead: where `mode` begins with "I;16", divide by 257 before `convert`, if the file uses all 16 bits.
# Known to the library: issues 2574 and 3011 of python-pillow/Pillow, the first of 2017.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import numpy as np
import PIL
from PIL import Image

print(f"Python {platform.python_version()}, Pillow {PIL.__version__}, numpy {np.__version__}")
ramp = np.linspace(0, 65535, 8).astype("uint16")[None]
Image.fromarray(ramp).save("ramp.png")
photo = Image.open("ramp.png")
scaled = Image.fromarray((np.asarray(photo) // 257).astype("uint8"))
found = {
    "in the file": np.asarray(photo)[0],
    'convert("RGB"), red': np.asarray(photo.convert("RGB"))[0, :, 0],
    'convert("L")': np.asarray(photo.convert("L"))[0],
    'divided by 257, then convert("RGB"), red': np.asarray(scaled.convert("RGB"))[0, :, 0],
}
print(f"mode: {photo.mode}")
for name, levels in found.items():
    print(f"{name:40} {' '.join(f'{level:5}' for level in levels)}")
cut = np.minimum(ramp[0], 255)
wrong = [found[name] for name in ('convert("RGB"), red', 'convert("L")')]
if not all(np.array_equal(levels, cut) for levels in wrong):
    sys.exit("Changed: Pillow no longer cuts the levels of a gray PNG of 16 bits off at 255.")
PYTHON
