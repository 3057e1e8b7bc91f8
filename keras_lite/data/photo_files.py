"""Which files are photos: by their ending where it is known, by their first bytes otherwise."""

import functools
import stat
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from keras_lite.errors import MissingExtraError, import_extra

# Pillow's names of the formats that are read; a page description, which Pillow hands to another program, is none.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM")
FORMATS_IN_WORDS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000 or PPM"
HEIF = "HEIF"
_ADVICE = {
    HEIF: 'HEIF photos: pip install "keras-lite[heif]", or convert them to JPEG',
    "picture": "not read: convert them to JPEG or PNG",
    "archive": "archives: unpack them",
    "video": "videos: save pictures of them",
    "link": "links that lead nowhere",
    "other": "no photos",
}
_ENDINGS = {
    "photo": "jpg jpeg jpe jfif jif png webp bmp dib gif tif tiff avif jp2 j2k ppm pgm pbm pnm",
    HEIF: "heic heif hif",
    # Raw photos come first: they begin like TIFF files, and what Pillow finds in them is a thumbnail at best.
    "picture": "cr2 cr3 nef nrw arw dng raf orf rw2 pef srw raw psd svg jxl tga ico icns eps ai pdf exr hdr pcx xcf",
    "archive": "zip tar tgz gz bz2 xz zst rar 7z tbz2 txz",
    "video": "mov mp4 m4v avi mkv webm mpg mpeg wmv 3gp mts",
    "other": "txt csv tsv json xml md yaml yml toml py ipynb html htm log npy npz mat h5 pkl pt pth keras tflite",
}
_KINDS = {f".{ending}": kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
# Written by file managers, network drives and notebooks; names in small letters.
_PASSED_OVER = frozenset(
    (
        "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini", "__macosx", "@eadir", "@__thumb", "#recycle",
        "#snapshot", "$recycle.bin", "system volume information", "lost+found", "__pycache__",
    )
)  # fmt: skip
_START = 64  # bytes of a file that are looked at
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
}
_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))


def is_passed_over(name: str) -> bool:
    """Return whether a name is that of a hidden file or folder, or of one that an operating system leaves behind."""
    return name.startswith(".") or name.lower() in _PASSED_OVER


def is_photo(path: Path) -> bool:
    """Return whether a file is a photo that can be read. Only a file whose ending says nothing is opened."""
    kind = _KINDS.get(path.suffix.lower())
    if kind == HEIF and not can_read_heif():  # it may be a JPEG file all the same
        kind = None
    if kind is not None:
        return kind in ("photo", HEIF)
    content = format_of(first_bytes(path))
    return content in FORMATS or (content == HEIF and can_read_heif())


def first_bytes(file: Path | BinaryIO) -> bytes:
    """Return the first bytes of a file, as many as tell its format; none if it is not there or can't be read."""
    if not isinstance(file, Path):
        start = file.read(_START)
        file.seek(0)
        return start
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would wait for someone to write
            return b""
        with file.open("rb") as opened:
            return opened.read(_START)
    except OSError:  # a link that leads nowhere, or a file that is not ours to read
        return b""


def format_of(start: bytes) -> str | None:
    """Return Pillow's name of the format of a file that begins with these bytes, or `None` if no photo does."""
    for signature, name in _SIGNATURES.items():
        if start.startswith(signature):
            return name
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    # A text may begin with the letters of the next two: what follows must be right as well.
    if start[:2] == b"BM" and start[6:10] == bytes(4) and start[14:18] in _BMP_HEADERS:
        return "BMP"
    if start[:2] in (b"P4", b"P5", b"P6") and start[2:3].isspace() and (start[3:4].isdigit() or start[3:4] == b"#"):
        return "PPM"
    if start[4:8] == b"ftyp":  # of a container: which formats its content keeps to
        brands = {start[8:12], *(start[at : at + 4] for at in range(16, min(len(start), start[3]), 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & _HEIF_BRANDS or start[8:12] in (b"mif1", b"msf1"):
            return HEIF
    return None


@functools.cache
def can_read_heif() -> bool:
    """Return whether HEIF photos can be read, and if so have Pillow read them from now on."""
    try:
        load_heif()
    except MissingExtraError:
        return False
    return True


def load_heif() -> None:
    """Register the HEIF reader with Pillow.

    Raises:
        MissingExtraError: If what reads them is not installed.
    """
    import_extra("pillow_heif", "heif").register_heif_opener()


def in_words(files: list[Path], root: Path) -> str:
    """Return a line on files that are no photos: how many of each kind, the path of one, and what to do."""
    kinds: dict[str, list[Path]] = {kind: [] for kind in _ADVICE}
    for path in files:
        kinds[_kind(path)].append(path)
    return "; ".join(
        f"{_endings(paths)}, such as {paths[0].relative_to(root)} ({_ADVICE[kind]})"
        for kind, paths in kinds.items()
        if paths
    )


def _kind(path: Path) -> str:
    kind = _KINDS.get(path.suffix.lower())
    if not path.exists():
        return "link"
    if kind is None:
        return HEIF if format_of(first_bytes(path)) == HEIF else "other"
    return "other" if kind == "photo" else kind  # no regular file


def _endings(paths: list[Path]) -> str:
    counts = Counter(path.suffix.lower() or "without an ending" for path in paths).most_common()
    shown = [f"{count:,} {ending}" for ending, count in counts[:4]]
    return ", ".join(shown) + (f" and {sum(count for _, count in counts[4:]):,} others" if len(counts) > 4 else "")
