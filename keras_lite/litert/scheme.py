"""How int8 tensors stand for numbers: scales and zero points, and how TensorFlow rounds to them."""

import dataclasses

import numpy as np

from keras_lite.errors import InputError

LOWEST, HIGHEST = -128, 127
# As TensorFlow's converter has it: half of what int32 holds, so that sums have the other half.
_LARGEST_BIAS = np.iinfo("int32").max // 2
# The axis of the output channels of each kind's kernel, which is its second input.
CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}


@dataclasses.dataclass(frozen=True, eq=False)
class QuantizationParameters:
    """What the integers of a tensor stand for: `(integer - zero_point) * scale`.

    Args:
        scales: One number, or one for each index of an axis; kept as float32.
        zero_points: As many integers.
        axis: The axis along which they differ.

    Attributes:
        exact_scales: The scales before they were rounded to float32. TensorFlow rounds biases by their products.

    Raises:
        InputError: If scales and zero points are not equally many, or a scale is not above zero.

    Example:

    >>> QuantizationParameters.between(0.0, 6.0)
    QuantizationParameters(scale=0.0235294, zero_point=-128)
    """

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "exact_scales", np.atleast_1d(np.asarray(self.scales, "float64")))
        object.__setattr__(self, "scales", self.exact_scales.astype("float32"))
        object.__setattr__(self, "zero_points", np.atleast_1d(np.asarray(self.zero_points, "int64")))
        if len(self.scales) != len(self.zero_points):
            counts = f"received {len(self.scales)} scales and {len(self.zero_points)} zero points"
            raise InputError(f"Expected a zero point for each scale, {counts}.")
        if not (self.scales > 0.0).all():
            raise InputError(f"Expected scales above zero, received {self.scales.min()}.")

    @classmethod
    def between(cls, lowest: float, highest: float) -> "QuantizationParameters":
        """Return those of int8 whose 256 integers are spread evenly over a range, which holds zero.

        Args:
            lowest: The end of the range that -128 stands for, 0 at most; zero itself is moved onto an integer.
            highest: The other end, 0 at least.
        """
        lowest, highest = float(np.float32(lowest)), float(np.float32(highest))
        scale = (highest - lowest) / (HIGHEST - LOWEST)
        zero_point = np.floor(LOWEST - lowest / scale + 0.5)  # halves go up
        return cls(scale, np.clip(zero_point, LOWEST, HIGHEST))

    @property
    def scale(self) -> np.float32:
        """The scale, where there is one."""
        [scale] = self.scales
        return scale

    @property
    def zero_point(self) -> int:
        """The zero point, where there is one."""
        [zero_point] = self.zero_points
        return int(zero_point)

    def quantize(self, values: np.ndarray, dtype: str = "int8") -> np.ndarray:
        """Return numbers as the integers nearest to them, halves to even, cut off at the ends of the type.

        Args:
            values: Floats.
            dtype: `"int8"` or `"uint8"`.

        Example:

        >>> QuantizationParameters(0.5, 1).quantize(np.array([0.2, -1.0, 100.0])).tolist()
        [1, -1, 127]
        """
        limits = np.iinfo(dtype)
        steps = np.rint(np.asarray(values, "float32") / self.scale)
        return np.clip(steps + np.float32(self.zero_point), limits.min, limits.max).astype(dtype)

    def dequantize(self, integers: np.ndarray) -> np.ndarray:
        """Return the numbers that integers stand for, as float32.

        Example:

        >>> QuantizationParameters(0.5, 1).dequantize(np.array([1, -1, 127], "int8")).tolist()
        [0.0, -1.0, 63.0]
        """
        return (integers.astype("float32") - np.float32(self.zero_point)) * self.scale

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QuantizationParameters) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[bytes, bytes, int]:
        return self.scales.tobytes(), self.zero_points.tobytes(), self.axis if len(self.scales) > 1 else 0

    def __repr__(self) -> str:
        if len(self.scales) > 1:
            return f"QuantizationParameters({len(self.scales)} scales along axis {self.axis})"
        return f"QuantizationParameters(scale={self.scale:.6g}, zero_point={self.zero_point})"


def round_away(values: np.ndarray) -> np.ndarray:
    """Return values rounded to whole numbers, halves away from zero, in the precision they have.

    Example:

    >>> round_away(np.array([0.5, -0.5, 1.4])).tolist()
    [1.0, -1.0, 1.0]
    """
    # Adding a half and cutting off would round the greatest number below a half up.
    whole = np.trunc(values)
    with np.errstate(invalid="ignore"):  # infinity stays infinity
        return whole + np.copysign(np.abs(values - whole) >= 0.5, values)


def quantize_values(values: np.ndarray, quantization: QuantizationParameters) -> np.ndarray:
    """Return values as the int8 numbers of some parameters, rounded as TensorFlow rounds; what is outside is cut off.

    Args:
        values: The values, float32.
        quantization: Of one scale.

    Example:

    >>> quantize_values(np.array([0.0, 6.0], "float32"), QuantizationParameters.between(0.0, 6.0)).tolist()
    [-128, 127]
    """
    whole = round_away(values * (np.float32(1) / quantization.scale)) + quantization.zero_point
    return np.clip(whole, LOWEST, HIGHEST).astype("int8")


def quantize_kernel(
    values: np.ndarray, axis: int, scales: np.ndarray | None = None, exact: bool = False
) -> tuple[np.ndarray, QuantizationParameters]:
    """Return a kernel as int8 from -127 to 127, with a scale for each index of an axis, rounded as TensorFlow rounds.

    Args:
        values: The kernel, float32.
        axis: Of the output channels.
        scales: One for each of them, or one for all. None: those that end at the largest values.
        exact: Whether values are divided by the scales in float64, as TensorFlow's converter does for dynamic files;
            else they are multiplied by the scales' reciprocals in float32, as it does for int8 files. What lies next
            to halves of steps differs.

    Example:

    >>> quantize_kernel(np.array([[1.0, -0.5]], "float32"), 0)[0].tolist()
    [[127, -64]]
    """
    others = tuple(each for each in range(values.ndim) if each != axis)
    if scales is None:
        scales = np.abs(values).max(axis=others).astype("float64") / HIGHEST
    # Any scale will do for zeros; XNNPACK takes none that is zero or subnormal.
    scales = np.where(scales < np.finfo("float32").tiny, 1.0, np.asarray(scales, "float64"))
    along = scales.reshape([-1 if each == axis else 1 for each in range(values.ndim)])
    steps = values / along if exact else values * (np.float32(1) / along.astype("float32"))
    integers = np.clip(round_away(steps), -HIGHEST, HIGHEST).astype("int8")
    return integers, QuantizationParameters(scales, np.zeros(scales.size), axis)


def quantize_bias(
    values: np.ndarray, source: QuantizationParameters, kernel: QuantizationParameters
) -> tuple[np.ndarray, QuantizationParameters]:
    """Return a bias as int32, in steps of the input's scale times the kernel's, rounded as TensorFlow rounds.

    Args:
        values: The bias, float32.
        source: Of the operator's input.
        kernel: Of its kernel.

    Raises:
        InputError: If a number needs more than 32 bits.
    """
    exact = source.exact_scales * kernel.exact_scales
    rounded = round_away(values.astype("float64") / exact)
    limits = np.iinfo("int32")
    if not ((rounded >= limits.min) & (rounded <= limits.max)).all():
        raise InputError(f"Expected a bias within 32 bits, received {np.abs(rounded).max():.3g} steps.")
    return rounded.astype("int32"), QuantizationParameters(exact, np.zeros(len(exact)))


def quantize_weights(
    kernel: np.ndarray,
    bias: np.ndarray,
    axis: int,
    source: QuantizationParameters,
    scales: np.ndarray | None = None,
) -> tuple[tuple[np.ndarray, QuantizationParameters], tuple[np.ndarray, QuantizationParameters]]:
    """Return a kernel as `quantize_kernel` does, and its bias as `quantize_bias` does.

    A channel whose kernel is next to nothing beside its bias gets a scale so wide that the bias fits into 31 bits.

    Args:
        kernel: The kernel, float32.
        bias: The bias, float32.
        axis: Of the kernel's output channels.
        source: Of the operator's input.
        scales: Of the kernel, where they are given.

    Raises:
        InputError: If scales are given with which a bias needs more than 32 bits.
    """
    if scales is None:
        others = tuple(each for each in range(kernel.ndim) if each != axis)
        least = np.abs(bias.astype("float64")) / _LARGEST_BIAS / source.exact_scales
        scales = np.maximum(np.abs(kernel).max(others).astype("float64") / HIGHEST, least)
    integers, of_kernel = quantize_kernel(kernel, axis, scales)
    return (integers, of_kernel), quantize_bias(bias, source, of_kernel)


# Kinds whose answers LiteRT has in one scale with one zero point alone; it starts no file with others.
FIXED_PARAMETERS = {
    "LOGISTIC": QuantizationParameters(1 / 256, LOWEST),
    "SOFTMAX": QuantizationParameters(1 / 256, LOWEST),
    "L2_NORMALIZATION": QuantizationParameters(1 / 128, 0),
}
