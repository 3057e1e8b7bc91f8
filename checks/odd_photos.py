"""Photos of odd kinds, as people have them: turned, gray, transparent, of wide colors, of ink colors, tiny."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

# Display P3 by its primaries, adapted to ICC's white (D50).
_P3_PRIMARIES = {
    "rXYZ": (0.51512, 0.24120, -0.00105),
    "gXYZ": (0.29198, 0.69225, 0.04189),
    "bXYZ": (0.15710, 0.06657, 0.78407),
}
_WHITE = (0.96420, 1.0, 0.82491)
_TURNED = range(1, 9)
_ORIENTATION = 0x0112


def write_odd_photos(folder: Path) -> dict[str, Path]:
    """Write the photos, and return them by what they are.

    Args:
        folder: Where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photos = {}
    for name, (ending, content) in _contents().items():
        photos[name] = folder / f"{name.replace(' ', '_')}.{ending}"
        photos[name].write_bytes(content)
    return photos


def _contents() -> dict[str, tuple[str, bytes]]:
    rng = np.random.default_rng(0)

    def picture(width: int = 150, height: int = 110, channels: int = 3) -> np.ndarray:
        """Smooth colors with edges and some noise."""
        rows, columns = np.mgrid[0:height, 0:width]
        waves = [np.sin(rows / (5 + 3 * c) + c) + np.cos(columns / (7 + 2 * c)) for c in range(channels)]
        levels = 128 + 50 * np.stack(waves, -1) + rng.normal(0, 12, (height, width, channels))
        levels[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, channels)
        return np.clip(levels, 0, 255).astype("uint8")

    def photo(*arguments: int) -> Image.Image:
        return Image.fromarray(picture(*arguments).squeeze())

    found: dict[str, tuple[str, bytes]] = {}
    add = _adder(found)
    for width, height in ((1, 1), (2, 3), (1, 90), (140, 3), (97, 401), (640, 427), (120, 1200)):
        add(f"png of {width} x {height}", photo(width, height), "png")
    for turn in _TURNED:
        exif = Image.Exif()
        exif[_ORIENTATION] = turn
        add(f"jpeg turned by EXIF {turn}", photo(), "jpg", exif=exif, quality=90, subsampling=0)
    for name, subsampling in (("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)):
        add(f"jpeg {name.replace(':', '')}", photo(301, 199), "jpg", quality=85, subsampling=subsampling)
    add("jpeg progressive", photo(200, 151), "jpg", quality=70, progressive=True)
    add("gray jpeg", photo(150, 110, 1), "jpg")
    add("gray png", photo(150, 110, 1), "png")
    add("png of one bit", photo(150, 110, 1).convert("1"), "png")
    add("png with palette", photo().quantize(64), "png")
    add("png with a transparent palette color", photo().quantize(64), "png", transparency=3)
    add("png with alpha", Image.fromarray(rng.integers(0, 256, (110, 150, 4), dtype="uint8")), "png")
    add("gray png with alpha", Image.fromarray(rng.integers(0, 256, (110, 150, 2), dtype="uint8"), "LA"), "png")
    add("gray png of 16 bits", Image.fromarray(rng.integers(0, 65536, (110, 150), dtype="uint16")), "png")
    profile = _display_profile()
    add("jpeg in Display P3", photo(), "jpg", quality=92, icc_profile=profile)
    add("png in Display P3", photo(), "png", icc_profile=profile)
    found["png with a gamma of 1"] = ("png", _with_gamma(found["png of 640 x 427"][1]))
    inks = Image.fromarray(picture(150, 110, 4), "CMYK")
    add("jpeg in CMYK", inks, "jpg", quality=92)
    add("jpeg in CMYK with a profile", inks, "jpg", quality=92, icc_profile=_ink_profile())
    add("webp", photo(), "webp", quality=80)
    add("webp without loss", photo(), "webp", lossless=True)
    add("gif", photo().quantize(128), "gif")
    add("bmp", photo(), "bmp")
    add("avif", photo(), "avif", quality=80)
    return found


def _adder(found: dict[str, tuple[str, bytes]]) -> Callable[..., None]:
    def add(name: str, image: Image.Image, ending: str, **options: object) -> None:
        file = io.BytesIO()
        image.save(file, {"jpg": "JPEG"}.get(ending, ending.upper()), **options)
        found[name] = (ending, file.getvalue())

    return add


def _with_gamma(png: bytes) -> bytes:
    """Return a PNG file with the note that its levels are linear."""
    body = b"gAMA" + struct.pack(">I", 100000)
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = 8 + 12 + 13
    return png[:after_header] + chunk + png[after_header:]


def _display_profile() -> bytes:
    """Return an ICC profile of Display P3's primaries with a gamma of 2.2."""
    gamma = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    tags = {name: _xyz(values) for name, values in _P3_PRIMARIES.items()}
    tags |= dict.fromkeys(("rTRC", "gTRC", "bTRC"), gamma)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def _ink_profile() -> bytes:
    """Return an ICC profile of inks: a table of Lab colors for none or all of each ink."""
    corners = []
    for index in range(16):
        inks = np.array([index >> 3 & 1, index >> 2 & 1, index >> 1 & 1, index & 1])
        light = 100 * (1 - 0.25 * inks[:3].sum()) * (1 - 0.9 * inks[3])
        green = (60 * inks[1] - 40 * inks[0]) * (1 - inks[3])
        yellow = (70 * inks[2] - 45 * inks[0]) * (1 - inks[3])
        corners += [round(light * 2.55), round(green + 128), round(yellow + 128)]
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + identity * 4 + bytes(corners) + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {"A2B0": table})


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[str, bytes]) -> bytes:
    text = b"odd\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67)
    tags = {"desc": described, "cprt": b"text" + bytes(4) + b"none\0", "wtpt": _xyz(_WHITE)} | tags
    place = 128 + 4 + 12 * len(tags)
    table, contents = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name.encode() + struct.pack(">II", place + len(contents), len(content))
        contents += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", place + len(contents), bytes(4), 0x02400000, kind, space, connection)
    header += (
        struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
        + b"acsp"
        + bytes(28)
        + struct.pack(">3i", *(round(value * 65536) for value in _WHITE))
    )
    return header + bytes(128 - len(header)) + table + contents
