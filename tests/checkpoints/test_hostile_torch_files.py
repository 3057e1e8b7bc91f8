"""Files that are damaged, or made to do damage: one clear line each, nothing run, no memory taken."""

import io
import pickle
import pickletools
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from keras_lite.checkpoints import torch_pickle
from keras_lite.checkpoints.torch_files import read_state_dict
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


class Code:
    """Calls a function when it is unpickled."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def saved(content, old=False):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def zipped(entries, **options):
    """A zip file of (name, content), stored as PyTorch stores."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def entries_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def changed(data, name, change):
    return zipped([(n, change(c) if n.endswith(name) else c) for n, c in entries_of(data)])


def tensor_pickle(size, stride, offset=0, numbers=4, key="0"):
    """The pickle of {"w": tensor}, every number of it chosen."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, key, "cpu", numbers) if isinstance(value, Storage) else None

    buffer = io.BytesIO()
    rebuild = Code(torch._utils._rebuild_tensor_v2, Storage(), offset, size, stride, False, {})
    Pickler(buffer, protocol=2).dump({"w": rebuild})
    return buffer.getvalue()


def with_tensor(*arguments, **options):
    return zipped([("net/data.pkl", tensor_pickle(*arguments, **options)), ("net/data/0", bytes(16))])


STATE_DICT = {"w": torch.arange(4.0), "b": torch.ones(3)}
WHOLE, OLD = saved(STATE_DICT), saved(STATE_DICT, old=True)
TENSOR = tensor_pickle((2, 2), (2, 1))

# What to do to a file -> a part of the message.
FILES = {
    "code": (zipped([("net/data.pkl", pickle.dumps(Code(open, "ran", "w")))]), "io.open too. Objects are never"),
    "code in the old format": (saved({"w": Code(print, "ran")}, old=True), "__builtin__.print too"),
    "code by eval": (saved(Code(eval, "print(1)")), "eval too"),
    "a whole network": (saved(torch.nn.Linear(2, 2)), "torch.nn.modules.linear.Linear too"),
    "a whole network, old": (saved(torch.nn.Linear(2, 2), old=True), "torch.nn.modules.linear.Linear too"),
    "an attribute of a class": (b"cos\nsystem\n(S'true'\ntR.", "os.system too"),
    "an object by its class": (pickle.dumps(io.BytesIO(), 4), "_io.BytesIO too"),
    "cut off": (WHOLE[:-40], "can't be read as such"),
    "cut off in the middle": (WHOLE[: len(WHOLE) // 2], "can't be read as such"),
    "old, cut off in a storage": (OLD[:-3], "the storage .* bytes in place of"),
    "old, cut off before a storage": (OLD[:-22], "the storage .* in place of"),  # PyTorch writes storages in any order
    "old, cut off in a pickle": (OLD[:200], "a pickle"),
    "compressed": (zipped(entries_of(WHOLE), compression=zipfile.ZIP_DEFLATED), "compressed entry"),
    "zip bomb": (
        zipped([("net/data.pkl", TENSOR), ("net/data/0", bytes(10**7))], compression=zipfile.ZIP_DEFLATED),
        "whose entries have more",
    ),
    "two of one name": (None, "two entries of one name"),
    "a way out": (zipped([*entries_of(WHOLE), ("net/../../evil", b"x")]), "outside of its folder"),
    "no pickle": (zipped([("net/other", b"x")]), "with no data.pkl"),
    "two pickles": (zipped([("a/data.pkl", TENSOR), ("b/data.pkl", TENSOR)]), "with 2 data.pkl"),
    "big endian": (changed(WHOLE, "/byteorder", lambda _: b"big"), "another byte order"),
    "a flipped bit": (WHOLE.replace(np.float32(3).tobytes(), np.float32(5).tobytes(), 1), "Bad CRC-32"),
    "a short storage": (changed(WHOLE, "/data/0", lambda content: content[:-4]), "of 12 bytes in place of 16"),
    "no storage": (zipped([("net/data.pkl", TENSOR)]), "the storage '0', which is not there"),
    "a storage elsewhere": (with_tensor((4,), (1,), key="../../etc/passwd"), "passwd', which is not there"),
    "larger than its storage": (with_tensor((1000, 1000), (0, 0)), r"shape \(1000, 1000\) in a storage of 4"),
    "strides beyond": (with_tensor((2, 2), (3, 1)), r"shape \(2, 2\) in a storage of 4"),
    "offset beyond": (with_tensor((4,), (1,), offset=1), r"shape \(4,\) in a storage of 4"),
    "negative offset": (with_tensor((4,), (1,), offset=-1), "a negative offset"),
    "negative stride": (with_tensor((4,), (-1,)), "a negative offset, size or stride"),
    "astronomic": (with_tensor((2**70,), (1,)), "a negative offset, size or stride|none"),
    "a storage that lies": (with_tensor((4,), (1,), numbers=10**12), "of 16 bytes in place of"),
    "a huge memo": (zipped([("n/data.pkl", b"\x80\x02Nr\xff\xff\xff\x7f.")]), "received NoneType"),
    "a huge text": (zipped([("n/data.pkl", b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc.")]), "a pickle that"),
    "deep": (zipped([("n/data.pkl", b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b".")]), "received tuple"),
    "in itself": (
        zipped([("n/data.pkl", b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.")]),
        "received a dict with model",
    ),
    "a recursive key": (zipped([("n/data.pkl", b"\x80\x02})Ns.")]), "a dict with a tuple as key"),
    "no end": (zipped([("n/data.pkl", b"\x80\x02}")]), "a pickle that is none"),
    "a large number": (zipped([("n/data.pkl", pickle.dumps(1 << 5000))]), "a number of 5001 bits"),
    "another pickle": (pickle.dumps({"w": [1.0, 2.0]}, 2), "that PyTorch did not write"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(100), "a pickle with the operation PERSID"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", FILES)
def test_one_line_and_nothing_else(name, tmp_path, monkeypatch, capsys):
    data, message = FILES[name]
    if data is None:
        data = zipped([*entries_of(WHOLE), ("archive/data.pkl", TENSOR)])
    path = tmp_path / "net.pth"
    path.write_bytes(data)
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    with pytest.raises(InputError, match=message) as caught:
        read_state_dict(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert "net.pth" in str(caught.value)
    assert peak < 40 * 2**20
    assert [file.name for file in tmp_path.iterdir()] == ["net.pth"]
    assert capsys.readouterr().out == ""


def test_many_operations(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_pickle, "_MOST_OPERATIONS", 1000)
    (tmp_path / "net.pt").write_bytes(zipped([("n/data.pkl", b"\x80\x02" + b"N0" * 500 + b"N.")]))
    with pytest.raises(InputError, match="a pickle of more than 1,000 operations"):
        read_state_dict(tmp_path / "net.pt")


def test_python_never_unpickles(tmp_path, monkeypatch):
    """No file, good or bad, reaches `pickle` or PyTorch's own reader."""
    for module, function in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, function, None)
    for data in (WHOLE, OLD):
        (tmp_path / "net.pt").write_bytes(data)
        found = read_state_dict(tmp_path / "net.pt")
        np.testing.assert_array_equal(found["w"], [0, 1, 2, 3])


@pytest.mark.parametrize("old", [False, True])
def test_all_that_pytorch_writes(old, tmp_path):
    shared = torch.randn(3, 4)
    content = {
        "transposed": shared.t(),
        "part": shared[1:, ::2],
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        **{
            str(dtype): torch.tensor([0, 1, 0, 1]).to(dtype)
            for dtype in (
                *(torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int16),
                *(torch.int32, torch.int64, torch.uint8, torch.bool),
            )
        },
    }
    around = {"epoch": 3, "best": 0.5, "note": "größer", "done": True, "nothing": None, "sizes": (1, [2, "3"])}
    around["optimizer"] = {"state": {0: {"step": torch.tensor(1.0)}}, "shape": shared.shape}
    (tmp_path / "net.pt").write_bytes(saved({**around, "model": content}, old))
    found = read_state_dict(tmp_path / "net.pt")
    assert list(found) == list(content)
    for name, tensor in content.items():
        expected = tensor.detach().float() if tensor.is_floating_point() else tensor
        assert found[name].dtype == expected.numpy().dtype
        np.testing.assert_array_equal(found[name], expected.numpy())


def test_what_python_2_wrote(tmp_path):
    python_2 = pickletools.optimize(TENSOR).replace(b"}X\x01\x00\x00\x00w", b"ccollections\nOrderedDict\n]]U\x01wa", 1)
    python_2 = python_2.replace(b"_rebuild_tensor_v2", b"_rebuild_tensor")
    assert python_2.endswith(b"s.")
    python_2 = python_2[:-2] + b"aa\x85R."
    (tmp_path / "net.pt").write_bytes(zipped([("net/data.pkl", python_2), ("net/data/0", bytes(16))]))
    np.testing.assert_array_equal(read_state_dict(tmp_path / "net.pt")["w"], np.zeros((2, 2)))


@pytest.mark.parametrize(
    "asks",
    [
        pytest.param(b"cio\nopen\n(X\x03\x00\x00\x00ranX\x01\x00\x00\x00wtR", id="a call"),
        pytest.param(b"(X\x03\x00\x00\x00ranX\x01\x00\x00\x00wiio\nopen\n", id="an instance"),
        pytest.param(b"(cio\nopen\nX\x03\x00\x00\x00ranX\x01\x00\x00\x00wo", id="an object"),
        pytest.param(b"cio\nopen\n(X\x03\x00\x00\x00ranX\x01\x00\x00\x00wt\x81", id="a new object"),
        pytest.param(b"cio\nopen\n(X\x03\x00\x00\x00ranX\x01\x00\x00\x00wt}\x92", id="with keywords"),
        pytest.param(b"cabsent_module\nThing\n)\x81}X\x01\x00\x00\x00aK\x01sb", id="an absent class with a state"),
        pytest.param(b"cio\nopen\n)R(K\x01K\x02e", id="items for what is no list"),
        pytest.param(b"cio\nopen\n)RK\x01K\x02s", id="an item for what is no dict"),
        pytest.param(b"\x8f(K\x01\x90", id="a set"),
        pytest.param(b"(K\x01\x91", id="a frozen set"),
    ],
)
def test_objects_beside_tensors_are_passed_over(asks, tmp_path, monkeypatch, capsys):
    """None is made, and the tensors come out."""
    together = b"\x80\x04}X\x05\x00\x00\x00extra" + asks + b"sX\x05\x00\x00\x00model" + TENSOR[2:-1] + b"s."
    (tmp_path / "net.pth").write_bytes(zipped([("net/data.pkl", together), ("net/data/0", bytes(16))]))
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(read_state_dict("net.pth")["w"], np.zeros((2, 2)))
    assert not (tmp_path / "ran").exists()
    assert not capsys.readouterr().out
