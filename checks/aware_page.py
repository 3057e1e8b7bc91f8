"""From the divergences of int8 files, over seeds, to a page: arithmetic alone."""

import dataclasses
from typing import Any

import numpy as np

from keras_lite.quantization.closeness import standard_error
from keras_lite.tables import markdown_table

STOCK, POST_TRAINING, KERAS, TF_MOT = "stock", "post_training", "keras", "tf_mot"
TITLES = {
    STOCK: "stock converter",
    POST_TRAINING: "`post_training`",
    KERAS: "fine-tuned, Keras",
    TF_MOT: "fine-tuned, TF-MOT",
}


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found of one network.

    Args:
        name: Its name.
        pixels: Its images' side.
        right: Of each photo, whether the float model is right; None if that is not known.
        ways: Way -> seed -> `"divergences"` and whether each photo `"agrees"` and is `"right"`.
        made_with: Processors, versions and commits.
    """

    name: str
    pixels: int
    right: np.ndarray | None
    ways: dict[str, dict[str, dict[str, np.ndarray]]]
    made_with: set[str]

    def difference(self, way: str) -> tuple[float, float] | None:
        """Return a way's mean difference from `post_training`, over seeds that both have, and its standard error.

        Photos are the sample: the differences of a photo are averaged over the seeds first.
        """
        own, other = self.ways.get(way, {}), self.ways.get(POST_TRAINING, {})
        both = [seed for seed in own if seed in other]
        if way == POST_TRAINING or not both:
            return None
        each = np.mean([own[seed]["divergences"] - other[seed]["divergences"] for seed in both], axis=0)
        return float(each.mean()), standard_error(each)


def page(networks: list[Found], facts: dict[str, Any]) -> str:
    """Return the Markdown page.

    Args:
        networks: What was found, complete or not.
        facts: Photos: `calibration`, `judges`, `training`; `epochs`.
    """
    made = sorted({text for network in networks for text in network.made_with})
    return f"""# Fine-tuned int8 files beside others, over seeds

Written by `python checks/aware_table.py --page results/aware_files.md`; given again, it measures what is missing.

KL is the mean divergence of an int8 file's answers from its float model's on the whole test split, in nats, averaged
over the seeds, with the spread of the seeds. A seed is a choice of training photos: {facts["calibration"]} that set
ranges, {facts["judges"]} that judge, and {facts["training"]:,} others to train with, for {facts["epochs"]} epochs with
the defaults of `keras-lite quantize`. The difference from `post_training` is that of the same photos and seeds, with
its standard error over the photos.

{verdicts(networks)}

{_table(networks)}

`keras-lite quantize` keeps `post_training`'s file where fine-tuning's is not closer by two standard errors on photos
held out; so did the Keras engine here. TF-MOT's start has weights rounded to the nearest step, and is no file of
`post_training`.

Of a network that ends in a softmax, the stock converter's file gives probabilities in steps of 1/256, of which many
are 0: hence its large KL. [quantization_ways.md](quantization_ways.md) compares without the softmax. Where fine-tuning
gains less than a third, [finetuning_ways.md](finetuning_ways.md) has the floors, with weights alone and activations
alone rounded, and what each remedy gave.

{"; ".join(made)}.
"""


def verdicts(networks: list[Found]) -> str:
    """Return a line for each demand: where fine-tuning is farther off than `post_training`, and where much closer."""
    lines = []
    for way in (KERAS, TF_MOT):
        above, third, counted = [], [], 0
        for network in networks:
            if (difference := network.difference(way)) is None:
                continue
            counted += 1
            if difference[0] > 2 * difference[1]:
                above.append(network.name)
            if mean_divergence(network, way) <= mean_divergence(network, POST_TRAINING) * 2 / 3:
                third.append(network.name)
        lines.append(
            f"- {TITLES[way]}, {counted} networks: above `post_training` by more than two standard errors on "
            f"{', '.join(above) or 'none'}; a third below it on {', '.join(third) or 'none'}."
        )
    return "\n".join(lines)


def mean_divergence(network: Found, way: str) -> float:
    """Return a way's divergence, averaged over its seeds."""
    return float(np.mean([each["divergences"].mean() for each in network.ways[way].values()]))


def _table(networks: list[Found]) -> str:
    rows = [("network", "way", "seeds", "photos", "KL", "difference", "agreement", "top-1")]
    for network in networks:
        about = f"{network.name}, {network.pixels} px"
        if network.right is not None:
            rows.append((about, "float", "", f"{len(network.right):,}", "", "", "", f"{network.right.mean():.2%}"))
            about = ""
        for way, seeds in network.ways.items():
            each = [found["divergences"].mean() for found in seeds.values()]
            spread = f" ({min(each):.5f} to {max(each):.5f})" if len(each) > 1 else ""
            difference = network.difference(way)
            right = [found["right"].mean() for found in seeds.values() if "right" in found]
            rows.append((
                about,
                TITLES[way],
                str(len(seeds)),
                f"{len(next(iter(seeds.values()))['divergences']):,}",
                f"{np.mean(each):.5f}{spread}",
                "" if difference is None else f"{difference[0]:+.5f} ± {difference[1]:.5f}",
                f"{np.mean([found['agrees'].mean() for found in seeds.values()]):.2%}",
                f"{np.mean(right):.2%}" if right else "",
            ))  # fmt: skip
            about = ""
    return markdown_table(rows, left=(0, 1))
