"""Every published row: the network behind it has the published counts, to the last digit."""

import pytest

from keras_lite import published
from keras_lite.cli import profile as profile_tool
from keras_lite.errors import InputError
from keras_lite.profiling import profile

pytestmark = pytest.mark.slow_elsewhere

ROWS = published.rows()
NETWORKS = sorted({row.network for row in ROWS})

# How far the tables round parameters and FLOPs.
UNITS = {
    "sports100/carnet18/ours": (10_000, 10_000_000),
    "sports100/resnet18/original": (100_000, 100_000_000),
    "cifar10_efficient_resnet/efficient_resnet/ours": (1, 1),
}

# Printed parameters that are off by more than rounding, but by less than one in the last digit.
NOT_ROUNDED = {
    "cifar100_first/mobilenetv3_large/original",
    "cifar100_first/mobilenetv3_large_bsconvs/original",
    "stanford_dogs/mobilenetv3_large/ours",
    "stanford_dogs/mobilenetv3_large_bsconvs/ours",
}

# Printed FLOPs that are within one, not half a unit of the last printed digit.
FLOPS_NOT_ROUNDED = {"imagenet/mobilenetv3_large/ours", "vegfru292/shufflenetv2/ours"}

# Printed parameters that leave out position embeddings and attention biases, which thop does not find.
NOT_FOUND_BY_THOP = {
    "cifar100_second/parc_mobilenetv2/original",
    "cifar100_second/parc_mobilenetv2/ours",
    "cifar100_efficientformer/mobilenetv3_large/efficientformer",
    "cifar100_efficientformer/parc_mobilenetv2/efficientformer",
    "cifar100_efficientformer/ghostnet/efficientformer",
    "cifar100_efficientformer/shufflenetv2/efficientformer",
    "vegfru292/parc_mobilenetv2/original",
    "vegfru292/parc_mobilenetv2/ours",
}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("network", NETWORKS)
def test_counts(network):
    rows = [row for row in ROWS if row.network == network]
    model = rows[0].build(classifier_activation=None)
    assert model.input_shape == (None, *rows[0].input)
    assert model.output_shape == (None, rows[0].classes)
    found = profile(model)
    for row in rows:
        exact = row.exact
        assert found.parameters == exact["params"] - exact.get("unused_params", 0)
        assert found.macs == exact["macs"]
        if row.counter is not None:
            assert found.flops(row.counter) == exact["flops_by_published_counter"]
            seen = exact.get("params_by_published_counter", exact["params"])
            assert found.parameters_by(row.counter) == seen - exact.get("unused_params", 0)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_printed_figures(row):
    params_unit, flops_unit = UNITS.get(row.id, (1_000, 100_000))
    if row.published["params"] is not None:
        key = "params_by_published_counter" if row.id in NOT_FOUND_BY_THOP else "params"
        difference = abs(row.published["params"] - row.exact[key])
        assert difference < params_unit if row.id in NOT_ROUNDED else difference <= params_unit / 2
        contradicts = row.id in NOT_ROUNDED | NOT_FOUND_BY_THOP
        assert any("parameters" in remark and "penalty" not in remark for remark in row.remarks) == (
            contradicts or "unused_params" in row.exact
        )
    if row.published["flops"] is not None:
        difference = abs(row.published["flops"] - row.exact["flops_by_published_counter"])
        assert difference < flops_unit if row.id in FLOPS_NOT_ROUNDED else difference <= flops_unit / 2
        assert any("FLOPs" in remark for remark in row.remarks) == (row.id in FLOPS_NOT_ROUNDED)


@pytest.mark.tensorflow_only
def test_rows():
    assert len(ROWS) == len({row.id for row in ROWS}) == 58
    row = published.get("cifar100_ablation/shufflenetv2/stem")
    assert (row.table, row.variant, row.dataset) == ("cifar100_ablation", "stem", "cifar100")
    assert (row.input, row.classes, row.counter) == ((32, 32, 3), 100, "thop")
    assert {row.dataset: row.classes for row in ROWS} == {
        "sports100": 100,
        "cifar10": 10,
        "cifar100": 100,
        "stanford_dogs": 120,
        "imagenet": 1000,
        "vegfru292": 292,
    }
    with pytest.raises(InputError, match="received 'cifar100_first/vgg16/ours'"):
        published.get("cifar100_first/vgg16/ours")


@pytest.mark.tensorflow_only
def test_latencies_are_of_large_images():
    latencies = published.latencies()
    assert len(latencies) == 8
    assert {latency.row.input for latency in latencies} == {(224, 224, 3)}
    assert latencies[-1].milliseconds["MediaTek Dimensity 1000+"] == 18.8
    assert latencies[-1].row is published.get("vegfru292/shufflenetv2/ours")


@pytest.mark.tensorflow_only
def test_contradictions_between_tables_are_remarked():
    """Two rows of one network print one accuracy, or both say that they do not."""
    for network in NETWORKS:
        rows = [row for row in ROWS if row.network == network]
        if len({row.published["accuracy"] for row in rows}) > 1:
            assert network == "ghostnet__orig"
            assert all("ablation table" in " ".join(row.remarks) for row in rows)


def test_build_takes_the_networks_arguments():
    row = published.get("cifar100_second/shufflenetv2/ours")
    model = row.build(input_shape=(64, 64, 3), classes=7, name="mine")
    assert model.name == "mine"
    assert model.output_shape == (None, 7)


def test_tool(run_tool, monkeypatch, assert_one_line_error):
    chosen = [published.get("cifar100_second/shufflenetv2/ours"), published.get("cifar100_ablation/shufflenetv2/ours")]
    monkeypatch.setattr(published, "rows", lambda: chosen)
    finished = run_tool(profile_tool, "--all")
    assert finished.returncode == 0, finished.stderr
    first, second = (line.split() for line in finished.stdout.splitlines() if line.startswith("cifar100"))
    assert first[1:] == ["1,358,000", "1,357,568", "35,700,000", "35,664,584", "thop", "34,642,488", "71.50%"]
    assert second[1:] == ["-", "1,357,568", "-", "35,664,584", "thop", "34,642,488", "71.50%"]
    assert_one_line_error(run_tool(profile_tool, "--all", "carnet18"), "--all alone")


@pytest.mark.slow
@pytest.mark.tensorflow_only
def test_whole_table(run_script):
    finished = run_script("tools/profile_model.py", "--all")
    assert finished.returncode == 0, finished.stderr
    assert all(f"\n{row.id} " in finished.stdout for row in ROWS)
