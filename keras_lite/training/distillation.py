"""Learning from the outputs of a trained model."""

import keras

from keras_lite.checkpoints import load_model
from keras_lite.data import ModelInfo, read_model_info
from keras_lite.errors import InputError
from keras_lite.training.run_folder import model_file


class DistilledModel(keras.Model):
    """Student model that learns from labels and a teacher's outputs; it shares its layers with the given model.

    The loss is `(1 - weight) * loss + weight * temperature**2 * divergence`, where the divergence (Kullback-Leibler)
    is the student's from the teacher's probabilities, both from logits divided by the temperature.

    Source: G. Hinton, O. Vinyals and J. Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531.

    Args:
        student: A functional model with logits as output.
        teacher: A model with logits as output, of the same input.
        weight: Share of the teacher's outputs in the loss, from 0 to 1.
        temperature: What logits are divided by.

    Example:

    ```python
    model = DistilledModel(student, teacher, weight=0.5, temperature=4.0)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ```
    """

    def __init__(self, student: keras.Model, teacher: keras.Model, weight: float, temperature: float) -> None:
        super().__init__(student.inputs, student.outputs[0], name=student.name)
        # In a function Keras does not find the teacher, whose variables are neither trained nor saved.
        self._teach = lambda images: teacher(images, training=False)
        self._weight = weight
        self._temperature = temperature

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss; in validation that of the labels alone."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        ops = keras.ops
        teacher = ops.stop_gradient(ops.cast(self._teach(x), "float32")) / self._temperature
        student = ops.cast(y_pred, "float32") / self._temperature
        # A loss of Keras, which knows of replicas.
        mean_cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
        shares = ops.softmax(teacher)
        divergence = mean_cross_entropy(shares, student) - mean_cross_entropy(shares, teacher)
        return (1 - self._weight) * loss + self._weight * self._temperature**2 * divergence


def load_teacher(path: str, info: ModelInfo) -> keras.Model:
    """Load a trained model to learn from.

    Args:
        path: A finished run folder, or a `.keras` file with its information file beside it.
        info: What the student's information file will say: classes and preprocessing must be the teacher's.

    Raises:
        InputError: If there is no such model, or it was trained on other classes or with another preprocessing.
    """
    file = model_file(path)
    teacher = load_model(file)
    theirs = read_model_info(file)
    for name in ("class_names", "preprocessing", "output"):
        if getattr(theirs, name) != getattr(info, name):
            raise InputError(f"Expected a teacher with the student's {name}; {file} has another.")
    teacher.trainable = False
    return teacher
