from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tiny

from keras_lite.data import Batches, Preprocessing
from keras_lite.errors import InputError
from keras_lite.training.epochs import EpochBatches, RunCallbacks, call_with_data


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def batches(**arguments):
    return Batches(tiny.source(27, 0), 4, Preprocessing((8, 8)), shuffle=True, seed=1, **arguments)


def test_epoch_from_a_step_on_is_the_rest_of_the_whole_epoch(pool):
    data = batches(augmentation=tiny.RECIPE.augmentation)
    whole = [data.batch(2, step) for step in range(7)]
    rest = EpochBatches(data, 2, 3, pool)
    assert len(rest) == 4
    for (images, labels), (expected_images, expected_labels) in zip(rest, whole[3:], strict=True):
        np.testing.assert_array_equal(images, expected_images)
        np.testing.assert_array_equal(labels, expected_labels)


def test_order_does_not_depend_on_what_was_looked_at_before(pool):
    data = batches()
    epoch = EpochBatches(data, 0, 0, pool, ahead=2)
    # Keras looks at the first batches to learn their shapes, then begins anew.
    for step in (0, 1, 0, 1, 2, 6, 0, 1):
        np.testing.assert_array_equal(epoch[step][0], data.batch(0, step)[0])


def test_error_of_the_data_comes_out_of_fit_as_it_was_raised(pool):
    class Broken(Batches):
        def batch(self, epoch, index):
            if index == 3:
                raise InputError("Expected a whole image in a.jpg, received half of one.")
            return super().batch(epoch, index)

    epoch = EpochBatches(Broken(tiny.source(27, 0), 4, Preprocessing((8, 8))), 0, 0, pool)
    model = tiny.build((8, 8), 3)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(InputError, match=r"^Expected a whole image in a\.jpg, received half of one\.$"):
        call_with_data(lambda: model.fit(epoch, verbose=0, shuffle=False), epoch)


def test_error_of_something_else_stays_as_it_is(pool):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call_with_data(fail, EpochBatches(batches(), 0, 0, pool))


def test_to_callbacks_several_fits_are_one_training(pool):
    calls = []

    class Record(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            calls.append("begin")

        def on_train_batch_end(self, batch, logs=None):
            calls.append(batch)

        def on_epoch_end(self, epoch, logs=None):
            calls.append(f"epoch {epoch}")

        def on_train_end(self, logs=None):
            calls.append("end")

    model = tiny.build((8, 8), 3)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callbacks = RunCallbacks([Record()], model, epochs=2, steps=7, verbose=0)
    callbacks.begin()
    for epoch, first_step in ((0, 4), (1, 5)):
        callbacks.first_step = first_step
        data = EpochBatches(batches(), epoch, first_step, pool)
        model.fit(data, initial_epoch=epoch, epochs=epoch + 1, callbacks=callbacks, shuffle=False)
    callbacks.end()
    assert calls == ["begin", 4, 5, 6, "epoch 0", 5, 6, "epoch 1", "end"]
