"""Options of a quantization."""

import dataclasses

from keras_lite.errors import InputError
from keras_lite.export.tflite import check_installed, check_tf_mot
from keras_lite.quantization.aware.finetuning import LEARNING_RATE
from keras_lite.quantization.aware.quantize_aware import ENGINES


@dataclasses.dataclass(frozen=True)
class QuantizationOptions:
    """Options of the quantization itself: arguments of `keras_lite.quantization.finetune`, and its images.

    Args:
        epochs: Passes over the training images; 0: post-training quantization only.
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

    epochs: int = 2
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
        if self.engine == "tf_mot" and self.epochs:
            check_tf_mot()
