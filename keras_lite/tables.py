"""Tables as text to read and as Markdown."""

from collections.abc import Collection, Sequence


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text aligned in columns: the first row is the head; columns of numbers are right-aligned.

    Args:
        rows: The cells, as many in each row.

    Example:

    >>> print(text_table([("layer", "parameters"), ("conv", "432"), ("dense", "1,010")]))
    layer  parameters
    -----------------
    conv          432
    dense       1,010
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = [all(row[i][:1].isdigit() or row[i] in ("", "-") for row in rows[1:]) for i in range(len(widths))]
    lines = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[str]], left: Collection[int] | None = (0,)) -> str:
    """Return rows of text as a Markdown table: the first row is the head.

    Args:
        rows: The cells, as many in each row.
        left: Indices of the columns that are left-aligned, `None` for all; the others, numbers, are right-aligned.

    Example:

    >>> print(markdown_table([("layer", "parameters"), ("conv", "432")]))
    | layer | parameters |
    | --- | ---: |
    | conv | 432 |
    """
    head, *lines = rows
    rule = ["---" if left is None or index in left else "---:" for index in range(len(head))]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in (head, rule, *lines))
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
