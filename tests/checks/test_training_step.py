"""The page of training steps, from made-up figures and a made-up profile."""

import pytest

from checks.training_step import operators_of, page

pytestmark = pytest.mark.tensorflow_only
FACTS = {"machine": "a machine", "made_with": "versions", "rounds": "2 turns", "before": "02a505e"}


def test_ratios_are_those_of_the_medians():
    row = "cifar100_second/ghostnet/ours"
    speeds = {"before": [90.0, 110.0], "here": [100.0, 300.0, 200.0], "pytorch": [160.0], "torch_compile": [50.0, 50.0]}
    operators = {f"Kind{index}": [1.0, 10.0 - index] for index in range(1, 10)} | {"Small": [8.0, 5.0]}
    text = page({row: {"batch_size": 64, "speeds": speeds, "operators": operators}}, FACTS)
    assert "| row | batch | images/s | rounds | 02a505e | PyTorch | ratio | goal | torch.compile | ratio |" in text
    assert f"| `{row}` | 64 | 200 | 100 to 300 | 100 | 160 | 1.25 | 1.5 | 50 | 4.00 |" in text
    # 45 of operators 1 to 9, and 5.
    assert "| `Kind1` | 1 | 9.0 | 18% |" in text
    assert "| 0 others |  | 0.0 | 0% |" in text


def test_operators_are_told_from_what_is_around_them():
    xplane = pytest.importorskip("tensorflow.tsl.profiler.protobuf.xplane_pb2")
    space = xplane.XSpace()
    plane = space.planes.add(name="/host:CPU")
    line = plane.lines.add()
    names = ("model/conv:Conv2D", "gradient/conv:Conv2D", "EagerExecute", "thread:ParallelFor", "model/add:AddV2")
    for key, name in enumerate(names):
        plane.event_metadata[key].name = name
        for _ in range(5):  # steps
            line.events.add(metadata_id=key, duration_ps=(key + 1) * 10**9)
    assert operators_of(space.SerializeToString()) == {"AddV2": [1.0, 5.0], "Conv2D": [2.0, 3.0]}
