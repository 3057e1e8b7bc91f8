#!/usr/bin/env bash
# Pillow 13 scales some tall photos to other pixels than Pillow 12, with BICUBIC (the default) by more than rounding.
#
# One would guess: `Image.resize` of the same 8-bit photo gives the same pixels in both versions, or, as width and
#   height are scaled independently, at most a rounding of one level.
# What happens (a photo of flat shapes with edges to 224 x 224; size is width x height):
#     Python 3.11.7, Pillow 12.3.0 and 13.0.0, numpy 2.4.6
#     300 x 400 BICUBIC  at most 10 levels apart, in 5.0% of the pixels
#     300 x 400 LANCZOS  at most 20 levels apart, in 7.9% of the pixels
#     300 x 400 BILINEAR at most  1 levels apart, in 1.7% of the pixels
#     400 x 300 BICUBIC  at most  0 levels apart, in 0.0% of the pixels
#     400 x 300 LANCZOS  at most  0 levels apart, in 0.0% of the pixels
#     400 x 300 BILINEAR at most  0 levels apart, in 0.0% of the pixels
#     375 x 500 BICUBIC  at most  0 levels apart, in 0.0% of the pixels
#     375 x 500 LANCZOS  at most  0 levels apart, in 0.0% of the pixels
#     375 x 500 BILINEAR at most  0 levels apart, in 0.0% of the pixels
#     photos are equal, and so are the results if the width is scaled first: True
# Why: up to version 12 the width was scaled first and then the height. Version 13 scales the height first where it
#   expects that to be faster, which the sizes decide. BICUBIC and LANCZOS overshoot at edges, and the result of each of
#   the two passes is cut off at 0 and 255 (BILINEAR does not overshoot: one level of rounding).
#   300 x 400 and 375 x 500 have the same proportions and are treated differently.
# Why it matters: a network is trained, calibrated and judged with one version and served with another. Bit-exact
#   comparisons, caches of scaled photos and an app's own scaling then differ, but for some shapes of photos only.
# What to do instead: pin Pillow, or ask for the order: `photo.resize((width, photo.height), f)` and then
#   `.resize((width, height), f)` gives version 12's pixels in both (checked below).
# Known to the library: pull request 9549 of python-pillow/Pillow changed the order, for speed; the release
#   notes did not speak of pixels when this was written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >scale.py <<'PYTHON'
import sys

import numpy as np
import PIL
from PIL import Image, ImageDraw

SIDE = 224
outputs = {"version": PIL.__version__}
for width, height in ((300, 400), (400, 300), (375, 500)):
    photo = Image.new("L", (width, height), 230)
    draw = ImageDraw.Draw(photo)
    for step in range(12):
        x, y = step * width // 12, step * height // 12
        draw.ellipse((x - 5, y - 20, x + 30, y + 25), fill=step * 53 % 256)
        draw.line((0, y, width, height - y), fill=255 * (step % 2 == 0))
    outputs[f"{width} x {height}"] = np.asarray(photo)
    for name in ("BICUBIC", "LANCZOS", "BILINEAR"):
        kind = Image.Resampling[name]
        at_once = photo.resize((SIDE, SIDE), kind)
        width_first = photo.resize((SIDE, height), kind).resize((SIDE, SIDE), kind)
        outputs[f"{width} x {height} {name}"] = np.asarray(at_once)
        outputs[f"{width} x {height} {name} width first"] = np.asarray(width_first)
np.savez(sys.argv[1], **outputs)
PYTHON
for version in 12.3.0 13.0.0; do
  python3 -m venv "venv$version"
  "venv$version/bin/pip" install --quiet --disable-pip-version-check "pillow==$version" numpy==2.4.6
  "venv$version/bin/python" -I scale.py "$version.npz" 2>log || { tail -n 1 log >&2; exit 1; }
done
venv13.0.0/bin/python -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import numpy as np

old, new = np.load("12.3.0.npz"), np.load("13.0.0.npz")
print(f"Python {platform.python_version()}, Pillow {old['version']} and {new['version']}, numpy {np.__version__}")
largest = {}
as_before = True
for key in old.files:
    if key == "version":
        continue
    difference = np.abs(old[key].astype(int) - new[key].astype(int))
    if key.endswith(("BICUBIC", "LANCZOS", "BILINEAR")):
        largest[key] = int(difference.max())
        print(f"{key:18} at most {difference.max():2} levels apart, in {(difference > 0).mean():.1%} of the pixels")
        as_before &= np.array_equal(new[f"{key} width first"], old[key])
    else:
        as_before &= not difference.any()
print("photos are equal, and so are the results if the width is scaled first:", as_before)
tall = [largest.pop(f"300 x 400 {name}") for name in ("BICUBIC", "LANCZOS", "BILINEAR")]
if not (as_before and tall[0] > 5 and tall[1] > 5 and tall[2] == 1 and not any(largest.values())):
    sys.exit("Changed: Pillow 13 does not scale a tall photo to other levels than Pillow 12 as described.")
PYTHON
