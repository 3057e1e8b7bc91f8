import numpy as np
import pytest

from keras_lite.data import ModelInfo, Preprocessing, interpret, nearest_others, task_of
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only
PREPROCESSING = Preprocessing((8, 8))


def info(output, *names):
    return ModelInfo("a model", list(names), PREPROCESSING, output)


def test_logits_become_probabilities():
    logits = np.array([[0.0, np.log(3.0)], [1000.0, 1000.0]])
    np.testing.assert_allclose(interpret(logits, info("logits", "a", "b")), [[0.25, 0.75], [0.5, 0.5]])


def test_one_sigmoid_of_two_classes_is_the_probability_of_the_second():
    np.testing.assert_allclose(interpret(np.array([[0.125]]), info("sigmoid", "cat", "dog")), [[0.875, 0.125]])


@pytest.mark.parametrize(
    ("told", "outputs", "task"),
    [
        (info("probabilities", "a", "b", "c"), 3, "multiclass"),
        (info("sigmoid", "dog"), 1, "binary"),
        (info("sigmoid", "sun", "rain"), 2, "multilabel"),
        (info("regression", "width"), 1, "regression"),
        (info("regression", "left", "top"), 2, "regression"),
        (info("embedding"), 3, "embedding"),
    ],
)
def test_other_numbers_stay(told, outputs, task):
    numbers = np.linspace(0.1, 0.9, 2 * outputs).reshape(2, outputs)
    assert task_of(told, outputs) == task
    np.testing.assert_array_equal(interpret(numbers, told), numbers)


@pytest.mark.parametrize(
    ("told", "outputs", "message"),
    [
        (info("logits", "a", "b"), 3, "Expected 3 class names, as the model has outputs, received 2"),
        (info("sigmoid", "a", "b"), 3, "Expected 3 class names"),
        (info("sigmoid", "a", "b", "c"), 1, "one name .* or two .* received 3"),
        (info("regression", "a", "b"), 1, "Expected 1 names of values.* received 2; a binary classifier ends with"),
        (info("logits", "a"), 1, "two or more outputs .* logits, received one"),
    ],
)
def test_names_that_do_not_fit(told, outputs, message):
    with pytest.raises(InputError, match=message):
        task_of(told, outputs)


def test_nearest_others():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1203, 3))
    numbers, cosines = nearest_others(vectors, 2)
    for row in (0, 499, 500, 1202):
        lengths = np.sqrt((vectors**2).sum(1))
        similar = vectors @ vectors[row] / lengths / lengths[row]
        similar[row] = -2
        assert numbers[row].tolist() == np.argsort(similar)[::-1][:2].tolist()
        np.testing.assert_allclose(cosines[row], np.sort(similar)[::-1][:2])
    assert nearest_others(vectors[:3], 5)[0].shape == (3, 2)
