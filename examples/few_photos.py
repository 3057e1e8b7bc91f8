#!/usr/bin/env python3
"""What weights from elsewhere are worth to somebody with few photos: ten new classes, 20 photos of each.

    python examples/few_photos.py [--data_dir CIFAR10] [--seeds 0,1,2] [--page FILE.md]

ResNet-20 with the hybrid stem and padding-free downsampling learns CIFAR-10's classes, none of which it has seen: once
from this package's CIFAR-100 weights and once from nothing, with as many steps, by `tools/finetune.py`. A seed chooses
the photos too: 20 of each class to train with, 5 more to choose the epoch with. All 10,000 test images are tested.

DATA is the folder of CIFAR-10's python files; without it Keras downloads them. Killed and started again it goes on
where it was.

Hardware: any CPU. Expected time: a quarter of an hour.
"""

import copy
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from keras_lite import tables
from keras_lite.cli import command_line, finetune
from keras_lite.data import Source, open_data
from keras_lite.errors import InputError
from keras_lite.files import read_json, write_text
from keras_lite.training import RunFolder

PHOTOS = {"train": 20, "valid": 5}  # of each class
WAYS = ("CIFAR-100 weights", "nothing")

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", "cifar10", "CIFAR-10.", flag_values=FLAGS)
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.", flag_values=FLAGS)
flags.DEFINE_integer("epochs_head", 20, "Epochs of the new head alone.", 1, flag_values=FLAGS)
flags.DEFINE_integer("epochs", 60, "Epochs of all layers.", 1, flag_values=FLAGS)
flags.DEFINE_string("output_dir", "runs/few-photos", "Where photos and runs are kept.", flag_values=FLAGS)
flags.DEFINE_string("page", None, "Also write what comes out here.", flag_values=FLAGS)


def write_photos(folder: Path, data: dict[str, Source], seed: int) -> None:
    """Write `train`, `valid` and `test` with a folder of PNG files a class.

    Args:
        folder: What to make. Nothing is done if it is there.
        data: CIFAR-10, `"train"` and `"test"`.
        seed: Chooses the photos that are trained and validated with.
    """
    if folder.exists():
        return
    train = data["train"]
    order = np.random.default_rng(seed).permutation(len(train))
    chosen = {"train": [], "valid": [], "test": list(range(len(data["test"])))}
    for label in range(len(train.class_names)):
        of_class = [index for index in order if train.labels[index] == label]
        chosen["train"] += of_class[: PHOTOS["train"]]
        chosen["valid"] += of_class[PHOTOS["train"] : sum(PHOTOS.values())]
    unfinished = folder.with_name(f".partial-{folder.name}")
    for split, indices in chosen.items():
        source = data["test" if split == "test" else "train"]
        for index, image in zip(indices, source.images(np.array(indices)), strict=True):
            path = unfinished / split / source.class_names[source.labels[index]] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    unfinished.rename(folder)


def command(photos: str, way: str, seed: int, *, run: str, epochs_head: int, epochs: int) -> list[str]:
    """Return the arguments of `tools/finetune.py` for one run.

    Args:
        photos: Folder of the photos.
        way: One of `WAYS`. From nothing all epochs are those of all layers.
        seed: The seed.
        run: The run folder.
        epochs_head: Epochs of the new head alone.
        epochs: Epochs of all layers.
    """
    return [
        "--data_dir", photos, "--model", "cifar_resnet",
        "--options", "depth=20,stem=hybrid,downsampling=padding_free", "--image_size", "32",
        "--weights", "cifar100" if way == WAYS[0] else "none",
        "--epochs_head", str(epochs_head if way == WAYS[0] else 0),
        "--epochs", str(epochs if way == WAYS[0] else epochs_head + epochs),
        "--patience", "0", "--seed", str(seed), "--output_dir", run,
    ]  # fmt: skip


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Run each way with each seed, and print a table."""
    if positional or not values.seeds or not all(seed.isdecimal() for seed in values.seeds):
        raise InputError(f"Expected --seeds as whole numbers, received {','.join([*values.seeds, *positional])}.")
    root = Path(values.output_dir)
    data = open_data(values.data_dir, (32, 32))
    lengths = (values.epochs_head, values.epochs)
    accuracies = {way: [] for way in WAYS}
    for seed in map(int, values.seeds):
        write_photos(root / f"photos-{seed}", data, seed)
        for way in WAYS:
            run = root / f"{way.replace(' ', '-')}-{seed}"
            arguments = command(
                str(root / f"photos-{seed}"),
                way,
                seed,
                run=str(run),
                epochs_head=values.epochs_head,
                epochs=values.epochs,
            )
            tool = copy.deepcopy(finetune.FLAGS)
            finetune.main(tool, tool(["finetune", *arguments])[1:])
            accuracies[way].append(RunFolder(run).training_result.test["accuracy"])
    table = markdown_table(values.seeds, accuracies)
    print(f"\n{table}")
    if values.page is not None:
        write_text(values.page, page(table, read_json(run / "environment.json"), *lengths))


def markdown_table(seeds: list[str], accuracies: dict[str, list[float]]) -> str:
    """Return a Markdown table: the share of the test images that each way gets right, by seed.

    Args:
        seeds: The seeds.
        accuracies: Way -> accuracy of each seed.
    """
    head = ("started from", *(f"seed {seed}" for seed in seeds), "mean")
    lines = [head]
    for way, values in accuracies.items():
        lines.append((way, *(f"{value:.2%}" for value in [*values, np.mean(values)])))
    return tables.markdown_table(lines)


def page(table: str, environment: dict[str, Any], epochs_head: int, epochs: int) -> str:
    """Return the Markdown page of a table.

    Args:
        table: The table.
        environment: Where the last run ran, from its run folder.
        epochs_head: Epochs of the new head alone.
        epochs: Epochs of all layers.
    """
    commands = "\n".join(
        shlex.join(
            [
                "python",
                "tools/finetune.py",
                *command("PHOTOS", way, 0, run=f"runs/{way.split()[0]}", epochs_head=epochs_head, epochs=epochs),
            ]
        )
        for way in WAYS
    )
    train, valid = PHOTOS.values()
    versions = ", ".join(f"{name} {environment['versions'][name]}" for name in ("keras", environment["backend"]))
    return f"""# Fine-tuning with few photos

Written by `python examples/few_photos.py --page FILE`: the share of CIFAR-10's 10,000 test images that are right.

{table}

ResNet-20 with the hybrid stem and padding-free downsampling learns CIFAR-10's ten classes, which this package's
CIFAR-100 weights have not seen. A seed chooses the photos: {train} of each class to train with, {valid} more to choose
the epoch with. Both ways take the same number of steps, {epochs_head + epochs} epochs; from the weights, the first
{epochs_head} train the new head alone and the others all layers but batch normalization. The learning rate of all
layers is the tool's own, 0.001; for either way 0.003 and 0.01 did worse on the validation images of another seed. The
runs of seed 0:

```
{commands}
```

Commit {environment["commit"]}, {environment["machine"]["processor"]}, {versions}.
"""


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
