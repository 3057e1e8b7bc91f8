"""Convert weights: from PyTorch to Keras and back, and Keras 2 models to Keras 3.

    python -m keras_lite.checkpoints net.pth net.keras
    python -m keras_lite.checkpoints --model=cifar_resnet --options=depth=20,classes=100 net.ckpt net.keras
    python -m keras_lite.checkpoints --model=cifar100_first/resnet20/ours net.pt net.weights.h5
    python -m keras_lite.checkpoints net.keras net.safetensors
    python -m keras_lite.checkpoints keras_model.h5 net.keras

PyTorch weights are read from any file that torch.save wrote, whatever its ending (.pth.tar, .ckpt, .bin, ...), from
.safetensors files and from the index (.json) of one in shards; what a training script saved beside the weights is
passed over and never run. To write a .pt, .pth or .bin file needs torch, .safetensors needs safetensors. Without
--model the names and shapes in the file tell the network, whose output is then logits.

Keras models are .keras, .h5 and .hdf5 files of Keras 2 and 3 and SavedModel folders of Keras 2; written are .keras
files, or .weights.h5 for the weights alone. With --class_names and --image_size (and --mean and --std, if they are not
ImageNet's, and the model does not scale its input itself) the information file that the other tools want is written
beside a .keras file.
"""

import ast
from pathlib import Path

import keras
from absl import flags

from keras_lite import applications, command_line, model_flags
from keras_lite.checkpoints.keras_files import is_keras_model, load_model
from keras_lite.checkpoints.loading import load_torch_state_dict, to_torch_state_dict
from keras_lite.checkpoints.torch_files import read_state_dict, write_state_dict
from keras_lite.data import ModelInfo, write_model_info
from keras_lite.data.answers import answer_kind
from keras_lite.errors import InputError
from keras_lite.export.trained_model import fit_input, with_own_resizing
from keras_lite.files import atomic_path
from keras_lite.graph import without_resizing

FLAGS = command_line.new_flags()
flags.DEFINE_string("model", None, "Network, such as cifar_resnet, or id of a published row.", flag_values=FLAGS)
flags.DEFINE_string(
    "options", "", "Arguments of the network's function, such as depth=20,stem=hybrid.", flag_values=FLAGS
)
flags.DEFINE_string("entry", None, "Which state dict of several, such as state_dict_ema.", flag_values=FLAGS)
flags.DEFINE_boolean("load_classifier", True, "Take the classifier too; else it stays random.", flag_values=FLAGS)
model_flags.define(FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Convert one file."""
    if len(positional) != 2:
        raise InputError(f"Expected two files, FROM and TO, received {len(positional)} (--help says more).")
    source, target = positional
    if not target.endswith((".keras", ".weights.h5")):
        if not is_keras_model(source):
            raise InputError(f"Expected TO to be a .keras or .weights.h5 file, received {target!r}.")
        model = load_model(source)
        write_state_dict(target, to_torch_state_dict(model))
        print(f"{target}: {model.name}, {model.count_params():,} values")
        return
    described = any(not values[name].using_default_value for name in model_flags.NAMES)
    if described and not target.endswith(".keras"):
        raise InputError(f"Expected a .keras file to describe with --class_names, received {target!r}.")
    info = model_flags.given_info(values, Path(target)) if described else None
    model = _open(values, source)
    if info:
        info = _checked(model_flags.with_own_facts(values, without_resizing(model)[0], info), model, source)
    with atomic_path(target) as temporary:
        model.save_weights(temporary) if target.endswith(".weights.h5") else model.save(temporary)
    print(f"{target}: {model.name}, {model.count_params():,} values")
    if info:
        print(f"{write_model_info(target, info)}: classes and preprocessing")


def _open(values: flags.FlagValues, source: str) -> keras.Model:
    if is_keras_model(source):
        return load_model(source)
    if values.model is None:
        if values.options or values.entry or not values.load_classifier:
            raise InputError("Expected --model beside --options, --entry or --noload_classifier, received none.")
        return load_model(source)
    state_dict = read_state_dict(source, values.entry)
    model = _build(values.model, _parse_options(values.options))
    load_torch_state_dict(model, state_dict, values.load_classifier)
    return model


def _checked(info: ModelInfo, model: keras.Model, source: str) -> ModelInfo:
    """Return what the flags say of a model if its input and output are so."""
    answer_kind(info, model.output_shape[-1])
    fit_input(*with_own_resizing(model, info), Path(source))
    return info


def _build(name: str, options: dict) -> keras.Model:
    """Build a network by its own name or by the id of a published row."""
    from keras_lite import published  # not above: it is to the right of what else is here

    return published.get(name).build(**options) if "/" in name else applications.create(name, **options)


def _parse_options(text: str) -> dict:
    """Turn `depth=20,stem=hybrid,blocks=(2,2,2)` into arguments; a bare word is a string."""
    try:
        call = ast.parse(f"options({text})", mode="eval").body
        if call.args or not all(keyword.arg for keyword in call.keywords):
            raise ValueError
        return {
            keyword.arg: keyword.value.id if isinstance(keyword.value, ast.Name) else ast.literal_eval(keyword.value)
            for keyword in call.keywords
        }
    except (ValueError, SyntaxError, AttributeError) as error:
        raise InputError(f"Expected --options to be NAME=VALUE,NAME=VALUE,..., received {text!r}.") from error


def cli() -> None:
    """Run the command-line tool."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
