#!/usr/bin/env bash
# Keras on TensorFlow traces the training step twice for `metrics=["accuracy"]`, and once for a metric object.
#
# One would guess: a name is short for the object, made in `compile`; `fit` traces the step once, as it has built model and
#   optimizer by then.
# What happens (how often a layer is called while two epochs run, and CPU seconds of `fit`, two steps of EfficientNetB0):
#     Python 3.11.7, keras 3.15.1, tensorflow 2.21.0
#     metrics                                   calls  steps_per_execution=2  jit_compile  CPU seconds
#     none                                          1                      1            1          3.5
#     ["accuracy"]                                  2                      2            2          5.6
#     [SparseCategoricalAccuracy("accuracy")]       1                      1            1          3.4
# Why: an object has its variables when it is made. A name becomes a metric inside the first step, when the shapes of
#   labels and predictions are known. A `tf.function` in which variables came to be is traced anew, so that nothing of the
#   first trace is kept: the whole step, forward, backward and update.
# Why it matters: what runs few steps waits for the first one mostly: a test, a search for settings, cross-validation, a
#   notebook. Whatever a layer does in Python, such as a print or a counter, happens twice.
# What to do instead: `metrics=[keras.metrics.SparseCategoricalAccuracy()]`, or the one that the labels need.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6
cd "$folder"
export KERAS_BACKEND=tensorflow KERAS_HOME="$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys
import time

import keras
import numpy as np
import tensorflow as tf

print(f"Python {platform.python_version()}, keras {keras.__version__}, tensorflow {tf.__version__}")
METRICS = {
    "none": lambda: None,
    '["accuracy"]': lambda: ["accuracy"],
    '[SparseCategoricalAccuracy("accuracy")]': lambda: [keras.metrics.SparseCategoricalAccuracy("accuracy")],
}


class Counted(keras.layers.Layer):
    calls = 0

    def call(self, inputs):
        Counted.calls += 1
        return inputs


def calls(metrics, **options):
    model = keras.Sequential([keras.Input((4,)), Counted(), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics, **options)
    Counted.calls = 0
    model.fit(np.zeros((64, 4), "float32"), np.zeros(64), batch_size=32, epochs=2, verbose=0)
    return Counted.calls


def seconds(metrics):
    keras.utils.clear_session()
    model = keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3), classes=10)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics)
    start = time.process_time()
    model.fit(np.zeros((8, 32, 32, 3), "float32"), np.zeros(8), batch_size=4, verbose=0)
    return time.process_time() - start


seconds(None)  # the first one has what TensorFlow does once
print(f"{'metrics':42}calls  steps_per_execution=2  jit_compile  CPU seconds")
found = {}
for name, metrics in METRICS.items():
    ways = {}, {"steps_per_execution": 2}, {"jit_compile": True}
    found[name] = [calls(metrics(), **options) for options in ways]
    print(f"{name:42}{found[name][0]:5}{found[name][1]:23}{found[name][2]:13}{seconds(metrics()):13.1f}")
if found['["accuracy"]'] != [2, 2, 2] or found["none"] != found['[SparseCategoricalAccuracy("accuracy")]']:
    sys.exit("Changed: a metric's name costs no second trace.")
PYTHON
