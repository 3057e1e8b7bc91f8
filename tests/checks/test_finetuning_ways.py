"""The table of the page on ways to fine-tune, and where blocks end."""

import keras
import pytest

from checks.finetuning_blocks import block_ends
from checks.finetuning_ways import with_rows
from keras_lite.files import write_json
from keras_lite.quantization.lower import for_int8, lower

pytestmark = pytest.mark.tensorflow_only

PAGE = """# Ways

| old | head |
| --- | --- |
| old | row |

Text | with a bar.

| another | table |
"""


def found(way, end):
    return [{"way": way, "start": 0.02, "end": end, "difference": end - 0.02, "error": 0.001,
             "held_out": [0.03, 0.025], "seconds": 61.4}]  # fmt: skip


def test_rows_take_the_place_of_the_first_table(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    for name, way, end in (("a", "kept,all,kl", 0.019), ("b", "kept,all,mse", 0.015), ("c", "rounded: weights", 0.05)):
        write_json(folder / f"{name}.json", found(way, end))
    before, after = with_rows(PAGE, tmp_path).split("| network | way |")
    assert before == "# Ways\n\n"
    lines = after.split("\n")
    assert [line.split("|")[2].strip() for line in lines[2:5]] == [
        "rounded: weights",
        "kept, all, mse",
        "kept, all, kl",
    ]
    assert lines[3].endswith("| 0.02000 | 0.01500 | -0.00500 ± 0.00100 | 0.03000 -> 0.02500 | 61 |")
    assert lines[5:] == ["", "Text | with a bar.", "", "| another | table |", ""]


def test_blocks_end_where_one_tensor_alone_goes_on():
    inputs = keras.Input((8, 8, 4))
    x = inputs
    for number in range(3):
        short = x
        for part in range(3):
            x = keras.layers.Conv2D(4, 3, padding="same", name=f"block{number}_conv{part}")(x)
        x = keras.layers.Add(name=f"block{number}_add")([x, short])
    outputs = keras.layers.Dense(3, name="answers")(keras.layers.GlobalAveragePooling2D(name="mean")(x))
    graph = for_int8(lower(keras.Model(inputs, outputs))).graph
    assert [end.name for end in block_ends(graph)] == ["block0_add", "block1_add", "block2_add", "answers"]
