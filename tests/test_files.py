import dataclasses
import json
import warnings

import pytest

from keras_lite import errors, files


def test_a_failed_write_leaves_the_old_content(tmp_path):
    path = tmp_path / "folder" / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_read_json(tmp_path):
    files.write_json(tmp_path / "a.json", {"é": [1, None]})
    assert files.read_json(tmp_path / "a.json") == {"é": [1, None]}
    (tmp_path / "b.json").write_text("{")
    for name in ("b.json", "absent.json"):
        with pytest.raises(errors.InputError, match=name):
            files.read_json(tmp_path / name)


def test_import_extra():
    assert errors.import_extra("json.decoder", "x").JSONDecoder
    with pytest.raises(errors.MissingExtraError, match=r'pip install "keras-lite\[quantization\]"'):
        errors.import_extra("no_such_package.part", "quantization")


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    share: float | None


@dataclasses.dataclass(frozen=True)
class Whole(files.Record):
    size: tuple[int, ...]
    right: bool
    parts: list[Part]
    best: Part | None
    times: dict[int, float]
    others: dict[str, Part]
    anything: dict


WHOLE = Whole(
    size=(2, 3),
    right=True,
    parts=[Part("a", 0.1), Part("b", None)],
    best=None,
    times={4: 0.5},
    others={"c": Part("d", 1.0)},
    anything={"x": [1, {}]},
)


def test_a_record_comes_back_with_its_types(tmp_path):
    WHOLE.write(tmp_path / "whole.json")
    assert Whole.read(tmp_path / "whole.json") == WHOLE
    assert json.loads((tmp_path / "whole.json").read_text()) == WHOLE.to_dict()
    # Whole numbers are numbers too.
    assert Whole.from_dict(WHOLE.to_dict() | {"times": {"1": 2}}).times == {1: 2.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.pop("best"), r"Expected the entry best in .*whole\.json, which has none"),
        (lambda entries: entries["parts"][1].pop("share"), r"the entry parts\[1\]\.share in .*whole\.json"),
        (lambda entries: entries["others"]["c"].update(n=1), r"no entry others\.c\.n in .*whole\.json"),
        (lambda entries: entries.update(more=1), r"Expected no entry more in .*whole\.json, which has one"),
        (lambda entries: entries.update(right=1), r"Expected right in .*whole\.json to be of type bool, received 1"),
        (lambda entries: entries.update(size=[1, True]), r"size\[1\] in .* to be of type int, received True"),
        (lambda entries: entries.update(times={"one": 1.0}), r"keys of type int for times in .*received 'one'"),
        (lambda entries: entries.update(parts={}), r"Expected parts in .* to be of type list"),
        (lambda entries: entries.update(best=[]), r"Expected best of a Part in .*, received \[\]"),
    ],
)
def test_another_record_is_one_line_that_names_the_file(change, message, tmp_path):
    entries = WHOLE.to_dict()
    change(entries)
    files.write_json(tmp_path / "whole.json", entries)
    with pytest.raises(errors.InputError, match=message) as caught:
        Whole.read(tmp_path / "whole.json")
    assert "\n" not in str(caught.value)


def test_a_warning_is_of_the_line_that_called():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        errors.warn("left out: a.jpg")
    [warning] = warned
    assert (warning.category, warning.filename) == (errors.InputWarning, __file__)
