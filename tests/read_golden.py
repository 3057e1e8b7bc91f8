#!/usr/bin/env python3
"""Read a golden file: the reference's weights by name, its input and its output (NumPy only)."""

import json
import sys
import zlib

import numpy as np


def draw(name, shape, kind):
    """The values of one weight; the generator is seeded with the weight's own name."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    if kind == "gamma":
        values = rng.uniform(0.6, 1.4, shape)
    elif kind == "beta":
        values = 0.2 * rng.standard_normal(shape)
    elif kind == "kernel":
        values = rng.standard_normal(shape) * np.sqrt(1.5 / np.prod(shape[1:]))
    elif kind == "bias":
        values = 0.1 * rng.standard_normal(shape)
    elif kind == "embedding":
        values = 0.5 * rng.standard_normal(shape)
    else:
        raise ValueError(f"no such kind of tensor: {kind!r}")
    return values.astype(np.float32)


def read(path):
    """Return (meta, weights, images, logits).

    weights: name -> float32 array in the reference's layout (convolutions OIHW, dense out x in).
    images: float32, 2 x H x W x C in [-1, 1). logits: float64, 2 x classes.
    """
    stored = np.load(path)
    meta = json.loads(str(stored["meta"]))
    weights = {
        name: stored[name].astype(np.float32) if kind == "stat" else draw(name, tuple(shape), kind)
        for name, shape, kind in meta["tensors"]
    }
    images = np.random.RandomState(11).uniform(-1, 1, (2, *meta["input"])).astype(np.float32)
    return meta, weights, images, stored["logits"]


if __name__ == "__main__":
    for path in sys.argv[1:]:
        meta, weights, images, logits = read(path)
        print(
            meta["name"],
            meta["params"],
            "parameters,",
            len(weights),
            "tensors, input",
            images.shape,
            "logits",
            logits.shape,
            "largest",
            float(abs(logits).max()),
        )
