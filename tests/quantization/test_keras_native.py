"""Quantization-aware models in Keras against their files in LiteRT, and their gradients against NumPy."""

import keras
import numpy as np
import pytest
from test_lower import chain, images_of, scrambled

import keras_lite
from keras_lite.errors import InputError
from keras_lite.litert import FloatGraph, IntegerModel, Operator, Tensor, write
from keras_lite.quantization import CalibratedGraph
from keras_lite.quantization.aware.keras_native import read_trained, trainable
from keras_lite.quantization.lower import Int8Form, for_int8, lower
from keras_lite.quantization.observe import observe, ranges_from
from keras_lite.quantization.ranges import whole_range
from keras_lite.runtime.litert_worker import predict

TENSORFLOW = keras.backend.backend() == "tensorflow"
interpreter = pytest.importorskip("ai_edge_litert.interpreter")
layers = keras.layers


def squeezed():
    """A depthwise convolution with hard-swish, its channels weighed, and a sum."""
    inputs = keras.Input((8, 8, 6))
    x = layers.Conv2D(8, 1, use_bias=False)(inputs)
    x = layers.Activation("hard_silu")(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(5, padding="same")(x)
    weights = layers.Conv2D(4, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    weights = layers.Activation("hard_sigmoid")(layers.Conv2D(8, 1)(weights))
    x = layers.Conv2D(6, 1)(layers.Multiply()([x, weights]))
    return scrambled(keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(layers.Add()([x, inputs])))))


def joined():
    """Branches that are concatenated, one of them used elsewhere too, and shuffled channels."""
    inputs = keras.Input((6, 6, 4))
    wide = layers.Conv2D(4, 3, padding="same", activation="relu6")(inputs)
    used_twice = layers.Conv2D(4, 1)(inputs)
    x = layers.Concatenate()([wide, used_twice, layers.MaxPooling2D(3, 1, "same")(inputs)])
    x = layers.Conv2D(4, 3, padding="same", groups=2)(keras_lite.layers.ChannelShuffle(3)(x))
    x = layers.Subtract()([x, used_twice])
    return scrambled(keras.Model(inputs, layers.UpSampling2D(2)(layers.LeakyReLU(0.1)(x))))


def moved():
    """Channels that are spread, turned, taken, mirrored and summed."""
    inputs = keras.Input((6, 4, 8))
    x = keras.ops.nn.depth_to_space(layers.Conv2D(8, 1)(inputs), 2)
    x = keras.ops.pad(keras.ops.flip(x, axis=1), [[0, 0], [2, 2], [2, 2], [0, 0]], mode="reflect")
    x = keras.ops.take(keras.ops.nn.space_to_depth(x[:, 1::2], 2)[:, :, :4], [3, 0, 5, 1], axis=-1)
    least = keras.ops.min(x, axis=1)
    return scrambled(keras.Model(inputs, keras.ops.maximum(least, keras.ops.sum(x, axis=1) * 0.2)))


MODELS = {
    "plain": lambda: chain(
        layers.Conv2D(5, 3, 2, "same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.ZeroPadding2D(1), layers.Conv2D(6, 3, activation="relu"), layers.Flatten(), layers.Dense(7),
    ),
    "separable": lambda: chain(layers.SeparableConv2D(6, 3, padding="same", depth_multiplier=2, activation="silu")),
    "squeezed": squeezed,
    "joined": joined,
    "transposed": lambda: chain(
        layers.Conv2D(4, 3, padding="same", activation="relu"), layers.Conv2DTranspose(5, 3, 2, "same"), layers.PReLU(),
        layers.Conv2DTranspose(3, 2, 3, "valid"), layers.Activation("selu"),
    ),
    "sequence": lambda: chain(
        layers.Conv1D(6, 3, padding="causal"), layers.Activation("mish"), layers.MaxPooling1D(2),
        layers.Conv1DTranspose(4, 4, 2), layers.GlobalMaxPooling1D(), layers.Dense(3), shape=(12, 3),
    ),
    "moved": moved,
    "attention": lambda: chain(keras_lite.layers.AttentionDownsampling(5, attention=True), shape=(8, 6, 8)),
    "functions": lambda: chain(layers.Dense(6, activation="tanh"), layers.Conv2D(3, 1), layers.Softmax(),
                               layers.Conv2D(4, 1), layers.UpSampling2D(2, interpolation="bilinear")),
}  # fmt: skip


def calibrated_by(model, images):
    form = for_int8(lower(model))
    return CalibratedGraph(form, ranges_from(form, observe(form, images), whole_range))


def images_for(model):
    return np.concatenate([images_of(model.inputs[0].shape[1:]), 2.0 * images_of(model.inputs[0].shape[1:])[::-1]])


def check_equal_to_the_file(aware, images, traced=False):
    graph = read_trained(aware)
    found = aware.predict(images, verbose=0)
    if traced:  # as `predict` is on TensorFlow, but in these tests
        np.testing.assert_array_equal(aware.predict_on_batch(images), found)
    np.testing.assert_array_equal(found, IntegerModel(graph).predict(images))
    opened = interpreter.Interpreter(model_content=write(graph))
    opened.allocate_tensors()
    np.testing.assert_array_equal(found, predict(opened, images))


def check_same_numbers(graph, other):
    operators = {operator.name: operator for operator in other.operators}
    for one in graph.operators:
        two = operators.pop(one.name)
        assert one.output.quantization == two.output.quantization
        for first, second in zip(one.inputs, two.inputs, strict=True):
            if first.is_constant:
                np.testing.assert_array_equal(first.data, second.data)
    assert not operators


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow_on_jax if name == "separable" else ()) for name in MODELS]
)
def test_forward_pass_and_file_are_equal(name):
    model = MODELS[name]()
    images = images_for(model)
    calibrated = calibrated_by(model, images[:3])
    aware = trainable(calibrated)
    check_equal_to_the_file(aware, images)
    trained = {variable.path.split("/")[-1] for variable in aware.trainable_variables}
    assert trained == {"kernel", "bias"}
    # Before any training it is the file that is made without.
    before = IntegerModel(calibrated.graph).predict(images)
    np.testing.assert_array_equal(aware.predict(images, verbose=0), before)


def values_of(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


@pytest.mark.parametrize(
    ("name", "jit"),
    [pytest.param("squeezed", "auto", marks=pytest.mark.slow_on_jax), ("plain", True if TENSORFLOW else "auto")],
)
def test_trained_further_it_still_is_its_file(name, jit, tmp_path):
    model = MODELS[name]()
    images = images_for(model)
    aware = trainable(calibrated_by(model, images))
    start = values_of(aware.non_trainable_variables)
    targets = model.predict(images, verbose=0)[:, ::-1].copy()
    aware.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=jit)
    losses = aware.fit(images, targets, batch_size=4, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    for after, before in zip(values_of(aware.non_trainable_variables), start, strict=True):
        np.testing.assert_array_equal(after, before)
    check_equal_to_the_file(aware, images, traced=True)

    aware.save(tmp_path / "aware.keras")
    loaded = keras.saving.load_model(tmp_path / "aware.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), aware.predict(images, verbose=0))
    assert write(read_trained(loaded)) == write(read_trained(aware))


def dense(kernel, bias, low, high, activation="NONE", scales="kept"):
    """Return a trainable dense layer, whose input is between -1 and 1 and whose output lies in a range."""
    x = Tensor("x", (1, len(kernel)))
    y = Tensor("y", (1, len(bias)))
    constants = [Tensor("y/kernel", kernel.T.shape, kernel.T.copy()), Tensor("y/bias", bias.shape, bias)]
    options = {"fused_activation_function": activation, "keep_num_dims": False}
    graph = FloatGraph("dense", [x], [y], [Operator("FULLY_CONNECTED", [x, *constants], [y], options)])
    return trainable(CalibratedGraph(Int8Form(graph, {}), {x: (-1.0, 1.0), y: (low, high)}), scales)


def test_a_step_of_training_against_numpy():
    rng = np.random.default_rng(3)
    kernel, bias = rng.normal(0.0, 0.5, (8, 5)).astype("float32"), rng.normal(0.0, 0.1, 5).astype("float32")
    images, targets = (rng.uniform(-1.0, 1.0, shape).astype("float32") for shape in ((16, 8), (16, 5)))
    low, high = 0.0, 1.2
    aware = dense(kernel, bias, low, high, "RELU")

    # In numbers themselves, not in steps.
    rounded_images = np.clip(np.rint(images / (2 / 255)), -128, 127) * (2 / 255)
    scales = np.abs(kernel).max(0) / 127
    sums = rounded_images @ (np.rint(kernel / scales) * scales) + bias
    step = (high - low) / 255
    outputs = np.clip(np.rint(sums / step), 0, 255) * step
    through = (np.rint(sums / step) >= 0) & (np.rint(sums / step) <= 255)
    assert 0.2 < through.mean() < 0.8
    upstream = 2.0 * (outputs - targets) / targets.size * through

    aware.compile(keras.optimizers.SGD(1.0), "mse")
    loss = aware.train_on_batch(images, targets)
    assert loss == pytest.approx(np.square(outputs - targets).mean(), rel=1e-5)
    new_kernel, new_bias = values_of(aware.trainable_variables)
    np.testing.assert_allclose(new_kernel, kernel - rounded_images.T @ upstream, rtol=0, atol=1e-6)
    np.testing.assert_allclose(new_bias, bias - upstream.sum(0), rtol=0, atol=1e-6)


def test_what_is_cut_off_trains_nothing():
    kernel, bias = np.eye(3, dtype="float32"), np.array([5.0, -5.0, 0.0], "float32")
    aware = dense(kernel, bias, -2.0, 2.0)
    kernel, bias = values_of(aware.trainable_variables)
    aware.compile(keras.optimizers.SGD(0.1), "mse")
    aware.train_on_batch(np.full((2, 3), 0.5, "float32"), np.zeros((2, 3), "float32"))
    new_kernel, new_bias = values_of(aware.trainable_variables)
    assert (new_bias != bias).tolist() == [False, False, True]
    assert (new_kernel != kernel).any(0).tolist() == [False, False, True]


def test_kernels_rounded_by_their_effect_are_the_start():
    """The largest number of a channel need not be 127 of its steps."""
    model = MODELS["plain"]()
    images = images_for(model)
    calibrated = calibrated_by(model, images)
    rng = np.random.default_rng(5)
    rounded, scales = {}, {}
    for operator in calibrated.form.graph.operators:
        if operator.kind in ("CONV_2D", "FULLY_CONNECTED"):
            kernel = operator.inputs[1]
            steps = rng.uniform(0.01, 0.02, len(kernel.data)).astype("float32")
            whole = rng.integers(-90, 91, kernel.shape).astype("float32")
            rounded[kernel] = Tensor(kernel.name, kernel.shape, whole * steps.reshape(-1, *[1] * (whole.ndim - 1)))
            scales[rounded[kernel]] = steps
    calibrated = CalibratedGraph(calibrated.form.with_constants(rounded), calibrated.ranges, scales=scales)
    wanted = IntegerModel(calibrated.graph).predict(images)
    for kind in ("kept", "learned"):
        aware = trainable(calibrated, scales=kind)
        np.testing.assert_array_equal(aware.predict(images, verbose=0), wanted)
        check_same_numbers(read_trained(aware), calibrated.graph)
    # Estimated anew, the largest number of each channel is 127 steps.
    anew = [operator.inputs[1].data for operator in read_trained(trainable(calibrated, scales="estimated")).operators
            if operator.kind in ("CONV_2D", "FULLY_CONNECTED")]  # fmt: skip
    assert {int(np.abs(channel).max()) for kernel in anew for channel in kernel} == {127}


@pytest.mark.parametrize("name", [pytest.param("squeezed", marks=pytest.mark.slow), "joined", "functions"])
def test_learned_scales_stay_those_of_the_file(name):
    model = MODELS[name]()
    images = images_for(model)
    calibrated = calibrated_by(model, images)
    aware = trainable(calibrated, scales="learned")
    start = read_trained(aware)
    check_same_numbers(start, calibrated.graph)
    aware.compile(keras.optimizers.Adam(1e-3), "mse")
    aware.fit(images, model.predict(images, verbose=0)[:, ::-1].copy(), batch_size=4, epochs=3, verbose=0)
    check_equal_to_the_file(aware, images, traced=True)
    trained = read_trained(aware)
    assert trained.inputs[0].quantization == start.inputs[0].quantization
    changed = 0
    for before, after in zip(start.operators, trained.operators, strict=True):
        assert before.name == after.name
        if after.kind == "CONCATENATION":
            assert len({each.quantization for each in (*after.inputs, after.output)}) == 1
        if after.kind in ("LOGISTIC", "SOFTMAX", "TANH"):
            assert after.output.quantization == before.output.quantization
        changed += after.output.quantization != before.output.quantization
    assert changed


def test_gradients_of_learned_scales_against_numpy():
    rng = np.random.default_rng(4)
    kernel, bias = rng.normal(0.0, 0.5, (8, 5)).astype("float32"), rng.normal(0.0, 0.1, 5).astype("float32")
    images, targets = (rng.uniform(-1.0, 1.0, shape).astype("float32") for shape in ((16, 8), (16, 5)))
    low, high = 0.0, 1.2
    aware = dense(kernel, bias, low, high, "RELU", "learned")

    rounded_images = np.clip(np.rint(images / (2 / 255)), -128, 127) * (2 / 255)
    scales = np.abs(kernel).max(0) / 127
    steps = np.rint(kernel / scales)
    sums = rounded_images @ (steps * scales) + bias
    step = (high - low) / 255
    outputs = np.clip(np.rint(sums / step), 0, 255) * step
    inside = (np.rint(sums / step) >= 0) & (np.rint(sums / step) <= 255)
    upstream = 2.0 * (outputs - targets) / targets.size
    # Equation 3 of the paper: of what is inside the rounding error, of what is cut off the end.
    of_step = (upstream * np.where(inside, outputs / step - sums / step, outputs / step)).sum()
    of_kernel = rounded_images.T @ (upstream * inside)
    of_scales = (of_kernel * (steps - kernel / scales)).sum(0)

    aware.compile(keras.optimizers.SGD(1.0), "mse")
    aware.train_on_batch(images, targets)
    found = {variable.path.split("/")[-1]: keras.ops.convert_to_numpy(variable) for variable in aware.variables}
    # The greatest weight of a channel is at the end of its range: whether it is cut off there is a matter of rounding.
    within = np.abs(kernel) < np.abs(kernel).max(0)
    np.testing.assert_allclose(found["kernel"][within], (kernel - of_kernel)[within], rtol=0, atol=1e-6)
    # The weights stretch the scales by 1 + 16 of them.
    np.testing.assert_allclose(found["stretch"], -16.0 * step * of_step, rtol=1e-3, atol=1e-6)
    # The bias is rounded in steps of these scales too: its part is below half a step for each photo.
    half_steps = 16.0 * 0.5 * (2 / 255) * scales * np.abs(upstream * inside).sum(0)
    error = np.abs(found["kernel_stretch"] + 16.0 * scales * of_scales)
    assert (error <= half_steps + 1e-6).all()


@pytest.mark.parametrize("mode", ["SYMMETRIC", "REFLECT"])
def test_mirrored_margins_against_numpy(mode):
    amounts = np.array([[0, 0], [2, 1], [0, 3], [0, 0]], "int32")
    x, y = Tensor("x", (1, 4, 5, 2)), Tensor("y", (1, 7, 8, 2))
    margins = Operator("MIRROR_PAD", [x, Tensor("margins", amounts.shape, amounts)], [y], {"mode": mode})
    form = Int8Form(FloatGraph("margins", [x], [y], [margins]), {})
    aware = trainable(CalibratedGraph(form, {x: (-128.0, 127.0)}))  # steps of 1
    images = np.random.default_rng(6).integers(-100, 100, (3, 4, 5, 2)).astype("float32")
    np.testing.assert_array_equal(aware.predict(images, verbose=0), np.pad(images, amounts, mode.lower()))


def test_the_number_next_below_a_half_is_rounded_down():
    below = np.nextafter(np.float32(0.5), np.float32(0.0))
    kernel = np.array([[127.0, 127.0, 127.0], [below, -below, 0.5]], "float32")  # in steps of 1
    graph = read_trained(dense(kernel, np.zeros(3, "float32"), -1.0, 1.0))
    [operator] = graph.operators
    assert operator.kernel.data.tolist() == [[127, 0], [127, 0], [127, 1]]


# The second was a step off on JAX: XLA multiplies the constants of two products first. The first would be a step off if
# a product and its sum were rounded once.
@pytest.mark.parametrize(
    ("size", "zero", "taken", "given"),
    [(9, 46, 0.0054, 0.0032), (15, -128, 0.017720936, 0.0049335705)],
)
def test_means_next_to_halves_are_those_of_the_file(size, zero, taken, given):
    count = size * size
    integers = np.arange(-128 * count, 127 * count + 1)
    exact = (integers - zero * count) * (taken / given / count)
    # What a float32 between -128 and 127 can't tell from a half.
    [places] = np.nonzero(np.abs(exact % 1 - 0.5) < 1e-4)
    places = np.resize(places, -(-len(places) // 64) * 64)
    levels = integers[places] // count
    more = np.arange(count)[:, None] < integers[places] % count
    images = ((levels + more - zero) * np.float32(taken)).astype("float32")
    images = images.reshape(size, size, -1, 64).transpose(2, 0, 1, 3)
    form = for_int8(lower(chain(layers.GlobalAveragePooling2D(), shape=(size, size, 64))))
    ends = [((-128 - zero) * scale, (127 - zero) * scale) for scale in (taken, given)]
    tensors = [*form.graph.inputs, *form.graph.outputs]
    aware = trainable(CalibratedGraph(form, dict(zip(tensors, ends, strict=True))))
    check_equal_to_the_file(aware, np.ascontiguousarray(images))


def test_channels_next_to_nothing_keep_their_bias():
    model = chain(layers.Conv2D(6, 3), layers.ReLU(), layers.Conv2D(4, 1))
    kernel, bias = model.layers[1].get_weights()
    kernel[..., :2], kernel[..., 2] = 0.0, 1e-20
    model.layers[1].set_weights([kernel, bias])
    images = images_for(model)
    check_equal_to_the_file(trainable(calibrated_by(model, images)), images)


@pytest.mark.tensorflow_only
def test_what_it_does_not_take_is_named():
    x, y = Tensor("x", (1, 2, 2, 3)), Tensor("y", (1, 2, 2, 3))
    turned = Tensor("turned", (2, 1, 2, 3))
    axes = Tensor("axes", (4,), np.array([1, 0, 2, 3], "int32"))
    for operator, message in {
        Operator(
            "COS", [x], [y], {}, ("wave", "Cos")
        ): "layer wave of type Cos: its operator COS has no trainable form",
        Operator("TRANSPOSE", [x, axes], [turned]): r"batch as first axis of turned in turned, received \(2, 1, 2, 3\)",
        Operator("ADD", [x, x], [y], {"fused_activation_function": "TANH"}): "activations .*, received TANH",
    }.items():
        form = Int8Form(FloatGraph("small", [x], operator.outputs, [operator]), {})
        with pytest.raises(InputError, match=message):
            trainable(CalibratedGraph(form, {x: (-1.0, 1.0), operator.output: (-1.0, 1.0)}))
    with pytest.raises(InputError, match=r"one of .*'learned'.*, received 'moved'"):
        dense(np.eye(3, dtype="float32"), np.zeros(3, "float32"), -1.0, 1.0, scales="moved")
    with pytest.raises(InputError, match=r"received conv2d.* \(Conv2D\)"):
        read_trained(chain(layers.Conv2D(2, 1)))
