"""What the check of killed runs calls a fault, and a few kills."""

import shutil

import pytest

from checks.killed_runs import differences, half_written

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def folders(tmp_path):
    """A folder, and what an undisturbed run left."""
    reference = tmp_path / "reference" / "quantized"
    reference.mkdir(parents=True)
    (reference / "small_int8.tflite").write_bytes(b"\x01\x02\x03")
    (reference / "small_int8.labels.txt").write_text("circle\nsquare\n")
    (reference / "result.json").write_text('{"seconds": 1.5}')
    shutil.copytree(tmp_path / "reference", tmp_path / "run")
    return tmp_path / "run", tmp_path / "reference"


def test_the_same_files_are_no_fault_whatever_time_they_tell(folders):
    (folders[0] / "quantized" / "result.json").write_text('{"seconds": 2.5}')
    assert half_written(*folders) == differences(*folders) == []


def test_files_of_tensorboard_have_a_time_in_their_names(folders):
    for folder, time in zip(folders, (1795885404, 1795885377), strict=True):
        (folder / f"events.out.tfevents.{time}.keras_lite").write_bytes(b"\x01")
    assert differences(*folders) == []
    (folders[0] / "events.out.tfevents.1795885500.keras_lite").write_bytes(b"\x01")
    assert differences(*folders) == ["events.out.tfevents.TIME.keras_lite is left over"]


def test_a_file_that_is_not_there_yet_is_whole(folders):
    (folders[0] / "quantized" / "result.json").unlink()
    (folders[0] / "quantized" / ".partial-result.json").write_text('{"sec')
    assert half_written(*folders) == []
    assert differences(*folders) == [
        "quantized/result.json is missing",
        "quantized/.partial-result.json is left over",
    ]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("small_int8.tflite", b"\x01\x02", "small_int8.tflite is another than"),
        ("small_int8.labels.txt", b"circle\n", "small_int8.labels.txt is another than"),
        ("result.json", b'{"sec', "result.json, which can't be read"),
        ("result.json", b"", "result.json is empty"),
        ("small_float32.tflite", b"\x01", "small_float32.tflite is another than"),
    ],
)
def test_what_is_half_written_is_named(folders, name, content, fault):
    (folders[0] / "quantized" / name).write_bytes(content)
    assert any(fault in text for text in half_written(*folders))


def test_a_fine_tuning_that_went_on_otherwise_is_named(folders):
    for folder, divergence in zip(folders, (0.0123, 0.0124), strict=True):
        text = f'{{"seconds": 1.5, "finetuning": {{"epochs": [{{"divergence": {divergence}}}]}}}}'
        (folder / "quantized" / "result.json").write_text(text)
    [fault] = differences(*folders)
    assert fault == "quantized/result.json tells of another fine-tuning than that of an undisturbed run"
    assert differences(folders[0], folders[0]) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", ["quantize", "export", "quantize-trained", "finetune"])
def test_killed_commands(run_script, tmp_path, command):
    finished = run_script("tools/kill_test.py", command, "--kills", 3, "--cache_dir", tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.count("whole files, and the same ones in the end") == 3
