"""Measure how many images a second published rows train, side by side.

    python tools/benchmark_training.py cifar100_first/resnet20/original cifar100_first/resnet20/ours
    python tools/benchmark_training.py sports100/carnet18/ours --image_size 96 --results_dir results
    KERAS_BACKEND=jax python tools/benchmark_training.py cifar100_second/ghostnet/ours --precision mixed_bfloat16

Prints for each row the images a second of the compiled training step alone, of preparing the batches alone, and of
`model.fit` with both, on random images with the row's own recipe: medians over rounds in which the rows take turns.
With --pytorch also those of the same network in PyTorch, in a process of its own: the whole step, eager, channels last;
with --torch_compile compiled by PyTorch. Measure one row a call then, as that is how both train.
`python -m recipes --list` names the rows.
"""

from absl import flags

from keras_lite import published
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import write_json
from keras_lite.training import Options, Recipe
from keras_lite.training.benchmark import TWINS, TrainingSpeed, benchmark_training, format_speeds
from keras_lite.training.environment import environment
from keras_lite.training.extras import PRECISIONS, Extras
from ledger import SpeedResult, write_result
from ledger.results import device_name
from recipes import places

FLAGS = command_line.new_flags()
flags.DEFINE_integer("batch_size", None, "Images in a step (default: the recipe's).", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer("image_size", None, "Side in pixels (default: the recipe's).", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_enum("precision", "float32", PRECISIONS, "Of the computation.", flag_values=FLAGS)
flags.DEFINE_integer("steps_per_execution", 1, "Steps run in one go.", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer("steps", 20, "Steps of each kind in a round.", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer("rounds", 3, "How often each row has its turn.", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_boolean("pytorch", False, "Also train each network in PyTorch, on the CPU.", flag_values=FLAGS)
flags.DEFINE_boolean("torch_compile", False, "Also train it with torch.compile.", flag_values=FLAGS)
flags.DEFINE_string("output", None, "JSON file for the figures.", flag_values=FLAGS)
flags.DEFINE_string("results_dir", None, "Where to record them, such as `results`.", flag_values=FLAGS)
flags.DEFINE_string("remark", None, "What a reader of the record must know besides.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure the rows on the command line."""
    if not positional:
        raise InputError("Expected one or more ids of published rows, received none.")
    changes = {"steps_per_execution": values.steps_per_execution, "extras": Extras(precision=values.precision)}
    if values.batch_size:
        changes["batch_size"] = values.batch_size
    if values.image_size:
        changes["image_size"] = (values.image_size, values.image_size)
    runs: list[tuple[str, Recipe, Options]] = []
    for row_id in positional:
        place = places()[published.get(row_id).id]
        runs.append((row_id, place.recipe, Options.of(place.recipe, model=place.model, **changes)))
    if values.results_dir and len({(options.batch_size, options.image_size) for _, _, options in runs}) > 1:
        raise InputError("Expected rows of one --batch_size and --image_size to record, received several.")
    twins = [name for name in TWINS if values[name].value]
    speeds = benchmark_training(runs, values.steps, values.rounds, twins)
    where = environment()
    print(f"{where['backend']} on {', '.join(where['devices'])}, {values.precision}, {values.rounds} rounds")
    print(format_speeds(speeds))
    if values.output:
        figures = {"environment": where, "steps": values.steps, "speeds": [speed.to_dict() for speed in speeds]}
        write_json(values.output, figures)
    if values.results_dir:
        print(f"recorded: {write_result(_result(speeds, where, values.remark), values.results_dir)}")


def _result(speeds: list[TrainingSpeed], where: dict, remark: str | None) -> SpeedResult:
    figures = [speed.to_dict() for speed in speeds]
    first = figures[0]
    by_kind = {
        kind: {figure["name"]: round(figure["images_per_second"][kind], 1) for figure in figures}
        for kind in first["images_per_second"]
    }
    return SpeedResult(
        device=device_name({"devices": where["devices"], **where["machine"]}),
        backend=where["backend"],
        precision=first["precision"],
        batch_size=first["batch_size"],
        image_size=first["image_size"],
        images_per_second=by_kind["fit"],
        step_images_per_second=by_kind["step"],
        pytorch_images_per_second=by_kind.get("pytorch"),
        versions=where["versions"],
        commit=where["commit"],
        remark=remark,
    )
