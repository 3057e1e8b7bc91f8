#!/usr/bin/env python3
"""How close int8 files come to their float models by post-training quantization and by fine-tuning, over seeds.

    python checks/aware_table.py --cifar_dir CIFAR100 --photos_dir PHOTOS [NETWORK ...] [--seeds 0,1,2]
        [--training 2048] [--page results/aware_files.md]

NETWORK is resnet20, mobilenetv3_large or carnet18 with its kept weights, or a Keras file with its information file
beside it; without any it is the first two. The photos of PHOTOS are in train, valid and test. Ways: `stock`,
TensorFlow's converter; `post_training`; `keras` and `tf_mot`, fine-tuning by these engines with the defaults of
`keras-lite quantize`, of which the epoch is kept that is closest on held-out photos, or the start. A seed is a choice
of training photos: 512 that set ranges, 512 that judge, and --training others to train with; its order is another one,
too. All files are run in LiteRT on the whole test split.

Each network, seed and way is measured in a process of its own and kept in the cache: the same command goes on where it
was, --minutes stops it after a while, and --page puts what is there on a page. Expected time: on 2 cores 5 to 10
minutes for a network and a seed, more for large photos.
"""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks.aware_page import KERAS, POST_TRAINING, STOCK, TF_MOT, Found, page
from checks.aware_subjects import Subject, open_subject
from checks.int8_figures import made_with
from keras_lite.cli import command_line
from keras_lite.data import ArraySource, Batches
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.export.verification import Thresholds
from keras_lite.files import atomic_path, read_json, write_json, write_text
from keras_lite.graph import output_of
from keras_lite.litert import write
from keras_lite.quantization import finetune, post_training, quantize_aware, trainable_start
from keras_lite.quantization.aware.quantize_aware import int8_graph
from keras_lite.quantization.closeness import as_quantized, divergences, judged_as
from keras_lite.runtime import run_in_subprocess
from keras_lite.training.environment import processor

FLOAT = "float"
WAYS = (STOCK, POST_TRAINING, KERAS, TF_MOT)
DEFAULT_NETWORKS = ("resnet20", "mobilenetv3_large")
CALIBRATION, JUDGES, EPOCHS, BATCH = 512, 512, 2, 32

FLAGS = command_line.new_flags()
flags.DEFINE_string("cifar_dir", None, "CIFAR-100's python files.", flag_values=FLAGS)
flags.DEFINE_string("photos_dir", None, "Photos in train, valid and test.", flag_values=FLAGS)
flags.DEFINE_list("seeds", ["0", "1", "2"], "Choices of photos.", flag_values=FLAGS)
flags.DEFINE_list("ways", list(WAYS), "Only these.", flag_values=FLAGS)
flags.DEFINE_integer("training", 2048, "Photos to train with, besides those that set ranges.", 0, flag_values=FLAGS)
flags.DEFINE_float("minutes", None, "Begin nothing after so long.", 0.0, flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/aware-table", "Where what is finished is kept.", flag_values=FLAGS)
flags.DEFINE_string("page", None, "Page to write, such as results/aware_files.md.", flag_values=FLAGS)
flags.DEFINE_string("unit", None, "For its own use: the seed,way to measure.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure what is not in the cache, and write the page."""
    networks, start = positional or list(DEFAULT_NETWORKS), time.monotonic()
    if unknown := [way for way in values.ways if way not in WAYS]:
        raise InputError(f"Expected --ways out of {', '.join(WAYS)}; received {unknown[0]!r}.")
    if values.unit is not None:
        seed, way = values.unit.split(",")
        _measure(values, networks[0], seed, way)
        return
    failed = []
    # Seed by seed, so that what there is when it is stopped is there of all networks.
    wanted = [(network, "", FLOAT) for network in networks]
    wanted += [(network, seed, way) for seed in values.seeds for network in networks for way in values.ways]
    for network, seed, way in wanted:
        late = values.minutes is not None and time.monotonic() - start > 60 * values.minutes
        if not (late or _file(values, network, seed, way).is_file()):
            failed += [] if _run(values, network, seed, way) else [f"{Path(network).stem} {seed} {way}"]
    found = [_found(values, network) for network in networks if _file(values, network, "", FLOAT).is_file()]
    text = page(found, {"training": values.training, "calibration": CALIBRATION, "judges": JUDGES, "epochs": EPOCHS})
    print(f"\n{text}")
    if values.page:
        write_text(values.page, text)
    if failed:
        raise InputError(f"Expected every process to end well, received {len(failed)} that did not: {failed}.")


def _file(values: flags.FlagValues, network: str, seed: str, way: str) -> Path:
    return Path(values.cache_dir, Path(network).stem, f"{seed}-{way}.json" if seed else f"{way}.json")


def _run(values: flags.FlagValues, network: str, seed: str, way: str) -> bool:
    """Measure in a process of its own, a second time without oneDNN if that dies, and say how it went."""
    print(f"{time.strftime('%H:%M:%S')} {Path(network).stem} {seed} {way} ...", end=" ", flush=True)
    command = [sys.executable, __file__, network, f"--unit={seed},{way}", f"--training={values.training}"]
    given = {name: values[name].value for name in ("cifar_dir", "photos_dir", "cache_dir")}
    command += [f"--{name}={value}" for name, value in given.items() if value is not None]
    for variables in (os.environ, os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"}):
        ended = subprocess.run(command, env=variables, stderr=subprocess.PIPE, text=True, check=False)
        if ended.returncode == 0:
            print("done", flush=True)
            return True
        print(f"ended with {ended.returncode}: {ended.stderr.strip().splitlines()[-1:]};", end=" ", flush=True)
    print("not measured", flush=True)
    return False


def _measure(values: flags.FlagValues, network: str, seed: str, way: str) -> None:
    """Measure one way in this process, and keep what is found."""
    subject = open_subject(network, values.cifar_dir, values.photos_dir)
    file = _file(values, network, seed, way)
    file.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    if way == FLOAT:
        images = subject.test.images(np.arange(len(subject.test)))
        answers = np.asarray(subject.model.predict(subject.preprocessing(images), batch_size=64, verbose=0))
        arrays = {"answers": as_quantized(output_of(subject.model), answers)}
        facts = {"parameters": subject.model.count_params(), "pixels": subject.preprocessing.image_size[0]}
        if subject.labeled:
            arrays["right"] = answers.argmax(-1) == subject.test.labels
    else:
        with np.load(_file(values, network, "", FLOAT).with_suffix(".npz")) as floats:
            expected = floats["answers"]
        content, facts = content_of(subject, int(seed), way, values.training, file.with_suffix(".pickle"))
        path = file.with_suffix(".tflite")
        path.write_bytes(content)
        images = subject.preprocessing(subject.test.images(np.arange(len(subject.test))))
        answers = run_in_subprocess(path, images, os.cpu_count() or 1)
        kind = judged_as(subject.model, subject.output)
        arrays = {"divergences": divergences(kind, expected, answers)}
        arrays["agrees"] = expected.argmax(-1) == answers.argmax(-1)
        if subject.labeled:
            arrays["right"] = answers.argmax(-1) == subject.test.labels
    facts |= {"seconds": time.monotonic() - start, "made_with": f"{processor()}, {made_with()}"}
    with atomic_path(file.with_suffix(".npz")) as path:
        np.savez(path, **arrays)
    write_json(file, facts)


def content_of(subject: Subject, seed: int, way: str, training: int, kept: Path) -> tuple[bytes, dict[str, Any]]:
    """Return the file of one way, and what else is worth knowing.

    Args:
        subject: The network.
        seed: Which photos.
        way: One of `WAYS`.
        training: Photos to train with, besides those that set ranges.
        kept: Where what `post_training` found is kept for the others.
    """
    model, given = subject.model, subject.preprocessing
    order = np.random.default_rng(seed).permutation(len(subject.train))
    images = subject.train.images(order[: CALIBRATION + JUDGES + training])
    calibration, judges = given(images[:CALIBRATION]), given(images[CALIBRATION : CALIBRATION + JUDGES])
    if way == STOCK:
        to_tflite(
            model, kept.with_suffix(".tflite"), "int8", calibration=calibration, samples=calibration[:16],
            thresholds=Thresholds(), stock=True,
        )  # fmt: skip
        return kept.with_suffix(".tflite").read_bytes(), {}
    start = kept.with_name(f"{seed}-{POST_TRAINING}.pickle")
    if not start.is_file():
        with atomic_path(start) as path:
            found = post_training(model, calibration, preprocessing=given, output=subject.output)
            path.write_bytes(pickle.dumps(found))
    calibrated, report = pickle.loads(start.read_bytes())
    if way == POST_TRAINING:
        return write(calibrated.graph), {"chosen": report.to_dict()["chosen"]}
    tuned = trainable_start(model, calibration, report.chosen, given) if way == TF_MOT else quantize_aware(calibrated)
    pool = np.concatenate([images[:CALIBRATION], images[CALIBRATION + JUDGES :]])
    source = ArraySource(pool, np.zeros(len(pool), "int64"), subject.train.class_names)
    batches = Batches(source, BATCH, given, shuffle=True, seed=seed, drop_remainder=True)
    epochs = finetune(tuned, batches, model, epochs=EPOCHS, judges=judges, output=subject.output)
    return write(int8_graph(tuned)), {"epochs": epochs.to_dict()}


def _found(values: flags.FlagValues, network: str) -> Found:
    """Return what is known of a network."""
    file = _file(values, network, "", FLOAT)
    facts, made = read_json(file), {read_json(file)["made_with"]}
    with np.load(file.with_suffix(".npz")) as arrays:
        right = arrays.get("right")
    ways: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for way in WAYS:
        for seed in values.seeds:
            file = _file(values, network, seed, way)
            if file.is_file():
                made.add(read_json(file)["made_with"])
                with np.load(file.with_suffix(".npz")) as arrays:
                    ways.setdefault(way, {})[seed] = dict(arrays)
    return Found(Path(network).stem, facts["pixels"], right, ways, made)


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
