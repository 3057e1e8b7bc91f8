"""Training a network by a recipe."""

from keras_lite.data import Source, make_shapes, open_data
from keras_lite.training import data_parallel, processes
from keras_lite.training.engine import fit, run_settings
from keras_lite.training.options import Options
from keras_lite.training.recipe import Recipe
from keras_lite.training.resume import SliceEnded
from keras_lite.training.run_folder import RunFolder
from keras_lite.training.training_result import summary


def train_model(recipe: Recipe, options: Options, output_dir: str | None = None, verbose: int = 0) -> RunFolder:
    """Train a network by a recipe, or continue its training, in all processes that take part.

    Args:
        recipe: The recipe.
        options: The choice of network and data, and what differs from the recipe.
        output_dir: The run folder; `None`: named after the recipe, the network, the size and the seed, in `runs`.
        verbose: 1 prints what happens, and the figures.

    Returns:
        The run folder. It has a `result` unless the time was up.

    Raises:
        InputError: If there is no such data, or the folder holds another run.

    Example:

    ```python
    train_model(RECIPE, Options.of(RECIPE, data_dir="photos", epochs=20), verbose=1)
    ```
    """
    folder = RunFolder(output_dir or _default_output_dir(recipe, options))
    with processes.taking_part():
        data_parallel.start(options)
        # What is wrong with the folder is said before the data is read.
        result = folder.open(run_settings(recipe, options))
        text = f"the run in {folder.path} is finished\n" if result else ""
        try:
            result = result or fit(recipe, _open(recipe, options, verbose), options, folder.path, verbose=verbose)
            text += summary(result, str(folder.path))
        except SliceEnded as ended:
            text = f"{ended}; the same command goes on from there (run folder: {folder.path})"
        if verbose:
            print(text)
    return folder


def _default_output_dir(recipe: Recipe, options: Options) -> str:
    size = "x".join(str(side) for side in dict.fromkeys(options.image_size))
    smoke = "-smoke" if options.smoke else ""
    model = options.model.replace("/", "-")
    return f"runs/{recipe.name}-{model}-{size}-seed{options.seed}{smoke}"


def _open(recipe: Recipe, options: Options, verbose: int) -> dict[str, Source]:
    if options.smoke:
        counts = {"train": 2 * options.batch_size, "valid": options.batch_size, "test": options.batch_size}
        size = options.image_size[0]
        return {split: make_shapes(count, seed, size) for seed, (split, count) in enumerate(counts.items())}
    geometry = recipe.preprocessing(options.image_size).geometry
    return open_data(options.data_dir, geometry, skip_broken=options.skip_broken, verbose=verbose)
