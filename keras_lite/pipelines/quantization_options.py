"""Options of a quantization."""

import dataclasses

from keras_lite.errors import InputError
from keras_lite.export.tflite import check_installed, check_tf_mot
from keras_lite.quantization.aware.finetuning import LEARNING_RATE
from keras_lite.quantization.aware.quantize_aware import ENGINES
from keras_lite.quantization.search import PostTraining

EPOCHS = 2
# Nats of post-training quantization below which training gained no more than noise on each of the four networks of
# results/quantization_ways.md that start there.
CLOSE = 0.005
_IN_NATS = ("logits", "probabilities")


@dataclasses.dataclass(frozen=True)
class QuantizationOptions:
    """Options of the quantization itself: arguments of `keras_lite.quantization.finetune`, and its images.

    Args:
        epochs: Passes over the training images; 0: post-training quantization only. `None`: 2, but none where
            post-training quantization is within 0.005 nats of the float model's classes: on the four measured networks
            that start there, training gained no more than noise.
        learning_rate: Initial learning rate.
        batch_size: Images in a step.
        engine: What trains: `"keras"`, on any backend, or `"tf_mot"`.
        scales: Of the engine `"keras"`: what becomes of scales in training, see
            `keras_lite.quantization.quantize_aware`.
        image_limit: At most so many training images; None: all.
        judge_images: Training images that are held out to judge start and epochs by, a fifth of all at the most.
        calibration_images: Images that post-training quantization sets ranges and biases with, and is judged by.
        allow_float: Whether layers that int8 has no operators for stay in floats. If there are any, there is no
            fine-tuning.
        seed: Seed of order and augmentation.
    """

    epochs: int | None = None
    learning_rate: float = LEARNING_RATE
    batch_size: int = 32
    engine: str = "keras"
    scales: str = "kept"
    image_limit: int | None = None
    judge_images: int = 512
    calibration_images: int = 512
    allow_float: bool = False
    seed: int = 0

    def check(self) -> None:
        """Raise an `InputError` if there is no such engine, or what it takes is not installed."""
        if self.engine not in ENGINES:
            raise InputError(f"Expected engine to be one of {ENGINES}, received {self.engine!r}.")
        check_installed("int8")
        if self.engine == "tf_mot" and self.epochs != 0:
            check_tf_mot()

    def epochs_after(self, chosen: PostTraining) -> int:
        """Return the passes over the training images that follow a post-training quantization."""
        if self.epochs is not None:
            return self.epochs
        close = chosen.output in _IN_NATS and chosen.chosen.closeness.divergence < CLOSE
        return 0 if close else EPOCHS
