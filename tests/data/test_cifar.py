import io
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
from cifar_files import CLASS_NAMES, planes, write, write_cifar10, write_cifar100

from keras_lite.data import open_cifar
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize("protocol", range(6))
def test_cifar10_in_every_protocol(tmp_path, as_bytes, protocol):
    sources = open_cifar(write_cifar10(tmp_path, as_bytes, protocol))
    assert list(sources) == ["train", "test"]
    assert len(sources["train"]) == 50
    assert len(sources["test"]) == 10
    assert sources["train"].class_names == CLASS_NAMES
    assert sources["train"].labels[:12].tolist() == [*range(10), 0, 1]


def test_pixels_are_stored_as_planes(tmp_path):
    write_cifar10(tmp_path)
    data = np.zeros((1, 3072), "uint8")
    data[0, 5] = 10  # red, first row
    data[0, 1024 + 32] = 20  # green, second row
    data[0, 2048 + 1023] = 30  # blue, last pixel
    write(tmp_path / "test_batch", {b"data": data, b"labels": [7]})
    image = open_cifar(tmp_path)["test"].images([0])[0]
    assert image[0, 5].tolist() == [10, 0, 0]
    assert image[1, 0].tolist() == [0, 20, 0]
    assert image[31, 31].tolist() == [0, 0, 30]
    assert image.sum() == 60


def test_cifar100_has_its_fine_classes(tmp_path):
    sources = open_cifar(write_cifar100(tmp_path))
    assert sources["train"].class_names[99] == "fine 99"
    assert sources["test"].labels.tolist() == list(range(100))


# What Python 2 with NumPy 1.6 wrote: text is bytes, module names are the old ones.
PYTHON_2_ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    b"(I1\n(I1\nI3072\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS'%s'\ntb"
)


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_python_2_pickles_and_both_module_names(tmp_path, core):
    write_cifar10(tmp_path)
    array = (PYTHON_2_ARRAY % (b"\\x07" * 3072)).replace(b"numpy.core", core)
    (tmp_path / "test_batch").write_bytes(b"(dS'labels'\n(lI4\nasS'data'\n" + array + b"s.")
    source = open_cifar(tmp_path)["test"]
    assert source.labels.tolist() == [4]
    assert (source.images([0]) == 7).all()


def test_numbers_and_arrays_as_labels(tmp_path):
    write_cifar10(tmp_path)
    for labels in ([np.int64(1), np.int64(2)], np.array([1, 2], ">i4"), (1, 2)):
        write(tmp_path / "test_batch", {b"data": planes(2), b"labels": labels})
        assert open_cifar(tmp_path)["test"].labels.tolist() == [1, 2]


def test_arrays_stored_by_columns(tmp_path):
    write_cifar10(tmp_path)
    for protocol in (2, 5):
        write(tmp_path / "test_batch", {b"data": np.asfortranarray(planes(3)), b"labels": [0, 1, 2]}, protocol)
        first_row = planes(3)[0].reshape(3, 32, 32).transpose(1, 2, 0)
        np.testing.assert_array_equal(open_cifar(tmp_path)["test"].images([0])[0], first_row)


def refused(root, path, *parts):
    with pytest.raises(InputError) as caught:
        open_cifar(root)
    assert "\n" not in str(caught.value)
    for part in (path, *parts):
        assert str(part) in str(caught.value)


class Touch:
    """Pickled, it creates a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_a_program_does_not(tmp_path, protocol):
    write_cifar10(tmp_path)
    mark = tmp_path / "mark"
    entries = {b"data": planes(1), b"labels": [Touch(mark)]}
    content = pickle.dumps(entries, protocol)
    pickle.loads(content)
    assert mark.exists()  # without care it does
    mark.unlink()
    (tmp_path / "test_batch").write_bytes(content)
    refused(tmp_path, tmp_path / "test_batch", "not allowed")
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"cnumpy\ndtype\n(S'V8'\ntR.",
        b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        b"ccopyreg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.",
    ],
)
def test_nothing_but_arrays_can_be_asked_for(tmp_path, content):
    write_cifar10(tmp_path)
    pickletools.dis(content, out=io.StringIO())  # it is a sound pickle
    (tmp_path / "test_batch").write_bytes(content)
    refused(tmp_path, tmp_path / "test_batch", "not allowed")


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_truncated_files_are_refused(tmp_path, share):
    path = write_cifar10(tmp_path) / "data_batch_4"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(tmp_path, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"data": planes(10)[:, :3000]}, "(10, 3000)"),
        ({b"data": planes(10).reshape(10, 3, 32, 32)}, "(10, 3, 32, 32)"),
        ({b"data": planes(10).astype("int32")}, "int32"),
        ({b"data": [1, 2]}, "list"),
        ({b"data": planes(0), b"labels": []}, "at least one"),
        ({b"labels": [0] * 9}, "10 whole numbers"),
        ({b"labels": [0.5] * 10}, "10 whole numbers"),
        ({b"labels": [[1], [1, 2]] * 5}, "10 whole numbers"),
        ({b"labels": [planes(1)] * 10}, "10 whole numbers"),
        ({b"labels": None}, "10 whole numbers"),
        ({b"labels": [0] * 9 + [10]}, "from 0 to 9"),
        ({b"labels": [-1] + [0] * 9}, "from 0 to 9"),
    ],
)
def test_wrong_content_is_refused(tmp_path, change, message):
    write_cifar10(tmp_path)
    write(tmp_path / "data_batch_2", {b"data": planes(10), b"labels": [0] * 10} | change, protocol=4)
    refused(tmp_path, tmp_path / "data_batch_2", message)


def test_missing_entries_and_files_are_refused(tmp_path):
    write_cifar10(tmp_path)
    write(tmp_path / "data_batch_3", {b"labels": [1]})
    refused(tmp_path, tmp_path / "data_batch_3", "the entry data", "labels")
    write(tmp_path / "data_batch_3", [1, 2])
    refused(tmp_path, tmp_path / "data_batch_3", "dictionary", "list")
    (tmp_path / "data_batch_3").unlink()
    refused(tmp_path, tmp_path / "data_batch_3", "does not exist")
    refused(tmp_path / "nowhere", tmp_path / "nowhere", "batches.meta")


@pytest.mark.parametrize(
    "names", [CLASS_NAMES[:9], [*CLASS_NAMES[:9], "cat"], [*CLASS_NAMES, "whale"], "abc", [1] * 10]
)
def test_wrong_class_names_are_refused(tmp_path, names):
    write_cifar10(tmp_path)
    write(tmp_path / "batches.meta", {"label_names": names})
    refused(tmp_path, tmp_path / "batches.meta", "class names")
