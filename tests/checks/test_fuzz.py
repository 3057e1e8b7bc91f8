import json

import keras
import numpy as np
import pytest

from checks import fuzz, random_blocks, random_layers
from checks.random_operations import OPERATIONS
from checks.random_parts import LAYERS
from keras_lite.quantization.lower.functions import ACTIVATIONS

pytestmark = pytest.mark.tensorflow_only
RESULT = {"parts": ["sound"], "verdict": "exported", "refused": False, "wrong": False}


SLOW = [pytest.param(what, marks=pytest.mark.slow) for what in ("dead layer", "tiny gamma", "constant images")]


@pytest.mark.parametrize("what", ["dead channels", *SLOW])
def test_spoiled_models_are_exported(what):
    seed = next(seed for seed in range(100) if what in random_blocks.plan(seed))
    result = random_blocks.export(seed)
    assert what in result["parts"]
    assert not result["refused"] and not result["wrong"]


def test_a_sum_that_litert_gets_wrong_is_named():
    """Behind a batch normalization of thousands, hard-swish adds 3: LiteRT's kernel for that overflows."""
    result = random_blocks.export(39)
    assert result["refused"] and "Expected input scales below 256 times the output's in " in result["verdict"]
    assert "_shift (ADD), received 1771 times" in result["verdict"]


def test_a_model_of_the_tables_layers_becomes_both_files():
    result = random_layers.export(1006)
    assert "equals its quantized model to the bit" in result["verdict"]
    assert (result["refused"], result["wrong"]) == (False, False)


def test_models_are_the_same_each_time_and_of_many_kinds():
    (first, parts), (second, again) = random_layers.random_model(7), random_layers.random_model(7)
    assert parts == again
    assert all((a == b).all() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
    found = [random_layers.random_model(seed)[0] for seed in range(20)]
    assert {len(model.inputs) for model in found} == {1, 2}
    assert len({len(model.outputs) for model in found}) > 1


def test_every_row_of_the_table_can_be_drawn():
    rows = random_layers.table_rows()
    assert set(rows) <= {*LAYERS, *OPERATIONS, *ACTIVATIONS}
    assert rows["LayerNormalization"].startswith("no: ") and rows["Conv2D"] == "CONV_2D"


@pytest.mark.parametrize(
    ("error", "refused", "wrong"),
    [
        (random_layers.VerificationError("x.tflite was not written: on 16 images it differs"), False, True),
        (KeyError("no such layer"), False, True),
        (random_layers.InputError("Expected layers, received layer a of type B: a reason of nowhere."), True, True),
        (
            random_layers.InputError(
                "Expected layers, received layer a of type Threshold: it jumps at its threshold, as no int8 operator "
                "does; write ReLU() or LeakyReLU(), without a threshold, or give allow_float=True (--allow_float), "
                "which leaves this layer in floats."
            ),
            True,
            False,
        ),
    ],
)
def test_what_int8_may_refuse(monkeypatch, error, refused, wrong):
    def to_tflite(model, path, precision="float32", allow_float=False, **kwargs):
        if precision == "int8" and not allow_float:
            raise error
        return "fine"

    monkeypatch.setattr(random_layers, "to_tflite", to_tflite)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    monkeypatch.setattr(random_layers, "random_model", lambda seed, attempt: (model, ["a"]))
    monkeypatch.setattr(random_layers, "random_samples", lambda *arguments: np.zeros((1, 4)))
    result = random_layers.export(0)
    assert (result["refused"], result["wrong"]) == (refused, wrong)
    assert ("Traceback" in result["verdict"]) == isinstance(error, KeyError)


def test_another_model_is_drawn_where_keras_runs_none(monkeypatch):
    calls = []

    def to_tflite(model, path, precision="float32", **kwargs):
        if len(calls) < 2:
            calls.append(precision)
            raise RuntimeError("no primitive")
        return "fine"

    monkeypatch.setattr(random_layers, "to_tflite", to_tflite)
    monkeypatch.setattr(random_layers, "_runs", lambda model, samples: False)
    result = random_layers.export(3)
    assert (result["verdict"], result["wrong"]) == ("float32: fine; int8: fine", False)
    assert result["parts"] == random_layers.random_model(3, 2)[1]


def test_finished_models_are_not_exported_again(run_tool, tmp_path, monkeypatch, assert_one_line_error):
    calls = []

    def export(seed):
        calls.append(seed)
        spoiled = {"parts": ["large weights"], "verdict": "Expected scales, received none.", "refused": True}
        return RESULT | spoiled if seed == 21 else RESULT

    monkeypatch.setitem(fuzz.KINDS, "blocks", export)
    for _ in range(2):
        finished = run_tool(fuzz, "blocks", "--models", 22, "--cache_dir", tmp_path)
        assert finished.returncode == 0, finished.stderr
        assert "21 (large weights): Expected scales, received none." in finished.stdout
        assert "21 of 22 models exported, 1 refused" in finished.stdout
    assert calls == list(range(22))

    kept = tmp_path / "blocks" / "3.json"
    good = json.loads(kept.read_text())
    for change, told in (({"wrong": True}, "seeds [3]"), ({"refused": True}, "received 2 refusals out of 22 models")):
        kept.write_text(json.dumps(good | change))
        assert_one_line_error(run_tool(fuzz, "blocks", "--models", 22, "--cache_dir", tmp_path), told)
    kept.write_text(json.dumps(good | {"code": "older"}))
    assert run_tool(fuzz, "blocks", "--models", 22, "--cache_dir", tmp_path).returncode == 0
    assert calls[22:] == [3]
    assert_one_line_error(run_tool(fuzz, "bricks"), "blocks, layers", "bricks")
