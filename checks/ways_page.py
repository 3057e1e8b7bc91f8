"""From the outputs of a float model and of its int8 files to figures, verdicts and a page: arithmetic alone."""

import dataclasses
from typing import Any

import numpy as np

from keras_lite.quantization.closeness import divergences, standard_error
from keras_lite.tables import markdown_table

FLOAT, STOCK, POST_TRAINING, DEFAULT = "float", "stock", "post_training", "default"
LITERT_QUANTIZER, BEFORE = "litert_quantizer", "before"
TITLES = {
    STOCK: "stock converter",
    LITERT_QUANTIZER: "litert-quantizer",
    BEFORE: "`post_training` before",
    POST_TRAINING: "`post_training`",
    DEFAULT: "default command",
}

_LITTLE_MORE = 1.02


@dataclasses.dataclass(frozen=True)
class Closeness:
    """How far a way's outputs are from the float model's, over photos.

    Args:
        photos: Number of photos.
        divergence: Mean Kullback-Leibler divergence of the class probabilities from the float model's, in nats.
        error: Its standard error.
        difference: Mean over the photos of its divergence less that of the way it is compared with.
        difference_error: The standard error of that.
        agreement: Share of the photos with the float model's top-1 class.
    """

    photos: int
    divergence: float
    error: float
    _: dataclasses.KW_ONLY
    difference: float
    difference_error: float
    agreement: float

    @property
    def above(self) -> bool:
        """Whether it is farther off than the other way by more than two standard errors."""
        return self.difference > 2 * self.difference_error

    @property
    def below(self) -> bool:
        """Whether it is closer than the other way by more than two standard errors."""
        return -self.difference > 2 * self.difference_error


@dataclasses.dataclass(frozen=True)
class Network:
    """What was found of one network.

    Args:
        name: Its name.
        pixels: Height and width of its input.
        classes: Number of classes.
        parameters: Number of trainable parameters.
        ways: Way -> closeness, compared with `post_training`.
        kept: What the default command kept; None while that is not measured.
        same_start: Whether the default command began with the very model that `post_training` stands for.
        without_onednn: The ways that had to be run without oneDNN, as their process ended with it.
    """

    name: str
    pixels: int
    classes: int
    _: dataclasses.KW_ONLY
    parameters: int
    ways: dict[str, Closeness]
    kept: str | None = None
    same_start: bool | None = None
    without_onednn: tuple[str, ...] = ()


def closeness(expected: np.ndarray, received: np.ndarray, other: np.ndarray) -> Closeness:
    """Return how far logits are from the float model's, beside those of another way on the same photos.

    Args:
        expected: The float model's logits, of shape `(photos, classes)`; two photos or more.
        received: The way's.
        other: The logits of the way that it is compared with.
    """
    own = divergences("logits", expected, received)
    difference = own - divergences("logits", expected, other)
    return Closeness(
        photos=len(own),
        divergence=float(own.mean()),
        error=standard_error(own),
        difference=float(difference.mean()),
        difference_error=standard_error(difference),
        agreement=float((expected.argmax(axis=1) == received.argmax(axis=1)).mean()),
    )


def page(networks: list[Network], facts: dict[str, Any]) -> str:
    """Return the Markdown page.

    Args:
        networks: What was found, complete or not.
        facts: `command`, `before` (a commit), `calibration`, `given`, `given_large` (photos), `large` (pixels),
            `seed` and `made_with`.
    """
    return f"""# Ways to int8, on photos that set nothing

Written by `{facts["command"]}`.

How far the outputs of int8 files are from their float model's: the Kullback-Leibler divergence (KL) of the class
probabilities in nats, its mean over the photos and the standard error of that; the mean over the same photos of the
difference from `post_training`'s, with its own standard error; the share of photos with the float model's top-1 class.
The photos measured on are of the test split (and of the validation split where that has too few). They set no
range and no bias, judged nothing and trained nothing. All outputs are those of the `.tflite` file in LiteRT.

{verdicts(networks)}

{_ways_table(networks)}

- **{TITLES[STOCK]}**: TensorFlow's own, `to_tflite(..., stock=True)`, on {facts["calibration"]} photos.
  A softmax at the end is left out first: as int8 its probabilities come in steps of 1/256, many are 0, and KL is
  infinite.
- **{TITLES[LITERT_QUANTIZER]}**: `litert_quantizer` (PyPI) on the float32 file and the same photos: static int8, ranges
  by `min_max_update`.
- **{TITLES[POST_TRAINING]}**: `keras_lite.quantization.post_training` on the same photos. **{TITLES[BEFORE]}**: that of
  commit {facts["before"]}, which ran its candidates in TensorFlow.
- **{TITLES[DEFAULT]}**: `keras-lite quantize MODEL --unlabeled_dir PHOTOS`, on a folder of photos:
  {facts["given"]:,}, or {facts["given_large"]:,} for {facts["large"]} pixels and more. It holds a tenth of them out and
  trains with the others, of which it sets ranges with the same {facts["calibration"]} as `post_training`.

## What the default command kept

{_kept_table(networks)}

"Same start": whether what the command judged before its fine-tuning is what `post_training` gave, figure for figure.

What fine-tuning gains, and by which losses and rates, is in [finetuning_ways.md](finetuning_ways.md).

Seed {facts["seed"]}; {facts["made_with"]}.{_without_onednn(networks)}
"""


def verdicts(networks: list[Network]) -> str:
    """Return the verdict lines: where a way is farther from the float model than it should be."""
    worse = [network.name for network in networks if DEFAULT in network.ways and network.ways[DEFAULT].above]
    stock = [network.name for network in networks if STOCK in network.ways and network.ways[STOCK].below]
    more = [
        f"{network.name} ({ratio:.2f})"
        for network in networks
        if (old := network.ways.get(BEFORE)) and POST_TRAINING in network.ways
        if (ratio := network.ways[POST_TRAINING].divergence / old.divergence) > _LITTLE_MORE
    ]
    missing = [
        f"{network.name} ({', '.join(left)})"
        for network in networks
        if (left := [title for way, title in TITLES.items() if way not in network.ways])
    ]
    lines = [
        f"- The default's KL is above `post_training`'s by more than two standard errors on: {_listed(worse)}.",
        f"- `post_training`'s is above the stock converter's by more than two standard errors on: {_listed(stock)}.",
    ]
    if any(BEFORE in network.ways for network in networks):
        lines.append(f"- `post_training`'s is above {_LITTLE_MORE:.2f} times that before on: {_listed(more)}.")
    return "\n".join([*lines, f"- Not measured yet: {', '.join(missing)}."] if missing else lines)


def _ways_table(networks: list[Network]) -> str:
    head = ("network", "way", "photos", "KL", "difference from `post_training`", "agreement")
    lines = [head]
    for network in networks:
        about = f"{network.name} ({network.pixels} px, {network.classes:,} classes, {network.parameters:,} parameters)"
        for way, title in TITLES.items():
            if found := network.ways.get(way):
                difference = "" if way == POST_TRAINING else _signed(found)
                own = f"{found.divergence:.5f} ± {found.error:.5f}"
                lines.append((about, title, f"{found.photos:,}", own, difference, f"{found.agreement:.1%}"))
                about = ""
    return markdown_table(lines, left=(0, 1))


def _kept_table(networks: list[Network]) -> str:
    lines = [("network", "kept", "same start")]
    for network in networks:
        if network.kept is not None:
            same = {True: "yes", False: "no", None: "unknown"}[network.same_start]
            lines.append((network.name, network.kept, same))
    return markdown_table(lines, left=None)


def _without_onednn(networks: list[Network]) -> str:
    ways = [f"{network.name}: {', '.join(network.without_onednn)}" for network in networks if network.without_onednn]
    if not ways:
        return ""
    return f"\nTensorFlow's process ended with oneDNN on, and these were measured without it: {'; '.join(ways)}."


def _signed(found: Closeness) -> str:
    return f"{found.difference:+.5f} ± {found.difference_error:.5f}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
