"""Convert weights: from PyTorch to Keras and back, and Keras 2 models to Keras 3.

    keras-lite convert net.pth net.keras
    keras-lite convert --model=cifar_resnet --options=depth=20,classes=100 net.ckpt net.keras
    keras-lite convert --model=cifar100_first/resnet20/ours net.pt net.weights.h5
    keras-lite convert net.keras net.safetensors
    keras-lite convert keras_model.h5 net.keras

PyTorch weights are read from any file that torch.save wrote, whatever its ending (.pth.tar, .ckpt, .bin, ...), from
.safetensors files and from the index (.json) of one in shards. Other objects that a training script saved with the
weights are ignored and never run. Writing a .pt, .pth or .bin file needs torch, .safetensors needs safetensors. Without
--model the network is recognized by the names and shapes in the file, and its output is logits.

Keras models are read from .keras, .h5 and .hdf5 files of Keras 2 and 3 and SavedModel folders of Keras 2. They are
written as .keras files, or as .weights.h5 for the weights alone. With --class_names and --image_size, an information
file for the other commands is written beside a .keras file; add --mean and --std if they are not ImageNet's and the
model does not scale its input itself.
"""

from absl import flags

from keras_lite.cli import command_line, model_flags
from keras_lite.pipelines.convert import ConvertOptions, convert_checkpoint

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
    source, target = command_line.expect(positional, "FROM", "TO")
    converted = convert_checkpoint(
        ConvertOptions(
            source=source,
            target=target,
            model=values.model,
            options=model_flags.network_options(values.options),
            entry=values.entry,
            load_classifier=values.load_classifier,
            description=model_flags.description(values),
        ),
        verbose=1,
    )
    print(converted)
