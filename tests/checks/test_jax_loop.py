"""What the main thread works in a step, against work of a known length."""

import time

import keras
import pytest

from checks.jax_loop import FLAGS, Host, main
from keras_lite.errors import InputError


def test_waiting_is_no_work(monkeypatch):
    clocks = {"perf_counter": iter([10.0, 14.0]), "thread_time": iter([1.0, 2.0])}
    for name, readings in clocks.items():
        monkeypatch.setattr(time, name, lambda readings=readings: next(readings))
    host = Host()
    host.on_epoch_begin(0)
    for batch in (1, 3, 5, 7, 9):  # two steps in one go; the first call is not timed
        host.on_train_batch_end(batch)
    host.on_epoch_end(0)
    assert (host.clock, host.main_thread) == (500.0, 125.0)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="other backends are refused")
def test_another_backend_is_refused():
    with pytest.raises(InputError, match="KERAS_BACKEND=jax"):
        main(FLAGS, [])
