"""Batches of a run's images."""

import dataclasses

from keras_lite.data import Augmentation, Batches, GridMask, Mix, RandAugment, Source, TrivialAugment
from keras_lite.training.options import Options
from keras_lite.training.recipe import Recipe

_POLICIES = {"rand_augment": RandAugment, "trivial_augment": TrivialAugment, "grid_mask": GridMask}
_FOURIER_MIX_ALPHA = 0.5  # KerasCV's default


def batches_of(recipe: Recipe, options: Options, source: Source, training: bool) -> Batches:
    """Return the batches of a run, in random order and changed at random if they are for training."""
    extras = options.extras
    fourier = _FOURIER_MIX_ALPHA if extras.augmentation_policy == "fourier_mix" else 0.0
    return Batches(
        source,
        options.batch_size,
        recipe.preprocessing(options.image_size),
        augmentation=augmentation_of(recipe, options) if training else None,
        shuffle=training,
        seed=options.seed,
        mix=Mix(extras.mixup, extras.cutmix, fourier) if training and extras.mixes else None,
    )


def augmentation_of(recipe: Recipe, options: Options) -> Augmentation:
    """Return the random changes to the training images of a run."""
    policy = _POLICIES.get(options.extras.augmentation_policy)
    more = {"policy": policy() if policy else None, "erasing": options.extras.random_erasing}
    return dataclasses.replace(recipe.augmentation, **{name: value for name, value in more.items() if value})
