#!/usr/bin/env bash
# XLA multiplies the constants of two products first, and rounds a product and a sum once, with fast math off.
#
# One would guess: as `xla_cpu_enable_fast_math` is off by default, a compiled chain of products and sums, element by
#   element, gives the bits that the operations give one by one; sums over many numbers and functions such as `exp` apart.
# What happens (`two_constants`: (zero * 225) * (scale * (1 / 225)); `then_added`: zero * scale + 225; single float32s):
#     share of results other than NumPy's: operation by operation, and by jax.jit
#     Python 3.11.7, jax 0.10.2, cpu, 2,000 pairs
#       two_constants           0.0%       41.6%
#       then_added              0.0%       17.5%
#       kept_apart              0.0%        0.0%
#       numbers in the compiled two_constants: none
#     with XLA_FLAGS=--xla_cpu_enable_fast_math=false
#       two_constants           0.0%       41.6%
#       then_added              0.0%       17.5%
#       kept_apart              0.0%        0.0%
#     with XLA_FLAGS=--xla_disable_hlo_passes=algsimp
#       two_constants           0.0%        0.0%
#       then_added              0.0%       17.5%
#       kept_apart              0.0%        0.0%
# Why: the flag is about what LLVM may do. XLA's own algebraic simplifier comes before it: of two scalar products with a
#   constant each it multiplies the constants first, here to 1, and drops them. And LLVM may round a product and a sum once,
#   by the processor's multiply-add (the x86-64 machine of this run has it).
# Why it matters: code that imitates another's arithmetic bit by bit, such as an int8 model in floats, passes its tests
#   operation by operation and is wrong once compiled: a mean next to a half is rounded the other way, and an int8 network
#   of 150 operators behind it gave other logits for 19 of 512 photos.
# What to do instead: put something between that the compiler keeps, such as `jnp.maximum(product, -3e38)` in `kept_apart`;
#   test the compiled function, with what will be its arguments as arguments.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$folder"
cat >chain.py <<'PYTHON'
import platform
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np

rng = np.random.default_rng(0)
COUNT, MANY = np.float32(225.0), 2_000
ONE = np.float32(1.0) / COUNT
LEAST = np.float32(-3e38)
zeros = rng.uniform(-128, 128, MANY).astype("float32")
scales = rng.uniform(0.5, 2.0, MANY).astype("float32")


def two_constants(zero, scale):
    return (zero * COUNT) * (scale * ONE)


def then_added(zero, scale):
    return zero * scale + COUNT


def kept_apart(zero, scale):
    product = jnp.maximum(zero * COUNT, LEAST) * jnp.maximum(scale * ONE, LEAST)
    return jnp.maximum(product, LEAST) + COUNT


products = (zeros * COUNT) * (scales * ONE)
BY_NUMPY = {two_constants: products, then_added: zeros * scales + COUNT, kept_apart: products + COUNT}


def share_of_others(function, called):
    each = np.array([called(*pair) for pair in zip(zeros, scales)])
    return float((each != BY_NUMPY[function]).mean())


if sys.argv[1:] == ["head"]:
    print(f"Python {platform.python_version()}, jax {jax.__version__}, {jax.devices()[0].platform}, {MANY:,} pairs")
found = {}
for function in BY_NUMPY:
    found[function] = [share_of_others(function, called) for called in (function, jax.jit(function))]
    print(f"  {function.__name__:16}{found[function][0]:12.1%}{found[function][1]:12.1%}")
if sys.argv[1:] == ["head"]:
    text = jax.jit(two_constants).lower(zeros[0], scales[0]).compile().as_text()
    print(f"  numbers in the compiled two_constants: {', '.join(re.findall(r'constant.([-0-9.e]+)', text)) or 'none'}")
    worked = found[two_constants][1] > 0.1 and found[then_added][1] > 0.01 and not any(found[kept_apart])
    sys.exit(None if worked else "Changed: XLA gives the bits of the operations one by one, or never does.")
PYTHON
run() { env "$@" 2>>log || { tail -n 1 log >&2; exit 1; }; }
echo "share of results other than NumPy's: operation by operation, and by jax.jit"
run "$folder/venv/bin/python" -I chain.py head
echo "with XLA_FLAGS=--xla_cpu_enable_fast_math=false"
run XLA_FLAGS=--xla_cpu_enable_fast_math=false "$folder/venv/bin/python" -I chain.py
echo "with XLA_FLAGS=--xla_disable_hlo_passes=algsimp"
run XLA_FLAGS=--xla_disable_hlo_passes=algsimp "$folder/venv/bin/python" -I chain.py
