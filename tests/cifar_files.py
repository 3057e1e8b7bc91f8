"""CIFAR's python files with random images."""

import pickle

import numpy as np

CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def planes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype="uint8")


def write(path, entries, protocol=2):
    path.write_bytes(pickle.dumps(entries, protocol))


def write_cifar10(root, as_bytes=True, protocol=2, per_file=10):
    key = str.encode if as_bytes else str
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        entries = {"data": planes(per_file, number), "labels": [n % 10 for n in range(per_file)]}
        write(root / name, {key(k): v for k, v in entries.items()}, protocol)
    write(root / "batches.meta", {key("label_names"): [key(name) for name in CLASS_NAMES]}, protocol)
    return root


def write_cifar100(root):
    for name in ("train", "test"):
        entries = {
            b"data": planes(100),
            b"fine_labels": list(range(100)),
            b"coarse_labels": [n // 5 for n in range(100)],
        }
        write(root / name, entries)
    names = [f"fine {n}".encode() for n in range(100)]
    write(root / "meta", {b"fine_label_names": names, b"coarse_label_names": [b"coarse"] * 20})
    return root
