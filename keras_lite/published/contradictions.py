"""What the publications contradict: each a title and a paragraph with the evidence.

What concerns a single row stands in `keras_lite.published.remarks`; printed figures come from the tables.
"""

from keras_lite import published


def contradictions() -> list[tuple[str, str]]:
    """Return title and paragraph of each."""
    return [(title, " ".join(text.split())) for title, text in _paragraphs()]


def _paragraphs() -> list[tuple[str, str]]:
    carnet, sports_resnet = map(published.get, ("sports100/carnet18/ours", "sports100/resnet18/original"))
    efficient = published.get("cifar10_efficient_resnet/efficient_resnet/ours")
    resnet18 = published.get("cifar10_efficient_resnet/resnet18/original")
    ghostnet = published.get("cifar100_second/ghostnet/original")
    fewer_parameters = 1 - carnet.exact["params"] / sports_resnet.exact["params"]
    return [
        (
            "Test images choose the result",
            """No published protocol holds images out. Every script evaluates the test images (CARNet: the validation
            images) after each epoch; the one of the Efficient ResNets keeps the weights of the epoch with the best test
            accuracy, the one of the first hyper-parameter set prints the best epoch, and for the tables of the second
            set it is not said whether they show the best or the last. No script sets a seed, and only CARNet's page
            speaks of several runs. Here the last epoch is the result, and the best stands beside it.""",
        ),
        (
            f"ResNet18 at {resnet18.published['accuracy']}% on CIFAR-10",
            f"""The table sets {efficient.published["accuracy"]}% against it, a lead of
            {efficient.published["accuracy"] - resnet18.published["accuracy"]:.2f} points.
            {_sentences(resnet18.id)} The best value in the log of the first run is 88.835%, in that of the second
            95.33%. Nobody says that the figure comes from that log; the evidence is that the digits agree.""",
        ),
        (
            f"The Efficient ResNet's {efficient.published['accuracy']}%",
            f"""{_sentences(efficient.id)} The logged accuracies are themselves means over the batches of a running
            mean, and so biased. The published script builds this network whichever architecture is asked for: asking
            for ResNet18 trains the Efficient ResNet with ResNet18's recipe.""",
        ),
        (
            "CARNet's model size, smaller by 94.2%",
            f"""The page says that the size of the model falls by 94.2%, from 618 MB to 360 MB. That would be
            {1 - 360 / 618:.1%}; {fewer_parameters:.1%} is the fall of the parameters, from
            {sports_resnet.exact["params"]:,} to {carnet.exact["params"]:,}, and so of a file of float32 weights, from
            {sports_resnet.exact["params"] * 4e-6:.1f} MB to {carnet.exact["params"] * 4e-6:.1f} MB. 618 MB and 360 MB
            are no model sizes: they are the input, the weights and twice the outputs of all convolutions and batch
            norms for one image of 244 x 244 pixels (618.1 MB and 360.5 MB, counted here), as torchinfo estimates the
            memory of a training step.""",
        ),
        (
            "CARNet's accuracy and training time",
            f"""{_sentences(carnet.id)} The last of its batches has 4 images instead of 16 and weighs as much. The
            class numbers come from the order in which the system lists each split's folders, which need not be the
            same for all splits. The page gives under 1.7 hours for 50 epochs, its plot about 6,500 s, which is 1.8
            hours, and about 12,500 s for ResNet18. For that one, {_sentences(sports_resnet.id, capital=False)} It is
            trained with images of 232 pixels and counted with 244.""",
        ),
        (
            "CARNet's early stopping never stops",
            """The best value and the counter are made anew in every epoch, so the counter never passes 1 while the
            patience is 5; the comparison is that of a mean with plus infinity, which is never exceeded; the object
            that would be the best model is not defined. All epochs are trained, and the last weights are kept.""",
        ),
        (
            "GhostNet has two baselines",
            f"""{_sentences(ghostnet.id)} Against the first the network with both changes, at
            {published.get("cifar100_second/ghostnet/ours").published["accuracy"]}%, is even, against the second it
            loses {_accuracy("cifar100_ablation/ghostnet/original") - _accuracy("cifar100_ablation/ghostnet/ours"):.1f}
            points. A run here settles which one holds.""",
        ),
        ("The ablation's combination is not always its best", _ablation()),
        (
            "Parameters that thop does not see",
            """thop counts what lies in modules without children, and passes over parameters that a module with
            children holds itself: the position embeddings of ParC-MobileNetV2 and the attention biases of
            EfficientFormerV2's downsampling. The parameters of these rows are published too low; the notes to the
            tables give the number of each network and what thop finds in it. On the other side GhostNet with the
            hybrid stem is published with the parameters of a batch norm that it never uses.""",
        ),
        (
            "FLOPs by three counters",
            """All printed FLOPs are multiply-accumulates, and none of them is that alone. The BSConv library's
            profiler (first hyper-parameter set, Stanford Dogs, ImageNet) adds batch norms, biases, ReLU and pooling but
            not ReLU6 and h-swish; thop (second set, VegFru292) batch norms, biases and some pooling; torchinfo (CARNet)
            biases, and the parameters of batch norms once. Figures of different tables can't be compared; the
            multiply-accumulates of convolutions and dense layers, which are the same by every counter, can.""",
        ),
        (
            "BSConv-S in MobileNetV3 changes no layer",
            f"""{_sentences("cifar100_first/mobilenetv3_large_bsconvs/ours")} The gain that the tables show for it is
            that of a training loss, and the name's 1/6 plays no part. The penalty is in the validation loss too.""",
        ),
        (
            "The mean of batches is not the mean of images",
            """The script of the first hyper-parameter set averages the accuracies of the batches. The last batch of
            CIFAR's test images has 16 instead of 128, and each of these counts eightfold.""",
        ),
        ("On a CPU the faster networks are slower", _latency()),
        (
            "What the published code can't do",
            """No script loads ImageNet, though its name is accepted as a data set. The scripts of the second set and of
            VegFru292 import modules that are not there, choose the model by editing, and print accuracies rounded
            to three digits, which is why these tables end in zeros. The shortcuts of WRN-40-8 are others than those
            that were counted. A schedule that falls linearly over 100 epochs is left commented out, so which rows were
            trained for how long is not certain.""",
        ),
    ]


def _accuracy(row_id: str) -> float:
    return published.get(row_id).published["accuracy"]


def _sentences(row_id: str, capital: bool = True) -> str:
    sentences = [f"{remark[0].upper()}{remark[1:]}." for remark in published.get(row_id).remarks]
    text = " ".join(sentences)
    return text if capital else text[0].lower() + text[1:]


def _ablation() -> str:
    """Say where one of the two changes alone is printed above both together."""
    found = []
    for row in published.rows():
        if row.table == "cifar100_ablation" and row.variant != "ours":
            both = _accuracy(row.id.replace(f"/{row.variant}", "/ours"))
            if row.published["accuracy"] > both:
                found.append(f"{row.model} {row.variant} {row.published['accuracy']}% (both: {both}%)")
    return (
        "The ablation table prints rows with one change, or none, above the row with both: "
        f"{', '.join(found)}. No spread over seeds is given, so differences of some tenths of a point show nothing."
    )


def _latency() -> str:
    """Compare the printed times of each network with those of its original."""
    times = {latency.id: latency.milliseconds for latency in published.latencies()}
    parts = []
    for device in next(iter(times.values())):
        ratios = [
            f"{latency.row.model} {times[latency.id][device] / times[original][device]:.2f}"
            for latency in published.latencies()
            if latency.row.variant == "ours" and (original := latency.id.replace("/ours", "/original"))
        ]
        parts.append(f"{device}: {', '.join(ratios)}")
    return (
        "Fewer multiply-accumulates are not less time everywhere. By the latency table the networks with both changes "
        f"take these multiples of the original's time. {'. '.join(parts)}."
    )
