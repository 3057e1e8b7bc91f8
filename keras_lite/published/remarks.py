"""What a reader of a published row should know: where it contradicts its network, its protocol or another row."""

_POSITIONS = (
    "the parameters were counted by thop, which misses the position embeddings: the network has {params:,}, of which "
    "thop finds {params_by_published_counter:,}"
)
_BIASES = (
    "the parameters were counted by thop, which misses the biases of attention{more}: the network has {params:,}, of "
    "which thop finds {params_by_published_counter:,}"
)
_UNUSED = (
    "the published network carries {unused_params} parameters more, in a batch norm that it never uses; they are part "
    "of the published figure"
)
_LABEL = (
    "neither layers nor counts differ from the row without BSConv-S: training only adds a penalty on each unit's last "
    "convolution"
)
_CUT_OFF = "the printed parameters are cut off, not rounded: the network has {params:,}"
_FLOPS = (
    "the printed FLOPs are off by more than rounding, but by less than one in the last digit: the network has "
    "{flops_by_published_counter:,}"
)
_ONE_MORE = (
    "the parameters are printed as 1,000 more than the original's; the network has {params:,}, which rounds to "
    "3,086,000"
)

_BY_ROW = {
    "sports100/carnet18/ours": (
        "the page speaks of 1x1 convolutions to match residual connections and of 64 groups; the network has no "
        "residual connections and one group a channel",
        "the accuracy is the mean of five runs on the validation images, with the training's random augmentation, "
        "averaged batch by batch; the test images were never read",
    ),
    "sports100/resnet18/original": (
        "the page says 50 epochs, the published script 30",
        "the accuracy was measured as CARNet's: on augmented validation images",
    ),
    "cifar10_efficient_resnet/efficient_resnet/ours": (
        "no log of a run with 96.04% is published; the best logged value is 95.49%",
        "the accuracy is that of the best epoch on the test images",
    ),
    "cifar10_efficient_resnet/resnet18/original": (
        "the accuracy equals the last logged value (88.559%, a running mean) of a run without augmentation, "
        "normalization and gradient clipping, cut at epoch 174 of 200; with augmentation and normalization the same "
        "network is logged at 95.29%, so the table does not compare like with like",
    ),
    "cifar100_first/wrn40_8_bsconvu/ours": (
        "the network behind the figures has depthwise and 1x1 convolutions in its strided shortcuts, unlike WRN-40-3 "
        "and unlike the published code, which has a 3x3 convolution there (shortcut='convolution')",
    ),
    "cifar100_ablation/ghostnet/original": (
        "the ablation table prints 76.0% for this network, the main table 74.0% (cifar100_second/ghostnet/original)",
    ),
    "cifar100_second/ghostnet/original": (
        "the main table prints 74.0% for this network, the ablation table 76.0% (cifar100_ablation/ghostnet/original)",
    ),
    "imagenet/mobilenetv3_large/original": ("the published code has no ImageNet recipe",),
    "vegfru292/shufflenetv2/ours": (_FLOPS,),
    "imagenet/mobilenetv3_large/ours": (
        _FLOPS,
        "the published code has no ImageNet recipe",
        "which part of the stem has the stride is not published; it is inferred from the counts",
    ),
    "stanford_dogs/mobilenetv3_large/ours": (
        "which part of the stem has the stride is not published; it is inferred from the counts",
    ),
    "stanford_dogs/mobilenetv3_large_bsconvs/ours": (
        "which part of the stem has the stride is not published; it is inferred from the counts",
    ),
}


def find(row_id: str, exact: dict, printed_params: float | None) -> tuple[str, ...]:
    """Return the remarks on a row.

    Args:
        row_id: `table/model/variant`.
        exact: The counts of the network behind it.
        printed_params: The published number of parameters, `None` where the table has none.
    """
    table, model, variant = row_id.split("/")
    found = list(_BY_ROW.get(row_id, ()))
    if model.endswith("_bsconvs"):
        found.append(_LABEL)
    if "unused_params" in exact:
        found.append(_UNUSED if printed_params else _UNUSED.partition(";")[0])
    if printed_params and "params_by_published_counter" in exact:
        more = " and the position embeddings" if model == "parc_mobilenetv2" else ""
        found.append(_BIASES.replace("{more}", more) if variant == "efficientformer" else _POSITIONS)
    if printed_params and table == "cifar100_first" and model.startswith("mobilenetv3") and variant == "original":
        found.append(_CUT_OFF)
    if printed_params and table == "stanford_dogs" and variant == "ours":
        found.append(_ONE_MORE)
    return tuple(remark.format(**exact) for remark in found)
