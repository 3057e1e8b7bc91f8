"""Schedules, against tables of the published runs' own and PyTorch's."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_lite.errors import InputError
from keras_lite.training import EpochCosineDecay, OneCycle, WarmUp, milestone_decay

TABLES = json.loads(Path(__file__).with_name("optimizer_traces.json").read_text())["schedules"]
STEPS = 2  # of an epoch


def table(name):
    """Return the published learning rate of each epoch."""
    [values] = [values for title, values in TABLES.items() if title.startswith(name)]
    return np.array(values)


def rates(schedule, steps):
    """Return the rates of the first steps."""
    counter = keras.Variable(0, dtype="int", trainable=False)  # an optimizer's
    values = []
    for step in range(steps):
        counter.assign(step)
        values.append(keras.ops.convert_to_numpy(schedule(counter)))
    return np.array(values)


def again(schedule):
    """Return the schedule as a saved optimizer gives it back."""
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(schedule)))
    return keras.saving.deserialize_keras_object(config)


@pytest.mark.parametrize(("name", "milestones"), [("bsconv", (100, 150, 180)), ("VegFru", (30, 60, 90))])
def test_published_milestones(name, milestones):
    published = table(name)
    schedule = milestone_decay(0.1, milestones, STEPS)
    np.testing.assert_allclose(schedule.values, published[[0, *milestones]], rtol=1e-12)
    expected = np.repeat(published, STEPS).astype("float32")
    np.testing.assert_array_equal(rates(again(schedule), len(expected)), expected)


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("effresnet", EpochCosineDecay(0.1, 200, STEPS)),
        ("second", EpochCosineDecay(0.03, 300, STEPS, floor_fraction=0.1)),
    ],
)
def test_published_cosines(name, schedule):
    published = table(name)
    np.testing.assert_allclose(schedule.rates, published, rtol=1e-12)
    expected = np.repeat(published, STEPS).astype("float32")
    np.testing.assert_array_equal(rates(again(schedule), len(expected)), expected)
    # Beyond the end the last rate holds.
    assert rates(schedule, len(expected) + 2 * STEPS)[-1] == expected[-1]


@pytest.mark.parametrize(
    ("schedule", "published"),
    [(0.2, np.full(100, 0.2)), (milestone_decay(0.1, (30, 60, 90), STEPS), table("VegFru"))],
)
def test_warm_up_comes_before_any_schedule(schedule, published):
    expected = np.repeat(published, STEPS)
    # Three epochs of two steps: 1/6, 2/6 and so on of the schedule's rate.
    expected[:6] *= np.arange(1, 7) / 6
    warm = again(WarmUp(schedule, epochs=3, steps_per_epoch=STEPS))
    np.testing.assert_allclose(rates(warm, len(expected)), expected, rtol=1e-6)


def test_one_cycle_has_three_parts():
    schedule = again(
        OneCycle(1.0, epochs=10, steps_per_epoch=10, rising_fraction=0.4, initial_divisor=10.0, final_divisor=100.0)
    )
    # The corners by hand: 0.1 at first, 1 after 40 steps, 0.1 after 39 more, 0.001 in the last.
    expected = np.interp(np.arange(100), [0, 39, 78, 99], [0.1, 1.0, 0.1, 0.001])
    np.testing.assert_allclose(rates(schedule, 100), expected, rtol=1e-5)
    assert rates(schedule, 110)[-1] == pytest.approx(0.001)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the same on any backend, by the corners above")
@pytest.mark.parametrize("epochs", [1, 4])
def test_one_cycle_is_that_of_pytorch(epochs):
    import torch

    schedule = OneCycle(0.5, epochs, STEPS)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    options = {"pct_start": 0.45, "div_factor": 25.0, "final_div_factor": 1e4, "cycle_momentum": False}
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.5, total_steps=epochs * STEPS, three_phase=True, anneal_strategy="linear", **options
    )
    expected = []
    for _ in range(epochs * STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < epochs * STEPS:
            theirs.step()
    np.testing.assert_allclose(rates(schedule, epochs * STEPS), expected, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_a_few_steps(steps):
    values = rates(OneCycle(1.0, epochs=1, steps_per_epoch=steps), steps)
    assert np.isfinite(values).all()
    assert values[-1] == pytest.approx(1 / 25 / 1e4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: milestone_decay(0.1, (), 5), r"milestones to be increasing epochs from 1 on, received \(\)"),
        (lambda: milestone_decay(0.1, (30, 20), 5), r"milestones .* received \(30, 20\)"),
        (lambda: milestone_decay(0.1, (0.5,), 5), r"milestones .* received \(0\.5,\)"),
        (lambda: milestone_decay(0.1, (30,), 0), "steps_per_epoch to be a positive integer, received 0"),
        (lambda: milestone_decay(-0.1, (30,), 5), "initial_learning_rate to be a positive number, received -0.1"),
        (lambda: EpochCosineDecay(0.1, 0, 5), "epochs to be a positive integer, received 0"),
        (lambda: EpochCosineDecay(0.1, 5, 5, floor_fraction=2.0), "floor_fraction to be from 0 to 1, received 2.0"),
        (lambda: WarmUp("cosine", 5, 5), "schedule to be a positive number, received 'cosine'"),
        (lambda: OneCycle(1.0, 5, 5, rising_fraction=0.6), "rising_fraction to be at most 0.5, received 0.6"),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(InputError, match=words):
        make()
