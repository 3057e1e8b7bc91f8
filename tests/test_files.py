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
