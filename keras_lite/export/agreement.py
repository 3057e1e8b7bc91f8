"""How tables name and print the agreement of a file with its model, for each kind of output."""

from keras_lite.quantization.closeness import AGREEMENT


def agreement_title(output: str, other: str) -> str:
    """Return the head of a column with agreements with another model.

    Args:
        output: What the models answer, as `keras_lite.data.ModelInfo.output` names it.
        other: Name of the other model.
    """
    return f"{AGREEMENT[output]} with {other}" if output in ("regression", "embedding") else f"agrees with {other}"


def format_agreement(output: str, value: float) -> str:
    """Return an agreement as text: a share in percent, a correlation or cosine as it is."""
    return f"{value:.4f}" if output in ("regression", "embedding") else f"{value:.2%}"
