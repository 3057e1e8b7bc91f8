"""Which network of `keras_lite.applications` a state dict is of, by its names and shapes."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_lite import applications
from keras_lite.applications import cifar_resnet, imagenet_resnet
from keras_lite.checkpoints.fitting import fit
from keras_lite.errors import InputError

# Below this share of fitting variables a network is no neighbour.
_NEAR = 0.3


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network that a state dict fits, or comes near to.

    Attributes:
        network: A name of `keras_lite.applications.list_models()`.
        options: Arguments of its function.
        fitting: How many of its variables, without the classifier's, have their names and shapes in the state dict.
        size: How many it has.
        others: Whether the state dict has names that the network does not know, or lacks some.
    """

    network: str
    options: dict[str, Any]
    fitting: int
    size: int
    others: bool

    @property
    def fits(self) -> bool:
        """Whether all names and shapes but the classifier's are this network's."""
        return self.fitting == self.size and not self.others

    def build(self, **options) -> keras.Model:
        """Build the network."""
        return applications.create(self.network, **self.options | options)

    def __str__(self) -> str:
        return self._described(self.options)

    def _described(self, options: dict[str, Any]) -> str:
        texts = ", ".join(f"{name}={_text(value)}" for name, value in options.items())
        return f"{self.network} with {texts}" if texts else self.network

    def advice(self, with_classes: bool = True) -> str:
        """Say how near it is and how to ask for it, with or without its number of classes."""
        options = {name: value for name, value in self.options.items() if with_classes or name != "classes"}
        described, texts = self._described(options), ",".join(f"{name}={_text(options[name])}" for name in options)
        command = f"--model {self.network}" + (f" --options {texts}" if texts else "")
        if self.fits:
            return f"It fits {described} ({command})."
        return f"Nearest here is {described} ({command}): {self.fitting} of its {self.size} arrays fit."


def _text(value: Any) -> str:
    return f"({','.join(map(str, value))})" if isinstance(value, tuple) else str(value)


def nearest(state_dict: Mapping[str, np.ndarray]) -> Candidate | None:
    """Return the network that a state dict fits, or else comes nearest to, with the arguments that fit best.

    The names tell which few networks are built and compared. Input sizes and what has no weights (activations, dropout)
    are not in a file.

    Args:
        state_dict: Name -> tensor, or array in PyTorch's layout.

    Returns:
        The network, or `None` if none comes near.

    Example:

    ```python
    candidate = nearest(read_state_dict("resnet18-f37072fd.pth"))
    str(candidate)  # 'imagenet_resnet with depth=18, variant=torchvision, classes=1000'
    ```
    """
    best = None
    for network, options in _likely(_Names(state_dict)):
        try:
            found = fit(applications.create(network, **options), state_dict, load_classifier=False)
        except (InputError, ValueError):
            continue  # arguments that no such network has
        options = {name: value for name, value in options.items() if (name, value) != ("alpha", 1.0)}
        if found.classes is not None:
            options["classes"] = found.classes
        candidate = Candidate(network, options, found.fitting, found.size, bool(found.problems))
        if candidate.fits:
            return candidate
        if best is None or candidate.fitting / candidate.size > best.fitting / best.size:
            best = candidate
    return best if best and best.fitting >= _NEAR * best.size else None


class _Names:
    """The names and shapes of a state dict, to be asked for by their ends."""

    def __init__(self, state_dict: Mapping[str, np.ndarray]) -> None:
        self._shapes = {name: tuple(value.shape) for name, value in state_dict.items() if hasattr(value, "shape")}
        self._text = "\n".join(self._shapes)

    def shape(self, end: str) -> tuple[int, ...] | None:
        """Return the shape of the tensor whose name is `end`, with or without a prefix."""
        return next((s for name, s in self._shapes.items() if name == end or name.endswith(f".{end}")), None)

    def filters(self, end: str) -> int:
        """Return the outputs of the convolution whose kernel's name ends so, 0 without one."""
        shape = self.shape(end)
        return shape[0] if shape else 0

    def count(self, pattern: str) -> int:
        """Return how far the numbers in names count, from 0 or 1."""
        return len(set(re.findall(rf"(?m)(?:^|\.){pattern}", self._text)))


def _likely(names: _Names) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield networks whose names are like those of a state dict, with what its shapes say of their arguments."""
    if names.shape("layer1.0.conv1.weight"):
        yield from _resnets(names)
    elif names.shape("features.1.conv.0.0.weight"):
        for alpha in _alphas(names.filters("features.0.0.weight"), 32):
            yield "mobilenet_v2", {"variant": "torchvision", "alpha": alpha}
    elif names.shape("features.1.block.0.0.weight"):
        size = "large" if names.count(r"features\.(\d+)\.") > 13 else "small"
        yield from ((f"mobilenet_v3_{size}", {"reduced_tail": True} if tail else {}) for tail in (False, True))
    elif names.shape("features.1.conv.0.conv.weight"):
        yield "parc_mobilenet_v2", {}
    elif names.shape("stage2.0.branch1.0.weight"):
        widths = {48: 0.5, 116: 1.0, 176: 1.5, 244: 2.0}
        alpha = widths.get(2 * names.filters("stage2.0.branch2.0.weight"), 1.0)
        yield "shufflenet_v2", {"alpha": alpha}
    elif names.shape("blocks.0.0.ghost1.primary_conv.0.weight"):
        yield from (("ghostnet", {"alpha": alpha}) for alpha in _alphas(names.filters("conv_stem.weight"), 16))
    elif names.shape("residual_layers.0.0.conv1.weight"):
        blocks = tuple(names.count(rf"residual_layers\.{stage}\.(\d+)\.") for stage in range(8))
        yield "efficient_resnet", {"blocks": blocks[: blocks.index(0)], "channels": names.filters("conv1.weight")}
    elif names.shape("stage1.unit1.conv_dw.conv.weight") or names.shape("stage1.unit1.conv_pw.conv.weight"):
        yield from (("mobilenet_v1", {"alpha": alpha}) for alpha in _alphas(names.filters("init_conv.conv.weight"), 32))
    elif names.shape("init_conv.conv.weight"):
        yield from _bsconv_mobilenets(names)
    elif names.count(r"stage1\.unit(\d+)\."):
        yield from _bsconv_resnets(names)


def _resnets(names: _Names) -> Iterator[tuple[str, dict[str, Any]]]:
    units = tuple(names.count(rf"layer{stage}\.(\d+)\.") for stage in range(1, 5))
    depth = next((depth for depth, numbers in imagenet_resnet.UNITS.items() if numbers == units), 34)
    torchvision = ("imagenet_resnet", {"depth": depth, "variant": "torchvision"})
    if names.shape("layer1.0.attn.fc1.weight"):
        yield "carnet18", {}
    elif names.shape("layer2.0.shortcut.0.weight"):
        yield "resnet18", {}
        yield torchvision
    else:
        yield torchvision
        yield "resnet18", {}


def _bsconv_mobilenets(names: _Names) -> Iterator[tuple[str, dict[str, Any]]]:
    filters = names.filters("init_conv.conv.weight")
    if names.shape("final_conv.conv.weight"):
        yield from (("mobilenet_v2", {"alpha": alpha}) for alpha in _alphas(filters, 32))
    else:
        size = "small" if names.shape("stage1.unit1.se_unit.conv1.weight") else "large"
        yield from ((f"bsconv_mobilenet_v3_{size}", {"alpha": alpha}) for alpha in _alphas(filters, 16))


def _alphas(filters: int, of_one: int) -> list[float]:
    """Return the width multipliers that may give a first convolution its filters, the likeliest first.

    Filters are rounded to multiples of 8, so there are several.
    """
    usual = [alpha for alpha in (0.25, 0.35, 0.5, 0.75, 1.0, 1.25, 1.4) if abs(alpha * of_one - filters) <= 8]
    return list(dict.fromkeys(sorted([filters / of_one, *usual], key=lambda alpha: abs(alpha * of_one - filters))))


def _bsconv_resnets(names: _Names) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the residual networks of the BSConv library and of the CIFAR papers."""
    first = "stage1.unit1.conv1.conv"
    convolution = next(
        (kind for part, kind in (("pw1", "bsconv_s"), ("pw", "bsconv_u")) if names.shape(f"{first}.{part}.weight")),
        "standard",
    )
    options = {"convolution": convolution} if convolution != "standard" else {}
    if names.shape("init_unit.stem_1.0.weight"):
        options |= {"stem": "hybrid"}
    units = tuple(names.count(rf"stage{stage}\.unit(\d+)\.") for stage in range(1, 5))
    if units[3]:
        depth = next((depth for depth, numbers in imagenet_resnet.UNITS.items() if numbers == units), 18)
        for network in ("imagenet_resnet", "imagenet_preresnet"):
            yield network, {"depth": depth} | options
        return
    width = (
        names.filters(f"{first}.weight") or names.filters(f"{first}.pw.weight") or names.filters(f"{first}.pw2.weight")
    )
    if width > cifar_resnet.STAGE_FILTERS[0]:
        depth = {"depth": 6 * units[0] + 4, "width": width // cifar_resnet.STAGE_FILTERS[0]}
        yield "wide_resnet", depth | options
        return
    for downsampling in ({}, {"downsampling": "padding_free"}):
        for network in ("cifar_resnet", "cifar_preresnet"):
            yield network, {"depth": 6 * units[0] + 2} | options | downsampling
