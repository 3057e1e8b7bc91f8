import pytest

from keras_lite.training.tensorboard import TensorBoardLog


def read(folder):
    """Read an event file with TensorFlow, which checks the checksums: (step, tag, value) of each scalar."""
    tensorflow = pytest.importorskip("tensorflow")
    (path,) = folder.iterdir()
    events = [
        tensorflow.compat.v1.Event.FromString(record.numpy()) for record in tensorflow.data.TFRecordDataset(str(path))
    ]
    assert events[0].file_version == "brain.Event:2"
    return [(event.step, value.tag, value.simple_value) for event in events for value in event.summary.value]


def test_tensorflow_reads_what_was_written(tmp_path):
    rows = [{"epoch": epoch, "loss": 2.0 / epoch, "val_loss": 3.0 / epoch} for epoch in (1, 300)]
    log = TensorBoardLog(tmp_path / "logs", [])
    for row in rows:
        log.write(row)
    assert read(tmp_path / "logs" / "train") == [(1, "epoch_loss", 2.0), (300, "epoch_loss", pytest.approx(2 / 300))]
    assert read(tmp_path / "logs" / "validation") == [(1, "epoch_loss", 3.0), (300, "epoch_loss", pytest.approx(0.01))]


def test_a_later_start_holds_each_epoch_once(tmp_path):
    rows = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]
    for row in rows:
        TensorBoardLog(tmp_path / "logs", [rows[0]] if row is rows[1] else []).write(row)
    assert [step for step, _, _ in read(tmp_path / "logs" / "train")] == [1, 2]
