"""The built-in data set: textured shapes in random colors, drawn from a seed."""

import numpy as np
from PIL import Image, ImageDraw

from keras_lite.data.sources import ArraySource
from keras_lite.errors import InputError

_SUPERSAMPLING = 4
_SMALLEST, _LARGEST = 0.6, 0.92  # diameter of a shape, as a share of the image
_TURN = 25.0  # greatest turn either way, in degrees
_STRETCH = 0.12  # how much wider or narrower than high a shape may be, as a share
_CONTRAST = 110.0  # least distance between the colors of figure and ground, in RGB from 0 to 255
_TEXTURE = 45.0  # how far a texture's two colors lie from their mean, at most, in each channel
_NOISE = 8.0  # standard deviation of the noise in each pixel
_AT_ONCE = 250


def make_shapes(count: int, seed: int, image_size: int = 64) -> ArraySource:
    """Return images of ten shapes, drawn from a seed: the same seed gives the same images.

    Each image has one shape of random size and place, turned a little. Shape and background have random colors and
    textures (plain, stripes, checks, blotches, gradient) from one and the same distribution, so that neither colors
    nor single pixels tell the class.

    Args:
        count: Number of images; the classes have equal shares, as far as they go.
        seed: Seed of all that is random; not negative.
        image_size: Height and width of the images in pixels.

    Returns:
        A source with images of shape `(count, image_size, image_size, 3)`.

    Raises:
        InputError: If an argument is out of range.

    Example:

    ```python
    source = make_shapes(100, seed=0)
    source.class_names  # ["arrow", "circle", "crescent", "cross", "heart", ...]
    ```
    """
    if count < 1 or seed < 0 or image_size < 16:
        raise InputError(
            f"Expected count >= 1, seed >= 0 and image_size >= 16, received {count}, {seed} and {image_size}."
        )
    rng = np.random.default_rng(seed)
    class_names = sorted(_OUTLINES)
    labels = rng.permutation(np.arange(count) % len(class_names))
    images = np.empty((count, image_size, image_size, 3), "uint8")
    for start in range(0, count, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        images[part] = _draw([class_names[label] for label in labels[part]], image_size, rng)
    return ArraySource(images, labels, class_names)


def _draw(names: list[str], size: int, rng: np.random.Generator) -> np.ndarray:
    inside = _masks(names, size, rng)[..., None]
    figure_color, ground_color = _contrasting_colors(len(names), rng)
    pixels = inside * _textured(figure_color, size, rng)
    pixels += (1 - inside) * _textured(ground_color, size, rng)
    pixels += _NOISE * rng.standard_normal(pixels.shape, dtype="float32")
    return np.clip(pixels, 0, 255).astype("uint8")


def _masks(names: list[str], size: int, rng: np.random.Generator) -> np.ndarray:
    """Return how much of each pixel lies inside the shape, float32 `(count, size, size)`."""
    fine = size * _SUPERSAMPLING
    masks = np.empty((len(names), size, size), "float32")
    for mask, name in zip(masks, names, strict=True):
        radius = rng.uniform(_SMALLEST, _LARGEST) / 2
        place = rng.uniform(radius, 1 - radius, 2)
        angle = np.radians(rng.uniform(-_TURN, _TURN))
        stretch = np.array([1.0, rng.uniform(1 - _STRETCH, 1)])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        canvas = Image.new("L", (fine, fine))
        draw = ImageDraw.Draw(canvas)
        for outline, color in zip(_OUTLINES[name], (255, 0), strict=False):  # the second outline is a hole
            points = (outline * stretch @ turn * radius + place) * fine
            draw.polygon(points.ravel().tolist(), fill=color)
        mask[...] = np.asarray(canvas.reduce(_SUPERSAMPLING), "float32") / 255
    return masks


def _contrasting_colors(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return pairs of colors, `(2, count, 3)`, alike in distribution and far enough from each other."""
    colors = rng.uniform(0, 255, (2, count, 3))
    while True:
        close = np.linalg.norm(colors[0] - colors[1], axis=-1) < _CONTRAST
        if not close.any():
            return colors.astype("float32")
        colors[:, close] = rng.uniform(0, 255, (2, int(close.sum()), 3))


def _textured(colors: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return an image for each color, mixed from two colors about it: float32 `(count, size, size, 3)`."""
    pattern = _patterns(len(colors), size, rng)[..., None]
    difference = rng.uniform(-_TEXTURE, _TEXTURE, (len(colors), 1, 1, 3)).astype("float32")
    return colors[:, None, None, :] + difference * pattern


def _patterns(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a texture for each image, float32 `(count, size, size)` from -1 to 1."""
    angle, phase, other_phase = rng.uniform(0, 2 * np.pi, (3, count, 1, 1)).astype("float32")
    waves = rng.uniform(2, 8, (count, 1, 1)).astype("float32") * 2 * np.pi  # 2 to 8 periods over the image
    places = np.arange(size, dtype="float32") / size - 0.5
    x, y = places[None, None, :], places[None, :, None]
    along = np.cos(angle) * x + np.sin(angle) * y
    across = np.cos(angle) * y - np.sin(angle) * x
    kind = rng.integers(0, 5, count)  # 0 stays plain
    patterns = np.zeros((count, size, size), "float32")
    for number, make in (
        (1, lambda k: np.sin(waves[k] * along[k] + phase[k])),
        (2, lambda k: np.sin(waves[k] * along[k] + phase[k]) * np.sin(waves[k] * across[k] + other_phase[k])),
        (3, lambda k: _blotches(int(k.sum()), size, rng)),
        (4, lambda k: 1.4 * along[k]),
    ):
        chosen = kind == number
        patterns[chosen] = make(chosen)
    sharp = rng.random(count) < 0.5
    patterns[sharp] = np.clip(4 * patterns[sharp], -1, 1)
    return patterns


def _blotches(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return random values on a coarse grid, interpolated linearly in between."""
    grid = 12
    values = rng.uniform(-1, 1, (count, grid, grid)).astype("float32")
    distance = np.abs(np.linspace(0, grid - 1, size)[:, None] - np.arange(grid))
    weights = np.maximum(1 - distance, 0).astype("float32")
    return weights @ values @ weights.T


def _arc(radius: float, start: float = 0.0, stop: float = 360.0, center: float = 0.0) -> np.ndarray:
    """Return points on a circle about `(0, center)`; angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 48))
    return np.stack([radius * np.cos(angles), center + radius * np.sin(angles)], axis=-1)


def _corners(count: int, inner: float | None = None) -> np.ndarray:
    """Return the corners of a regular polygon with one on top; with an inner radius, of a star with 2 * count."""
    count = count if inner is None else 2 * count
    angles = np.arange(count) * 2 * np.pi / count - np.pi / 2
    radii = np.where(np.arange(count) % 2, inner or 1.0, 1.0)
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 64)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -(y + 2.5)], axis=-1) / 17


def _cross(arm: float = 0.3) -> np.ndarray:
    long = np.sqrt(1 - arm**2)
    quarter = np.array([(long, -arm), (long, arm), (arm, arm)])
    turn = np.array([[0, 1], [-1, 0]])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, times) for times in range(4)])


def _arrow() -> np.ndarray:
    top = np.array([(1, 0), (0.15, -0.8), (0.15, -0.3), (-0.95, -0.3)])
    return np.concatenate([top, top[:0:-1] * (1, -1)])


# A shape's outline, and its hole if it has one, in a circle of radius 1 about the origin; y points down.
_OUTLINES: dict[str, list[np.ndarray]] = {
    "arrow": [_arrow()],
    "circle": [_arc(1)],
    "crescent": [_arc(1), _arc(0.8, center=-0.5)],
    "cross": [_cross()],
    "heart": [_heart()],
    "ring": [_arc(1), _arc(0.55)],
    "semicircle": [_arc(1, 180, 360, center=0.4)],
    "square": [np.sqrt(0.5) * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])],
    "star": [_corners(5, inner=0.42)],
    "triangle": [_corners(3)],
}
