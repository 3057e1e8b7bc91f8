import math

import keras
import pytest

from keras_lite.applications import CARNet18, ResNet18
from keras_lite.cli import profile as profile_tool
from keras_lite.errors import InputError
from keras_lite.layers import GroupConvBlock
from keras_lite.profiling import profile


@pytest.mark.parametrize(
    ("build", "parameters", "macs", "flops"),
    [
        (CARNet18, 653_376, 1_600_720_576, 1_625_914_880),
        (ResNet18, 11_217_444, 32_550_327_296, 32_550_334_308),
    ],
)
def test_published_counts(build, parameters, macs, flops):
    found = profile(build())
    assert (found.parameters, found.macs, found.flops("torchinfo")) == (parameters, macs, flops)


def test_counts_do_not_depend_on_how_groups_are_computed():
    def build(groups):
        inputs = keras.Input((9, 9, 16))
        return keras.Model(inputs, GroupConvBlock(8, groups=groups)(inputs))

    # 7 x 7 positions: grouped 3x3 with 16 / groups inputs an output, attention 16 -> 1 -> 16, 1x1 16 -> 8.
    for groups in (1, 4, 16):
        assert profile(build(groups)).macs == 49 * (9 * 16 * 16 // groups) + 2 * 16 + 49 * 16 * 8


def test_a_layer_used_twice_counts_its_parameters_once():
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(4, use_bias=False)
    found = profile(keras.Model(inputs, dense(dense(inputs))))
    assert (found.parameters, found.macs) == (16, 32)


def test_frozen_layers_count_and_are_told_apart():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(16, 3),
            keras.layers.BatchNormalization(),
            GroupConvBlock(8, groups=4),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    every = sum(math.prod(v.shape) for v in model.trainable_variables)
    free = profile(model)
    assert (free.parameters, free.trainable) == (every, every)
    assert "frozen" not in str(free)
    convolution, norm, block, *_ = model.layers
    convolution.trainable = norm.trainable = block.sublayers[0].trainable = False
    frozen = (27 * 16 + 16) + 2 * 16 + sum(math.prod(v.shape) for v in block.sublayers[0].weights)
    found = profile(model)
    assert (found.parameters, found.trainable, found.macs) == (every, every - frozen, free.macs)
    assert str(found).splitlines()[-1] == f"trainable: {every - frozen:,} parameters; frozen: {frozen:,}"
    assert not convolution.trainable
    model.trainable = False
    assert (profile(model).parameters, profile(model).trainable) == (every, 0)


def test_open_input_size():
    model = CARNet18(input_shape=(None, None, 3))
    assert profile(model, (244, 244, 3)).macs == 1_600_720_576
    with pytest.raises(InputError, match="Expected input_shape, because the input of carnet18 has the open shape"):
        profile(model)
    with pytest.raises(InputError, match="counter to be one of"):
        profile(model, (47, 47, 3)).flops("fvcore")


@pytest.mark.tensorflow_only
def test_tool(run_tool, assert_one_line_error, tmp_path):
    finished = run_tool(profile_tool, "carnet18")
    assert finished.returncode == 0, finished.stderr
    assert "653,376  1,600,720,576" in finished.stdout
    assert "1,625,914,880" in finished.stdout
    path = tmp_path / "model.keras"
    CARNet18(input_shape=(48, 48, 3), classes=10).save(path)
    # 46,170 parameters fewer: 90 classes of 512 weights and a bias.
    assert "607,206" in run_tool(profile_tool, path).stdout
    assert "Flags:" in run_tool(profile_tool, "--help").stdout
    assert_one_line_error(run_tool(profile_tool, "vgg16"), "received 'vgg16'")
    assert_one_line_error(run_tool(profile_tool), "one MODEL")
    assert_one_line_error(run_tool(profile_tool, "--image_sise=3"), "image_sise")
