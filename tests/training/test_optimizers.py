"""Optimizers, against traces of the published runs' own, NumPy, PyTorch and stock Keras."""

import dataclasses
import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

from keras_lite.training import SGD, EpochCosineDecay, Lookahead, Options, WarmUp, fit, milestone_decay

TRACES = json.loads(Path(__file__).with_name("optimizer_traces.json").read_text())
WEIGHTS = np.array([0.5, -1.0, 2.0])
GRADIENTS = np.array([[0.02, -0.3, 0.05], [0.5, 0.01, -0.2], [-0.03, 0.2, 0.3], [0.01, 0.02, 0.0], [0.4, -0.1, 0.07]])


def steps(optimizer, weights=WEIGHTS, gradients=GRADIENTS):
    """Return the weights after each step."""
    # Two variables: an optimizer must not mix up their states.
    parts = [keras.Variable(part.astype("float32")) for part in np.split(np.asarray(weights), [2])]
    trace = []
    for gradient in np.asarray(gradients, "float32"):
        optimizer.apply([keras.ops.convert_to_tensor(part) for part in np.split(gradient, [2])], parts)
        trace.append(np.concatenate([keras.ops.convert_to_numpy(part) for part in parts]))
    return np.array(trace)


def apply(optimizer, gradient, variable):
    """Take a step in the way that training on the backend does."""
    gradient = keras.ops.convert_to_tensor(np.asarray(gradient, "float32"))
    if keras.backend.backend() != "jax":
        optimizer.apply([gradient], [variable])
        return
    states = [state.value for state in optimizer.variables]
    [value], states = optimizer.stateless_apply(states, [gradient], [variable.value])
    for state, new in zip([variable, *optimizer.variables], [value, *states], strict=True):
        state.assign(new)


def numpy_sgd(rates, momentum=0.0, nesterov=False, decay=0.0, clip=math.inf):
    """Restate PyTorch's optimizer: clip, add the decay, accumulate, multiply by the rate."""
    weights, velocity, trace = WEIGHTS.copy(), np.zeros(3), []
    for rate, gradient in zip(rates, GRADIENTS, strict=True):
        gradient = np.clip(gradient, -clip, clip) + decay * weights
        velocity = momentum * velocity + gradient
        weights = weights - rate * (gradient + momentum * velocity if nesterov else velocity)
        trace.append(weights)
    return np.array(trace)


def test_published_sgd_with_nesterov():
    trace = TRACES["sgd_nesterov_trace"]
    weights = steps(SGD(0.03, momentum=0.9, nesterov=True, l2_regularization=1e-4), trace["w0"], trace["grads"])
    np.testing.assert_allclose(weights, trace["w"], rtol=1e-6, atol=1e-7)


def test_published_lookahead_with_clipping():
    trace = TRACES["lookahead_trace"]
    optimizer = Lookahead(SGD(0.1, momentum=0.9, l2_regularization=5e-4, clipvalue=0.1))
    weights = steps(optimizer, trace["w0"], trace["grads"])
    np.testing.assert_allclose(weights, trace["w"], rtol=1e-6, atol=1e-7)


CASES = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "decay": {"momentum": 0.9, "decay": 0.1},
    "decay without momentum": {"decay": 0.1},
    "clip before decay": {"momentum": 0.9, "nesterov": True, "decay": 0.1, "clip": 0.1},
}


@pytest.mark.parametrize("name", CASES)
def test_sgd_follows_its_formula_while_the_rate_changes(name):
    case = CASES[name]
    # An epoch of two steps: the rates are 1, 1, 0.1, 0.1, 0.1.
    optimizer = SGD(
        milestone_decay(1.0, [1], steps_per_epoch=2),
        momentum=case.get("momentum", 0.0),
        nesterov=case.get("nesterov", False),
        l2_regularization=case.get("decay", 0.0),
        clipvalue=case.get("clip"),
    )
    np.testing.assert_allclose(steps(optimizer), numpy_sgd([1, 1, 0.1, 0.1, 0.1], **case), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="both sides are the same on any backend")
@pytest.mark.parametrize("name", CASES)
def test_the_formula_is_that_of_pytorch(name):
    import torch

    case = dict(CASES[name])
    weights = torch.tensor(WEIGHTS, requires_grad=True)
    clip = case.pop("clip", None)
    optimizer = torch.optim.SGD([weights], lr=1.0, weight_decay=case.pop("decay", 0.0), **case)
    trace = []
    for rate, gradient in zip([1, 1, 0.1, 0.1, 0.1], GRADIENTS, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        weights.grad = torch.tensor(gradient)
        if clip:
            torch.nn.utils.clip_grad_value_([weights], clip)
        optimizer.step()
        trace.append(weights.detach().numpy().copy())
    np.testing.assert_allclose(numpy_sgd([1, 1, 0.1, 0.1, 0.1], **CASES[name]), trace, rtol=1e-12)


def test_decay_is_not_that_of_keras():
    coupled = steps(SGD(0.1, momentum=0.9, l2_regularization=0.1))
    decoupled = steps(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1))
    # Equal in the first step, before the momentum has anything to accumulate.
    np.testing.assert_allclose(coupled[0], decoupled[0], rtol=1e-6)
    assert np.abs(coupled - decoupled).max() > 0.05
    # Without decay and with one rate it is Keras' optimizer.
    np.testing.assert_allclose(
        steps(SGD(0.1, momentum=0.9, nesterov=True)),
        steps(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)),
        rtol=1e-5,
    )


def test_variables_can_be_taken_out_of_the_decay():
    optimizer = SGD(0.1, l2_regularization=0.1)
    decaying, other = keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([keras.ops.zeros(1), keras.ops.zeros(1)], [decaying, other])
    assert [float(decaying.numpy()[0]), float(other.numpy()[0])] == pytest.approx([0.99, 1.0])


@pytest.mark.parametrize("how", ["names", "variables"])
def test_a_saved_optimizer_remembers_what_does_not_decay(tmp_path, how):
    inputs = keras.Input((4,))
    outputs = keras.layers.BatchNormalization()(keras.layers.Dense(4, name="first")(inputs))
    model = keras.Model(inputs, outputs)
    optimizer = SGD(0.1, l2_regularization=0.1)
    others = [variable for variable in model.trainable_variables if variable.name != "kernel"]
    if how == "names":
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    else:
        optimizer.exclude_from_weight_decay(var_list=others)
    model.compile(optimizer, "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    variables = loaded.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    loaded.optimizer.apply([keras.ops.zeros(variable.shape) for variable in variables], variables)
    left = {variable.name: float(keras.ops.convert_to_numpy(variable).mean()) for variable in variables}
    assert left == pytest.approx({"kernel": 0.99, "bias": 1.0, "gamma": 1.0, "beta": 1.0})


@pytest.mark.parametrize("period", [1, 3])
def test_lookahead_around_another_optimizer(period):
    fast = WEIGHTS.astype("float32").copy()
    variable, adam = keras.Variable(fast), keras.optimizers.Adam(0.1)
    expected, slow = [], None
    for count, gradient in enumerate(GRADIENTS.astype("float32")):
        adam.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        fast = keras.ops.convert_to_numpy(variable)
        slow = fast if slow is None else slow
        if count % period == 0:
            fast = slow = slow + np.float32(0.25) * (fast - slow)
            variable.assign(fast)
        expected.append(fast)
    weights = steps(Lookahead(keras.optimizers.Adam(0.1), sync_period=period, slow_step_size=0.25))
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_lookahead_counts_the_steps_in_which_weights_move():
    accumulating = Lookahead(SGD(0.1, momentum=0.9, gradient_accumulation_steps=2), sync_period=2)
    twice = steps(accumulating, gradients=np.repeat(GRADIENTS, 2, axis=0))
    once = steps(Lookahead(SGD(0.1, momentum=0.9), sync_period=2))
    np.testing.assert_allclose(twice[1::2], once, rtol=1e-6)
    np.testing.assert_array_equal(twice[2::2], twice[1:-1:2])


def test_lookahead_passes_the_learning_rate_through():
    inner = SGD(0.1)
    optimizer = Lookahead(inner)
    optimizer.learning_rate = 0.05
    assert float(keras.ops.convert_to_numpy(inner.learning_rate)) == pytest.approx(0.05)
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.05)
    scheduled = Lookahead(SGD(milestone_decay(1.0, [1], steps_per_epoch=2)))
    steps(scheduled)
    assert float(keras.ops.convert_to_numpy(scheduled.learning_rate)) == pytest.approx(0.1)


def test_loss_scaling_goes_outside():
    def optimizer():
        return Lookahead(SGD(0.1, momentum=0.9, l2_regularization=0.1, clipvalue=0.1), sync_period=2)

    scaling = keras.optimizers.LossScaleOptimizer(optimizer(), initial_scale=64.0)
    variable = keras.Variable(WEIGHTS.astype("float32"))
    scaling.build([variable])
    apply(scaling, 64 * GRADIENTS[0], variable)
    before = keras.ops.convert_to_numpy(variable)
    apply(scaling, np.full(3, np.inf), variable)  # is left out, and halves the scale
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), before)
    for gradient in GRADIENTS[1:]:
        apply(scaling, 32 * gradient, variable)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), steps(optimizer())[-1], rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a strategy of TensorFlow")
def test_under_a_strategy_of_tensorflow_the_same():
    import tensorflow

    def make():
        rate = WarmUp(EpochCosineDecay(0.1, epochs=3, steps_per_epoch=2), epochs=1, steps_per_epoch=2)
        return Lookahead(SGD(rate, momentum=0.9, l2_regularization=0.1), sync_period=2)

    strategy = tensorflow.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        optimizer = make()
        variable = keras.Variable(WEIGHTS.astype("float32"))
        optimizer.build([variable])

    @tensorflow.function
    def step(gradient):
        # A gradient is made on the device of its replica.
        strategy.run(lambda: optimizer.apply([tensorflow.identity(gradient)], [variable]))

    for gradient in GRADIENTS:
        step(tensorflow.constant(gradient, "float32"))
    np.testing.assert_allclose(variable.numpy(), steps(make())[-1], rtol=1e-6)


def published_optimizer(learning_rate=None):
    rate = learning_rate or milestone_decay(0.1, [1, 2], steps_per_epoch=3)
    return Lookahead(SGD(rate, momentum=0.9, nesterov=True, l2_regularization=5e-4, clipvalue=0.1), sync_period=4)


def test_saved_with_the_model_it_goes_on_as_if_it_had_not_been(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(5)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(published_optimizer(), loss=loss)
    for _ in range(6):
        model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for _ in range(4):
        model.train_on_batch(images, labels)
        loaded.train_on_batch(images, labels)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))


class Stop(keras.callbacks.Callback):
    """Stops a run as a key does, after a number of steps."""

    def __init__(self, left):
        super().__init__()
        self._left = left

    def on_train_batch_end(self, batch, logs=None):
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


@pytest.mark.slow_elsewhere
def test_stopped_run_ends_as_an_uninterrupted_one(tmp_path):
    recipe = dataclasses.replace(
        tiny.RECIPE,
        optimizer=published_optimizer,
        learning_rate=0.1,
        schedule=lambda rate, epochs, steps: milestone_decay(rate, [1], steps),
    )
    options = Options.of(recipe, epochs=2, save_every_steps=1)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, tiny.data(), options, tmp_path / "run", callbacks=[Stop(9)])  # the second step of the second epoch
    fit(recipe, tiny.data(), options, tmp_path / "run", callbacks=[Stop(0)])
    fit(recipe, tiny.data(), options, tmp_path / "whole", callbacks=[Stop(0)])
    with np.load(tmp_path / "run" / "resume.npz") as run, np.load(tmp_path / "whole" / "resume.npz") as whole:
        names = [name for name in whole if name != "progress"]  # which holds the time spent
        assert sum(name.startswith("optimizer/") for name in names) == 2 + 2 * 5
        for name in names:
            np.testing.assert_array_equal(run[name], whole[name])
    run, whole = ((tmp_path / name / "metrics.csv").read_text() for name in ("run", "whole"))
    assert run == whole
    assert float(run.splitlines()[-1].split(",")[-1]) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD(0.1, weight_decay=1e-4), "Expected l2_regularization"),
        (lambda: SGD(0.1, l2_regularization=-1.0), "Expected l2_regularization to be 0 or more, received -1.0"),
        (lambda: SGD(0.1, nesterov=True), "Expected a momentum above 0"),
        (lambda: SGD(0.1, momentum=2.0), "momentum"),
        (lambda: Lookahead("sgd"), "Expected optimizer to be a keras.optimizers.Optimizer, received 'sgd'"),
        (lambda: Lookahead(keras.optimizers.LossScaleOptimizer(SGD())), "does not scale the loss"),
        (lambda: Lookahead(SGD(loss_scale_factor=2.0)), "does not scale the loss"),
        (lambda: Lookahead(SGD(), sync_period=0), "Expected sync_period to be a positive integer, received 0"),
        (lambda: Lookahead(SGD(), slow_step_size=1.5), "Expected slow_step_size .* received 1.5"),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=words) as raised:
        make()
    assert "\n" not in str(raised.value)
