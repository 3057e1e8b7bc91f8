import struct
import zlib

import numpy as np
import pytest

from keras_lite.data.mat_file import read_mat
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


def element(kind, data, order="<"):
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def small(kind, data, order="<"):
    halves = (kind, len(data)) if order == "<" else (len(data), kind)
    return struct.pack(f"{order}HH", *halves) + data.ljust(4, b"\0")


def matrix(kind, shape, *content, name=b"", flags=0, order="<"):
    head = element(6, struct.pack(f"{order}II", kind | flags, 0), order)
    head += element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    head += small(1, name, order) if 0 < len(name) <= 4 else element(1, name, order)
    return element(14, head + b"".join(content), order)


def header(order="<", version=0x0100):
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}HH", version, 0x4D49)


def write(path, *variables, **arguments):
    path.write_bytes(header(**arguments) + b"".join(variables))
    return path


def test_what_scipy_writes(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    names = ["n02085620-Chihuahua/n02085620_5927.jpg", "n02116738-African_hunting_dog/n02116738_1105.jpg", "ü"]
    cells = np.empty((3, 1), object)
    cells[:, 0] = names
    variables = {"file_list": cells, "labels": np.array([[1.0], [120.0], [2.0]]), "text": "a line", "one": 7.5}
    variables |= {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in ("uint8", "int16", "float32", "int64")}
    for compressed in (False, True):
        scipy_io.savemat(tmp_path / "a.mat", variables, do_compression=compressed)
        values = read_mat(tmp_path / "a.mat")
        assert values.keys() == variables.keys()
        assert values["file_list"] == names
        assert values["text"] == "a line"
        for name in ("labels", "one", "uint8", "int16", "float32", "int64"):
            np.testing.assert_array_equal(values[name], np.atleast_2d(variables[name]))


@pytest.mark.parametrize("order", ["<", ">"])
def test_other_ways_to_write_the_same(tmp_path, order):
    """Doubles stored as small integers, texts of 16 bits, short data within the tag, either byte order."""
    labels = matrix(6, (3, 1), small(2, bytes([1, 2, 120]), order), name=b"labels", order=order)
    encoding = "utf-16-le" if order == "<" else "utf-16-be"
    texts = [matrix(4, (1, len(t)), element(4, t.encode(encoding), order), order=order) for t in ("dog/1.jpg", "é")]
    empty = element(14, b"", order)
    cells = matrix(1, (3, 1), *texts, empty, name=b"list", order=order)
    packed = zlib.compress(cells)
    path = write(tmp_path / "a.mat", labels, struct.pack(f"{order}II", 15, len(packed)) + packed, order=order)
    values = read_mat(path)
    assert values["labels"].tolist() == [[1], [2], [120]]
    assert values["list"][:2] == ["dog/1.jpg", "é"]
    assert values["list"][2].size == 0


def refused(path, message=None):
    with pytest.raises(InputError, match=message) as caught:
        read_mat(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    texts = [matrix(4, (1, 5), element(16, b"1.jpg")) for _ in range(2)]
    cells = matrix(1, (2, 1), *texts, name=b"file_list")
    packed = zlib.compress(matrix(6, (2, 1), element(9, np.array([1.0, 2.0]).tobytes()), name=b"labels"))
    path = write(tmp_path / "a.mat", cells, struct.pack("<II", 15, len(packed)) + packed)
    content = path.read_bytes()
    assert set(read_mat(path)) == {"file_list", "labels"}
    whole_variables = (len(header()), len(header()) + len(cells))
    for length in set(range(0, len(content), 3)) - set(whole_variables):
        path.write_bytes(content[:length])
        refused(path)


def test_other_content_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.mat"
    refused(path, "does not exist")
    path.write_bytes(b"not MATLAB at all" * 20)
    refused(path, "header")
    refused(write(path, version=0x0200), "0x2.*-v7")
    number = element(9, np.array([1.0]).tobytes())
    for variable, message in (
        (number, "where a variable should"),
        (matrix(2, (1, 1), number, name=b"struct"), "struct"),
        (matrix(6, (1, 1), number, number, name=b"complex", flags=0x0800), "complex"),
        (matrix(4, (2, 1), element(16, b"ab"), name=b"lines"), "lines"),
        (matrix(1, (1, 1), matrix(1, (1, 1), matrix(6, (1, 1), number)), name=b"nested"), "no line of text"),
        (matrix(1, (2**30, 1), name=b"many"), "cut off"),
        (matrix(6, (2, 1), number, name=b"short"), "reshape"),
        (matrix(6, (-1, 1), number, name=b"minus"), "description"),
        (matrix(4, (1, 1), element(16, b"\xff"), name=b"text"), "utf-8"),
        (struct.pack("<II", 15, 8) + b"nonsense", "header check"),
    ):
        refused(write(path, variable), message)
    monkeypatch.setattr("keras_lite.data.mat_file._LARGEST", 1000)
    packed = zlib.compress(bytes(10_000))
    refused(write(path, struct.pack("<II", 15, len(packed)) + packed), "too large")
