"""Make RESULTS.md and its plots from the files of the ledger.

    python tools/report.py [--results_dir results] [--output RESULTS.md]

The same files give the same text and the same plots.
"""

import os
from pathlib import Path

from absl import flags

from keras_lite import published
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import write_text
from ledger.groups import group_runs
from ledger.plots import draw_accuracy_against_macs, draw_curves
from ledger.results import RunResult, read_results
from ledger.tables import PLOT, TITLES, curves_name, groups_of, pages_in, results_markdown

FLAGS = command_line.new_flags()
flags.DEFINE_string("results_dir", "results", "The folder of the ledger; the plots go there too.", flag_values=FLAGS)
flags.DEFINE_string("output", "RESULTS.md", "The file to write.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Write the report."""
    if positional:
        raise InputError(f"Expected flags only, received {' '.join(positional)}.")
    folder, output = Path(values.results_dir), Path(values.output)
    if not folder.is_dir():
        raise InputError(f"Expected --results_dir to be the folder of the ledger, received {folder}.")
    results = read_results(folder)
    groups = group_runs([result for result in results if isinstance(result, RunResult)])
    for table in TITLES:
        rows = [row for row in published.rows() if row.table == table]
        if found := [group for row in rows for group in groups_of(row, groups)]:
            draw_curves(folder / curves_name(table), table, found)
    draw_accuracy_against_macs(folder / PLOT, groups)
    seen = Path(os.path.relpath(folder, output.parent)).as_posix()
    write_text(output, results_markdown(results, seen, pages_in(folder)))
    print(f"{output}: {len(results)} results")
