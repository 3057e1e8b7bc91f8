#!/usr/bin/env bash
# Keras forgets `exclude_from_weight_decay` when a model is saved, and takes no names of layers in it.
#
# One would guess: a `.keras` file holds the optimizer as it was compiled, so that a loaded model trains on as before;
#   and a name of a layer excludes what is in it, as names of variables do.
# What happens (what a step of AdamW with gradients of 0 leaves of weights that are 1; rate and weight decay 0.1):
#     Python 3.11.7, keras 3.15.1 (JAX backend), jax 0.10.2, numpy 2.4.6
#     excluded                        kernel    bias   gamma    beta
#     nothing                           0.99    0.99    0.99    0.99
#     the names bias, gamma, beta       0.99    1.00    1.00    1.00
#        saved and loaded               0.99    0.99    0.99    0.99
#        with a new optimizer           0.99    1.00    1.00    1.00
#     a list of these variables         0.99    1.00    1.00    1.00
#        saved and loaded               0.99    0.99    0.99    0.99
#     the layer's name, norm            0.99    0.99    0.99    0.99
# Why: exclusions are set by a method, after which the optimizer's configuration is as before; it is all that a file has
#   of an optimizer besides its variables. Names are compared with those of variables, as `gamma`, not with paths, as
#   `norm/gamma`; a name that fits none is no error.
# Why it matters: a training that goes on from a file decays biases and batch normalization from there on, and ends with
#   other weights than one that was not stopped. Nothing is said. Keras 2 compared with paths (its variables were named
#   `norm/gamma:0`), so code that was moved to Keras 3 may exclude nothing.
# What to do instead: after loading, compile with a new optimizer that has the exclusions, and give it the old one's
#   variables (fourth line; `mended` below). Exclude by `var_list`, or by names of variables.
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
print(f"Python {platform.python_version()}, {versions}")
KINDS = ("kernel", "bias", "gamma", "beta")


def built(**excluded):
    layers = [keras.Input((4,)), keras.layers.Dense(4, name="first"), keras.layers.BatchNormalization(name="norm")]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(**{name: choose(model) for name, choose in excluded.items()})
    model.compile(optimizer, "mse")
    return model


def loaded(model):
    left(model)
    model.save("model.keras")
    return keras.models.load_model("model.keras")


def mended(model):
    """The loaded model with a new optimizer, which excludes the same and takes over what the loaded one has."""
    model, old = loaded(model), {}
    model.optimizer.save_own_variables(old)
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    optimizer.load_own_variables(old)
    return model


def left(model):
    """What a step of the model's optimizer, with gradients of 0, leaves of weights that are all 1."""
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    gradients = [keras.ops.zeros(variable.shape) for variable in model.trainable_variables]
    model.optimizer.apply(gradients, model.trainable_variables)
    return {variable.name: float(np.asarray(variable).mean()) for variable in model.trainable_variables}


def weights(model):
    return [variable for variable in model.trainable_variables if variable.name != "kernel"]


names = {"var_names": lambda _: ["bias", "gamma", "beta"]}
cases = {
    "nothing": (left(built()), KINDS),
    "the names bias, gamma, beta": (left(built(**names)), ["kernel"]),
    "   saved and loaded": (left(loaded(built(**names))), KINDS),
    "   with a new optimizer": (left(mended(built(**names))), ["kernel"]),
    "a list of these variables": (left(built(var_list=weights)), ["kernel"]),
    "   saved and loaded ": (left(loaded(built(var_list=weights))), KINDS),
    "the layer's name, norm": (left(built(var_names=lambda _: ["norm"])), KINDS),
}
print(f"{'excluded':30}{''.join(f'{kind:>8}' for kind in KINDS)}")
for name, (values, _) in cases.items():
    print(f"{name:30}{''.join(f'{values[kind]:8.2f}' for kind in KINDS)}")
if any([kind for kind in KINDS if values[kind] < 0.999] != list(decayed) for values, decayed in cases.values()):
    sys.exit("Changed: exclude_from_weight_decay outlives saving and loading, or takes the names of layers.")
PYTHON
