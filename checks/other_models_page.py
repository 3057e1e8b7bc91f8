"""The page of `checks.verify_others`."""

from typing import Any

from checks.int8_figures import made_with
from keras_lite import tables
from keras_lite.training.environment import processor

_HEAD = (
    "model", "parameters", "multiply-accumulates", "float32 file off by", "Keras off by", "int8 file",
    "partitions float32 / int8", "outside XNNPACK", "float32 ms", "int8 ms", "ratio", "correlation",
    "with float weights",
)  # fmt: skip


def page(results: dict[str, dict[str, Any]], left: dict[str, str], image_size: int, images: int) -> str:
    """Return the Markdown page.

    Args:
        results: By the models' names, what `checks.verify_others.verify` returned.
        left: The other models' names, with what kept them from being run.
        image_size: Height and width of the images.
        images: How many of them set the ranges.
    """
    rows = tables.markdown_table([_HEAD, *(_row(*each) for each in results.items())], left=(0, 5, 7))
    refusals = [f"- {name}: {found['refused']}" for name, found in results.items() if found["refused"]]
    waiting = [f"- {name}: {why}" for name, why in left.items()]
    parts = [
        f"""# Models of other packages as float32 and int8 files

Written by `make verify-others`: models of keras.applications with up to 100 million parameters, of larger ones one a
family as a float32 file alone, and small backbones of KerasHub and KerasCV with a pooling and a dense layer behind.

{rows}

Input {image_size} x {image_size} x 3, {images} images of `shapes` to set the ranges and {images // 2} others to
compare, random weights, no training. "Off by": largest difference of an output from that of the same
network computed in float64, as a share of the largest; the rounding of float32 alone makes Keras' own outputs differ
that much. "Equal": all outputs are those of `keras_lite.litert.IntegerModel`, to the bit. Latency: median of one image,
one thread, the two files in turns, LiteRT with XNNPACK on {processor()}; only the ratios (int8 / float32) carry over to
other machines, as far as any do; "-": not measured. Correlation: of the int8 file's outputs with the float model's, as
deviations from their mean over the images; beside it that of the same model with float weights, whose activations are
rounded as in the file. A deep network of random weights blows up every rounding, so the second is what a file can
reach, by and large.

{made_with()}.
"""
    ]
    if refusals:
        parts.append("## Without an int8 file\n\n" + "\n".join(refusals) + "\n")
    if waiting:
        parts.append("## Not run yet\n\n`make verify-others` goes on where it was.\n\n" + "\n".join(waiting) + "\n")
    return "\n".join(parts)


def _row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    float32, int8 = found["float32"], found["int8"]
    first = (name, f"{float32['parameters']:,}", f"{float32['macs'] / 1e6:,.0f} M", f"{float32['difference']:.0e}")
    first += (f"{float32['keras_difference']:.0e}",)
    measured = float32["latency_ms"] > 0.0
    latency = f"{float32['latency_ms']:.2f}" if measured else "-"
    if int8 is None:
        why = "not tried" if found["refused"].startswith("not tried") else "refused"
        return (*first, why, f"{float32['partitions']} / -", "-", latency, "-", "-", "-", "-")
    return (
        *first,
        "equal" if int8["equal"] == 1.0 else f"{1 - int8['equal']:.2%} unequal",
        f"{float32['partitions']} / {int8['partitions']}",
        ", ".join(int8["not_delegated"]) or "none",
        latency,
        f"{float32['int8_latency_ms']:.2f}" if measured else "-",
        f"{float32['int8_latency_ms'] / float32['latency_ms']:.2f}" if measured else "-",
        f"{int8['correlation']:.3f}",
        f"{int8['rounded_correlation']:.3f}",
    )
