#!/usr/bin/env bash
# Keras' NumPy backend does not start without JAX (and SciPy), and Keras requires neither.
#
# One would guess: `pip install keras` and KERAS_BACKEND=numpy give inference with NumPy alone, for machines on which
#   TensorFlow, JAX and PyTorch are too large.
# What happens:
#     keras and what it requires: ModuleNotFoundError: No module named 'scipy'
#     and scipy: ModuleNotFoundError: No module named 'jax'
#     and jax: imports, backend numpy
#     Python 3.11.7, keras 3.15.1, numpy 2.4.6, scipy 1.17.1, jax 0.10.2, jaxlib 0.10.2
# Why: the backend takes convolutions, poolings and Fourier transforms from JAX, and linear algebra from SciPy, and
#   imports both at the start, whatever the model needs.
# Why it matters: who picks the NumPy backend to keep a service or an image light installs JAX all the same (jaxlib's
#   wheel is 85 MB), and tests that have JAX beside Keras never see it.
# What to do instead: list `scipy`, `jax` and `jaxlib` beside `keras` where the NumPy backend is used, and import Keras
#   in a clean environment once. To run a small model without a framework use its .tflite file and LiteRT.
# Known to the library: keras-team/keras issues 18840 (meant so, for speed) and 20966, for which pull request 20989,
#   "Don't require jax on the numpy backend", was merged in 2025.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export KERAS_BACKEND=numpy KERAS_HOME="$folder"
python3 -m venv venv
changed=""
install() {
  venv/bin/pip install --quiet --disable-pip-version-check "$@"
}
# Prints what importing Keras ends with; the first argument says what was installed, the second how it should end.
check() {
  local said
  local code="import keras; print('imports, backend', keras.backend.backend())"
  said=$(venv/bin/python -I -c "$code" 2>&1 | tail -n 1) || true
  echo "$1: $said"
  [[ $said == "$2" ]] || changed=yes
}
install keras==3.15.1 numpy==2.4.6 h5py==3.14.0
check "keras and what it requires" "ModuleNotFoundError: No module named 'scipy'"
install scipy==1.17.1
check "and scipy" "ModuleNotFoundError: No module named 'jax'"
install jax==0.10.2 jaxlib==0.10.2
check "and jax" "imports, backend numpy"
venv/bin/python -I - <<'PYTHON'
import platform
from importlib.metadata import version

packages = ("keras", "numpy", "scipy", "jax", "jaxlib")
print(f"Python {platform.python_version()},", ", ".join(f"{name} {version(name)}" for name in packages))
PYTHON
if [[ $changed ]]; then
  echo "Changed: Keras' NumPy backend needs other packages than described." >&2
  exit 1
fi
