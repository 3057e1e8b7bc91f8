"""Change the code in ways that would spoil a result, one at a time, and show which test catches each.

    python tools/mutants.py [NAME ...]

Each change is made in a scratch copy. A change that no test catches is an error.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.tables import text_table

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: in `file`, `old` becomes `new`; `tests` are the ones to run."""

    name: str
    file: str
    _: dataclasses.KW_ONLY
    old: str
    new: str
    tests: tuple[str, ...]


CARNET_TESTS = ("tests/applications/test_carnet.py", "tests/layers/test_group_conv_block.py")
OPTIMIZER_TESTS = ("tests/training/test_optimizers.py",)
FINETUNING_TESTS = ("tests/training/test_finetuning_run.py",)
REWRITING_TESTS = ("tests/graph/test_exact_rewriting.py",)
INTEGER_TESTS = ("tests/litert/test_integer.py", "tests/litert/test_scheme.py")
INT8_FILE_TESTS = ("tests/export/test_int8_files.py",)

MUTANTS = (
    Mutant(
        "a layer's padding",
        "keras_lite/applications/carnet.py",
        old='padding="same"',
        new='padding="valid"',
        tests=CARNET_TESTS,
    ),
    Mutant(
        "a bias dropped",
        "keras_lite/layers/group_conv_block.py",
        old='"pointwise",\n',
        new='"pointwise",\n            use_bias=False,\n',
        tests=CARNET_TESTS,
    ),
    Mutant(
        "two blocks swapped",
        "keras_lite/applications/carnet.py",
        old="stage > 1 and block == 1",
        new="stage > 1 and block == 2",
        tests=CARNET_TESTS,
    ),
    Mutant(
        "batch norm momentum",
        "keras_lite/layers/group_conv_block.py",
        old="momentum=0.9)",
        new="momentum=0.99)",
        tests=CARNET_TESTS,
    ),
    Mutant(
        "attention behind the 1x1 convolution",
        "keras_lite/layers/group_conv_block.py",
        old="        for layer in self.sublayers:\n",
        new="        *first, attention, pointwise = self.sublayers\n"
        "        for layer in (*first, pointwise, attention):\n",
        tests=CARNET_TESTS,
    ),
    Mutant(
        "one augmentation left out",
        "keras_lite/data/augmentation.py",
        old="        if self.horizontal_flip:\n",
        new="        if False:\n",
        tests=("tests/data/test_augmentation.py",),
    ),
    Mutant(
        "the crop's padding",
        "keras_lite/data/augmentation.py",
        old="(padding, padding), (padding, padding), (0, 0)))",
        new='(padding, padding), (padding, padding), (0, 0)), mode="edge")',
        tests=("tests/data/test_augmentation.py",),
    ),
    Mutant(
        "the test split read early",
        "keras_lite/training/engine.py",
        old='run.train(batches["train"], batches["valid"], callbacks, pool)',
        new='run.train(batches["train"], batches.get("test", batches["valid"]), callbacks, pool)',
        tests=("tests/training/test_engine.py",),
    ),
    Mutant(
        "the seed ignored on resume",
        "keras_lite/training/resume.py",
        old='"model": self._model.variables,',
        new='"model": self._model.weights,',  # without the states of the seed generators
        tests=("tests/training/test_resume.py",),
    ),
    Mutant(
        "a schedule one step late",
        "keras_lite/training/schedules.py",
        old="epoch * steps_per_epoch - 1 for",
        new="epoch * steps_per_epoch for",
        tests=("tests/training/test_schedules.py",),
    ),
    Mutant(
        "weight decay decoupled",
        "keras_lite/training/optimizers.py",
        old="gradient = ops.add(gradient, ops.multiply(variable, self.l2_regularization))",
        new="self.assign_sub(variable, ops.multiply(variable, learning_rate * self.l2_regularization))",
        tests=OPTIMIZER_TESTS,
    ),
    Mutant(
        "Lookahead's phase",
        "keras_lite/training/lookahead.py",
        old="steps_per_update % period)",
        new="0)",  # after the steps 5, 10, 15
        tests=OPTIMIZER_TESTS,
    ),
    Mutant(
        "Nesterov momentum left out",
        "keras_lite/training/optimizers.py",
        old="momentum=momentum, nesterov=nesterov,",
        new="momentum=momentum, nesterov=False,",
        tests=OPTIMIZER_TESTS,
    ),
    Mutant(
        "batch normalization fine-tuned",
        "keras_lite/training/finetuning.py",
        old="if self.freeze_batch_norm:",
        new="if False:",
        tests=FINETUNING_TESTS,
    ),
    Mutant(
        "the metric of the phase before",
        "keras_lite/training/compilation.py",
        old="self.accuracy.reset_state()",
        new="pass",
        tests=FINETUNING_TESTS,
    ),
    Mutant(
        "copies on both sides",
        "keras_lite/data/near_duplicates.py",
        old="group_of[np.isin(group_of, joined)] = joined.min()",
        new="pass",
        tests=("tests/data/test_class_folders.py",),
    ),
    Mutant(
        "the odd one of a sum left out",
        "keras_lite/graph/rewriting.py",
        old="            merged += pair\n",
        new="                merged += pair\n",
        tests=REWRITING_TESTS,
    ),
    Mutant(
        "another slope of leaky_relu",
        "keras_lite/graph/rectifiers.py",
        old='"leaky_relu", 0.2',
        new='"leaky_relu", 0.3',
        tests=REWRITING_TESTS,
    ),
    Mutant(
        "one minus x taken for x minus one",
        "keras_lite/graph/operations.py",
        old="(-1.0, constant)",
        new="(1.0, -constant)",
        tests=("tests/graph/test_flatten.py",),
    ),
    Mutant(
        "the longer side scaled",
        "keras_lite/data/geometry.py",
        old="if photo.height * width <= photo.width * height:",
        new="if photo.height * width >= photo.width * height:",
        tests=("tests/data/test_geometry.py",),
    ),
    Mutant(
        "the mean not in deviations",
        "keras_lite/data/preprocessing.py",
        old="np.tile(np.asarray(self.mean) / np.asarray(self.std), width)",
        new="np.tile(np.asarray(self.mean), width)",
        tests=("tests/data/test_preprocessing.py",),
    ),
    Mutant(
        "CutMix never drawn beside mixup",
        "keras_lite/data/mixing.py",
        old="kind = self._kinds[int(coin * len(self._kinds))]",
        new="kind = self._kinds[0]",
        tests=("tests/data/test_mixing.py",),
    ),
    Mutant(
        "a constant output correlated",
        "keras_lite/quantization/closeness.py",
        old="first, second = expected - expected.mean(0), received - received.mean(0)",
        new="first, second = expected, received",
        tests=("tests/export/test_tflite.py::test_comparison",),
    ),
    Mutant(
        "a zero point halfway rounded to even",
        "keras_lite/litert/scheme.py",
        old="np.floor(LOWEST - lowest / scale + 0.5)",
        new="np.rint(LOWEST - lowest / scale)",
        tests=INTEGER_TESTS,
    ),
    Mutant(
        "halves of parts rounded down",
        "keras_lite/litert/integer/rounding.py",
        old="+ 128) >> 8",
        new="+ 127) >> 8",
        tests=INTEGER_TESTS,
    ),
    Mutant(
        "a bias that batch normalization does not scale",
        "keras_lite/quantization/aware/tf_mot/wrappers.py",
        old="norm.moving_mean.numpy() * factor",
        new="norm.moving_mean.numpy()",
        tests=INT8_FILE_TESTS,
    ),
)

FLAGS = command_line.new_flags()


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Try the named changes, or all."""
    names = [mutant.name for mutant in MUTANTS]
    if unknown := [name for name in positional if name not in names]:
        raise InputError(f"Expected names out of: {'; '.join(names)}; received {unknown[0]!r}.")
    chosen = [mutant for mutant in MUTANTS if not positional or mutant.name in positional]
    rows = []
    for number, mutant in enumerate(chosen, start=1):
        print(f"{number}/{len(chosen)} {mutant.name} ...", flush=True)
        rows.append((mutant.name, find_catcher(mutant) or "NOT CAUGHT"))
    print(text_table([("change", "caught by"), *rows]))
    survivors = [name for name, catcher in rows if catcher == "NOT CAUGHT"]
    if survivors:
        raise InputError(f"Expected every change to be caught by a test; these are not: {', '.join(survivors)}.")


def find_catcher(mutant: Mutant) -> str | None:
    """Return the test that fails first in a copy with the change, or `None` if all pass."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("keras_lite", "tests", "recipes", "tools", "checks", "ledger", "weights"):
            shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPOSITORY / "pyproject.toml", copy)
        _change(copy / mutant.file, mutant)
        finished = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--no-header", *mutant.tests],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy), "KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            text=True,
            check=False,
        )
    if finished.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", finished.stdout, re.MULTILINE)
    if finished.returncode != 1 or not failed:
        raise InputError(f"Expected the tests to run on {mutant.name!r}, received: {finished.stdout[-500:]}")
    return failed[1]


def _change(path: Path, mutant: Mutant) -> None:
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise InputError(f"Expected {mutant.old!r} once in {mutant.file}, received {text.count(mutant.old)} times.")
    path.write_text(text.replace(mutant.old, mutant.new))
