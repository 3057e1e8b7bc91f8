"""Reading image files: any common kind of pixel becomes plain 8-bit RGB of one size."""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from keras_lite.data.geometry import ImageGeometry
from keras_lite.data.photo_files import FORMATS, FORMATS_IN_WORDS, HEIF, first_bytes, format_of, load_heif
from keras_lite.errors import InputError, MissingExtraError

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


def read_image(path: str | os.PathLike, image_size: tuple[int, int] | ImageGeometry) -> np.ndarray:
    """Return the image in a file as RGB of one size.

    Gray, 16-bit, palette and CMYK images become 8-bit RGB; what is transparent becomes white; the EXIF orientation is
    applied. The image is then scaled (antialiased bilinear) until it just covers the wanted size, and its middle is
    kept, unless an `ImageGeometry` says otherwise. Of an animation the first picture is read.

    Args:
        path: A JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000 or PPM file, whatever its ending; or, with the extra
            `heif`, a HEIF file.
        image_size: Height and width of the result in pixels, or an `ImageGeometry`.

    Returns:
        uint8 array of shape `(height, width, 3)`.

    Raises:
        InputError: If the file is missing, broken or no such image; the message names it.

    Example:

    ```python
    read_image("photo.jpg", (244, 244)).shape  # (244, 244, 3)
    ```
    """
    geometry = ImageGeometry.of(image_size)
    return geometry.center(open_photo(path))


def open_photo(path: str | os.PathLike) -> Image.Image:
    """Return the image in a file as 8-bit RGB in its own size; see `read_image`."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected an image file at {path}, which does not exist.")
    return decode_photo(path, str(path))


def decode_photo(file: Path | BinaryIO, name: str) -> Image.Image:
    """Return the image in a path or an open file; errors call it `name`."""
    content = format_of(first_bytes(file))  # whatever the file is called
    try:
        if content == HEIF:
            load_heif()
        with Image.open(file, formats=(HEIF,) if content == HEIF else FORMATS) as image:
            # Gray PPM files of more than 8 bits: Pillow spreads them over 16, in a mode for 32.
            is_sixteen_bit = image.format == "PPM" and image.mode == "I"
            upright = _upright(image)
            return _sixteen_bit_to_rgb(upright) if is_sixteen_bit else _to_rgb(upright)
    except PermissionError:
        raise
    except Exception as error:  # decoders meet broken files with exceptions of every kind
        raise InputError(f"Expected an image in {name}, which can't be read: {_reason(error, content)}") from error


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken notes about a sound picture
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        return _sixteen_bit_to_rgb(image)
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits (Pillow's mode {image.mode}) have no agreed white")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _sixteen_bit_to_rgb(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype("uint32")
    gray = (pixels * 255 + 32767) // 65535  # Pillow's own conversion makes everything above 255 white
    if isinstance(image.info.get("transparency"), int):
        gray[pixels == image.info["transparency"]] = 255
    return Image.fromarray(gray.astype("uint8")).convert("RGB")


def _reason(error: Exception, content: str | None) -> str:
    if isinstance(error, MissingExtraError):
        return f"it is a HEIF photo. {error}; or convert it to JPEG"
    if isinstance(error, Image.UnidentifiedImageError):
        if content:
            return f"it begins like a {content} file, but is broken or of a kind that Pillow can't read"
        return f"its content is no {FORMATS_IN_WORDS} image"
    return " ".join(str(error).split()) or type(error).__name__
