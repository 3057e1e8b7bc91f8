"""One process that runs several files: what it answers, and what happens when it dies."""

import os
from pathlib import Path

import numpy as np
import pytest

from keras_lite.litert import FloatGraph, Operator, Tensor, write
from keras_lite.runtime import LiteRTError
from keras_lite.runtime.session import LiteRTSession

pytest.importorskip("ai_edge_litert.interpreter")
pytestmark = pytest.mark.tensorflow_only
IMAGES = np.random.default_rng(0).normal(size=(7, 4, 6, 3)).astype("float32")
IMAGES[:, 0] = 0.0


def scaled(factor, batch=1):
    """A file that multiplies images, and one more output that takes the greater of them and zero."""
    x, y, z = (Tensor(name, (1, 4, 6, 3)) for name in ("images", "scaled", "positive"))
    number = Tensor("factor", (1,), np.array([factor], "float32"))
    multiply = Operator("MUL", [x, number], [y], {"fused_activation_function": "NONE"})
    both = FloatGraph("scaled", [x], [y, z], [multiply, Operator("RELU", [y], [z])])
    return write(both, batch=batch), write(FloatGraph("scaled", [x], [y], [multiply]), batch=batch)


@pytest.mark.parametrize("batch", [1, 3, 16], ids=["one", "a_part_is_left", "more_than_there_are"])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_files_make_of_images(batch, threads):
    both, one = scaled(2.0, batch)
    with LiteRTSession(threads) as session:
        np.testing.assert_array_equal(session.outputs(one, IMAGES)[0], 2 * IMAGES)
        np.testing.assert_array_equal(session.outputs(scaled(-1.0, batch)[1], IMAGES)[0], -IMAGES)
        first, second = session.values(both, IMAGES, [7, 2])
        np.testing.assert_array_equal(first, 2 * IMAGES)
        np.testing.assert_array_equal(second, np.maximum(2 * IMAGES[:2], 0))
        seen, positive = session.observe(both, IMAGES, [True, False], [False, True], 5, [0, 6])
    np.testing.assert_array_equal(seen["lowest"], 2 * IMAGES.min((0, 1, 2)))
    np.testing.assert_array_equal(seen["highest"], 2 * IMAGES.max((0, 1, 2)))
    values = 2 * IMAGES[IMAGES != 0]
    assert seen["counts"].sum() == values.size
    expected = np.histogram(values, len(seen["counts"]), (values.min(), values.max()))[0]
    assert np.abs(np.cumsum(seen["counts"]) - np.cumsum(expected)).max() <= 2
    assert "counts" not in positive
    assert "values" not in seen
    np.testing.assert_array_equal(positive["values"], np.maximum(2 * IMAGES[:6], 0))
    np.testing.assert_allclose(positive["sum"], np.maximum(2 * IMAGES[:5], 0).sum(0), rtol=1e-6)


def test_forgotten_images_are_gone_and_may_come_again():
    _, one = scaled(2.0)
    with LiteRTSession() as session:
        session.forget(IMAGES)  # it never had them
        for _ in range(2):
            np.testing.assert_array_equal(session.outputs(one, IMAGES)[0], 2 * IMAGES)
            session.forget(IMAGES)
            assert not list(Path(session._folder.name).rglob("*.npy"))


def test_all_images_at_once():
    with LiteRTSession() as session:
        first, second = session.run(scaled(3.0, 5)[0], IMAGES)
    np.testing.assert_array_equal(first, 3 * IMAGES[:5])
    np.testing.assert_array_equal(second, np.maximum(3 * IMAGES[:5], 0))


def test_a_refused_file_is_one_line_and_the_next_one_runs():
    with LiteRTSession() as session:
        with pytest.raises(LiteRTError, match=r"^LiteRT can't run the file: ") as refused:
            session.outputs(b"no file at all", IMAGES)
        assert "\n" not in str(refused.value)
        np.testing.assert_array_equal(session.outputs(scaled(2.0)[1], IMAGES)[0], 2 * IMAGES)


def test_a_process_that_dies_is_named_and_another_begins():
    with LiteRTSession() as session:
        session.outputs(scaled(2.0)[1], IMAGES)
        first = session._process.pid
        session._process.kill()
        with pytest.raises(LiteRTError, match="its process died of SIGKILL while it ran the images"):
            session.outputs(scaled(2.0)[1], IMAGES)
        np.testing.assert_array_equal(session.outputs(scaled(2.0)[1], IMAGES)[0], 2 * IMAGES)
        last = session._process.pid
    assert first != last
    for ended in (first, last):
        with pytest.raises(ProcessLookupError):
            os.kill(ended, 0)
