"""Newer techniques that a run may add to a published recipe, all off by default."""

import dataclasses
from typing import Any

from keras_lite.errors import InputError

SCHEDULES = ("published", "cosine", "one_cycle")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
AUGMENTATION_POLICIES = ("none", "rand_augment", "trivial_augment", "grid_mask", "fourier_mix")


@dataclasses.dataclass(frozen=True)
class Extras:
    """Techniques beyond the published recipe; each is a flag of every recipe.

    Args:
        schedule: `"published"`: the recipe's own; `"cosine"`: from the learning rate to zero, step by step;
            `"one_cycle"`: up to the learning rate and down again (Smith and Topin, 2017).
        warm_up_epochs: Epochs in which the learning rate rises from zero to that of the schedule.
        ema_decay: Decay per step of an exponential moving average of the weights, which is validated, tested and kept
            in place of the weights; 0: none.
        label_smoothing: Share of each label that is spread over all classes.
        mixup: Alpha of mixup's beta distribution (Zhang et al., 2018); 0: none.
        cutmix: Alpha of CutMix's beta distribution (Yun et al., 2019), at most 1; 0: none.
        augmentation_policy: `"rand_augment"` (Cubuk et al., 2020), `"trivial_augment"` (Müller and Hutter, 2021),
            `"grid_mask"` (Chen et al., 2020) or `"fourier_mix"` (FMix, Harris et al., 2020), after the recipe's own
            augmentation. The last two need the extra `keras-cv`.
        random_erasing: Probability with which a rectangle of an image is erased (Zhong et al., 2020).
        precision: Keras' dtype policy.
        teacher: A trained model (run folder or `.keras` file) whose outputs are learned too (Hinton et al., 2015).
        distillation_weight: Share of the teacher's outputs in the loss.
        temperature: Divisor of the student's and the teacher's logits before they are compared.

    Raises:
        InputError: If a value is out of its range.
    """

    schedule: str = "published"
    warm_up_epochs: int = 0
    ema_decay: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    augmentation_policy: str = "none"
    random_erasing: float = 0.0
    precision: str = "float32"
    teacher: str | None = None
    distillation_weight: float = 0.5
    temperature: float = 4.0

    def __post_init__(self) -> None:
        choices = {"schedule": SCHEDULES, "precision": PRECISIONS, "augmentation_policy": AUGMENTATION_POLICIES}
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise InputError(f"Expected {name} to be one of {', '.join(values)}, received {getattr(self, name)}.")
        if self.warm_up_epochs < 0:
            raise InputError(f"Expected warm_up_epochs to be 0 or more, received {self.warm_up_epochs}.")
        if self.warm_up_epochs and self.schedule == "one_cycle":
            raise InputError("Expected no warm_up_epochs with the schedule one_cycle, which has a rise of its own.")
        for name in ("ema_decay", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"Expected {name} to be from 0 to below 1, received {getattr(self, name)}.")
        if self.ema_decay and self.precision == "mixed_float16":
            raise InputError(
                "Expected no ema_decay with mixed_float16, whose loss scaling hides it; take mixed_bfloat16."
            )
        for name in ("cutmix", "random_erasing", "distillation_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Expected {name} to be from 0 to 1, received {getattr(self, name)}.")
        if not 0 <= self.mixup < float("inf"):
            raise InputError(f"Expected mixup to be 0 or more, received {self.mixup}.")
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"Expected a positive temperature, received {self.temperature}.")

    @property
    def soft_labels(self) -> bool:
        """Whether labels are probabilities of classes rather than numbers of classes."""
        return bool(self.label_smoothing or self.mixes)

    @property
    def mixes(self) -> bool:
        """Whether the images of a batch are mixed with one another."""
        return bool(self.mixup or self.cutmix or self.augmentation_policy == "fourier_mix")

    def in_use(self) -> dict[str, Any]:
        """Return the techniques that are on, with their values."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }
        if self.teacher is None:
            return {name: value for name, value in values.items() if name not in ("distillation_weight", "temperature")}
        return values | {"distillation_weight": self.distillation_weight, "temperature": self.temperature}
