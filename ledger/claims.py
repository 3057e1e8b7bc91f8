"""What CARNet's page claims of the network, set against what was counted and measured here."""

import dataclasses
from collections.abc import Sequence

from keras_lite import published
from ledger.results import RunResult, SpeedResult, size_text

HOLDS = "holds"
IN_PART = "holds in part"
FAILS = "does not hold"
OPEN = "open"

_CARNET, _RESNET = "sports100/carnet18/ours", "sports100/resnet18/original"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        text: What the page says.
        verdict: `"holds"`, `"holds in part"`, `"does not hold"`, or `"open"` where nothing was measured.
        evidence: The figures from here.
    """

    text: str
    verdict: str
    evidence: str


def carnet_claims(runs: Sequence[RunResult], speeds: Sequence[SpeedResult]) -> list[Claim]:
    """Return the claims of CARNet's page, each with a verdict.

    Args:
        runs: Finished runs; those of CARNet18 and of its ResNet18 count, of one image size.
        speeds: Measurements of training speed.
    """
    carnet, resnet = published.get(_CARNET), published.get(_RESNET)
    pair = _longest_pair(runs)
    parameters = [row.exact["params"] for row in (carnet, resnet)]
    macs = [row.exact["macs"] for row in (carnet, resnet)]
    return [
        _accuracy(pair),
        Claim(
            "0.65 M parameters instead of 11.2 M",
            HOLDS,
            f"{parameters[0]:,} and {parameters[1]:,}, one to {parameters[1] / parameters[0]:.1f}",
        ),
        Claim(
            "1.63 GFLOPs instead of 32.6",
            HOLDS,
            f"{macs[0] / 1e9:.2f} and {macs[1] / 1e9:.2f} billion multiply-accumulates at 244 x 244 pixels, one to "
            f"{macs[1] / macs[0]:.1f}; an addition counted apart from its multiplication, the FLOPs are twice as many",
        ),
        Claim(
            "A model smaller by 94.2%: 360 MB instead of 618",
            IN_PART,
            f"a file of float32 weights is smaller by {1 - parameters[0] / parameters[1]:.1%}: "
            f"{parameters[0] * 4e-6:.1f} and {parameters[1] * 4e-6:.1f} MB; the printed sizes are none, and differ by "
            f"{1 - 360 / 618:.1%}",
        ),
        _memory(pair),
        _time(speeds),
    ]


def _longest_pair(runs: Sequence[RunResult]) -> tuple[RunResult, RunResult] | None:
    """Return the runs of both networks that share most epochs, of one image size, batch and protocol."""
    pairs = [
        (ours, theirs)
        for ours in runs
        for theirs in runs
        if (ours.row, theirs.row) == (_CARNET, _RESNET)
        and (ours.image_size, ours.batch_size, ours.protocol) == (theirs.image_size, theirs.batch_size, theirs.protocol)
    ]
    return max(pairs, key=lambda pair: (min(pair[0].epochs, pair[1].epochs), pair[0].epochs), default=None)


def _accuracy(pair: tuple[RunResult, RunResult] | None) -> Claim:
    printed = [published.get(row).published["accuracy"] for row in (_CARNET, _RESNET)]
    text = f"{printed[0]:.1f}% against {printed[1]:.2f}%, after 50 epochs"
    if pair is None:
        return Claim(text, OPEN, "not run")
    ours, theirs = pair
    epochs = min(ours.epochs, theirs.epochs)
    shares = [100 * run.epoch_accuracies[epochs - 1] for run in pair]
    evidence = (
        f"after {_epochs(epochs)} {shares[0]:.1f}% against {shares[1]:.1f}% of the validation images, at "
        f"{size_text(ours.image_size)} pixels; CARNet18 after {ours.epochs}: {100 * ours.test_accuracy:.1f}% of the "
        "test images"
    )
    if epochs < 50:
        return Claim(text, OPEN, f"too short to say: {evidence}{_precisions(pair)}")
    reached = shares[0] >= printed[0] and shares[0] > shares[1]
    verdict = HOLDS if reached else IN_PART if shares[0] > shares[1] else FAILS
    return Claim(text, verdict, evidence + _precisions(pair))


def _memory(pair: tuple[RunResult, RunResult] | None) -> Claim:
    text = "Less memory in training"
    if pair is None or None in (pair[0].peak_memory_bytes, pair[1].peak_memory_bytes):
        return Claim(text, OPEN, "not measured")
    ours, theirs = pair[0].peak_memory_bytes, pair[1].peak_memory_bytes
    evidence = (
        f"at most {ours / 1e9:.2f} and {theirs / 1e9:.2f} GB in the process that trained, with the data and the "
        f"framework, {pair[0].batch_size} images of {size_text(pair[0].image_size)} pixels a step{_precisions(pair)}"
    )
    if _precisions(pair):
        return Claim(text, OPEN, f"of two precisions, which can't be compared: {evidence}")
    return Claim(text, HOLDS if ours < theirs else FAILS, evidence)


def _time(speeds: Sequence[SpeedResult]) -> Claim:
    text = "Half the time to train"
    both = [speed for speed in speeds if {_CARNET, _RESNET} <= set(speed.images_per_second)]
    if not both:
        return Claim(text, OPEN, "not measured in one go")
    ratios, parts = [], []
    for speed in both:
        ours, theirs = (speed.images_per_second[row] for row in (_CARNET, _RESNET))
        ratios.append(theirs / ours)
        parts.append(
            f"{ratios[-1]:.2f} of ResNet18's time ({ours:.0f} and {theirs:.0f} images/s) on {speed.device}, "
            f"{speed.precision}, {speed.batch_size} images of {size_text(speed.image_size)} pixels a step"
        )
    verdict = HOLDS if max(ratios) <= 0.5 else IN_PART if min(ratios) < 1 else FAILS
    return Claim(text, verdict, "; ".join(parts))


def _precisions(pair: tuple[RunResult, RunResult]) -> str:
    kinds = [run.changes.get("precision", "float32") for run in pair]
    return "" if kinds[0] == kinds[1] else f" (CARNet18 in {kinds[0]}, ResNet18 in {kinds[1]})"


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"
