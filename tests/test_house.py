"""The package's order: which room may know which, and how large rooms and files may be."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "keras_lite"
# A room knows only those before it.
ROOMS = (
    "errors", "files", "tables", "layers", "graph", "checkpoints", "applications", "profiling", "published", "data",
    "training", "litert", "runtime", "quantization", "export", "inference", "pipelines", "cli",
)  # fmt: skip
# What the root assembles: the version, and where families are registered.
ROOT = "keras_lite"
# One file a family, a block, a command.
LARGE_ROOMS = {"applications", "layers", "training", "data", "cli"}

pytestmark = pytest.mark.tensorflow_only


def room_of(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree):
    """Yield what a file imports of this package: the module, and whether that stands at its top."""
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative"
            names = [node.module] if node.module != ROOT else [f"{ROOT}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from ((name, node in top) for name in names if name.split(".")[0] == ROOT)


FILES = sorted(PACKAGE.rglob("*.py"))


def test_a_room_knows_only_rooms_before_it():
    wrong = []
    for file in FILES:
        room = room_of(file)
        if room in ("__init__", "__main__"):
            continue
        for name, at_top in imports(ast.parse(file.read_text(encoding="utf-8"))):
            other = name.split(".")[1] if "." in name else ROOT
            if other != ROOT and (other not in ROOMS or ROOMS.index(other) > ROOMS.index(room)):
                wrong.append(f"{file.relative_to(PACKAGE)} imports {name}")
            if not at_top:
                wrong.append(f"{file.relative_to(PACKAGE)} imports {name} late")
    assert not wrong, "\n".join(wrong)


def test_what_stands_at_the_root():
    found = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    files = {"__init__.py", "__main__.py", "errors.py", "files.py", "tables.py", "profiling.py"}
    assert found == files | {room for room in ROOMS if f"{room}.py" not in files}


@pytest.mark.parametrize("room", [room for room in ROOMS if (PACKAGE / room).is_dir()])
def test_rooms_are_small(room):
    folders = {file.parent for file in (PACKAGE / room).rglob("*.py")}
    for folder in folders:
        count = len(list(folder.glob("*.py")))
        assert count <= 15 or room in LARGE_ROOMS, f"{folder}: {count} files"


def test_files_are_read_in_one_sitting():
    outside = [
        path for folder in ("checks", "ledger", "recipes", "tools") for path in (REPOSITORY / folder).glob("*.py")
    ]
    long = {file.name: lines for file in [*FILES, *outside] if (lines := file.read_text().count("\n")) > 350}
    assert not long


def test_contributing_draws_what_is_there():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    layout = text[text.index("## How the house is laid out") : text.index("What keeps it easy to live in")]
    named = re.findall(
        r"`((?:keras_lite|recipes|weights|checks|ledger|tools|examples|tests|findings|unfinished)/[\w./]*)`", layout
    )
    assert len(named) > 50
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
    rooms = [
        room for room in ROOMS if f"`keras_lite/{room}/`" not in layout and f"`keras_lite/{room}.py`" not in layout
    ]
    assert rooms == []
