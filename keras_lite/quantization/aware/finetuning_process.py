"""Fine-tuning in a process of its own, whose death without a message is noticed and survived.

TensorFlow with oneDNN can end its process while it trains some networks. Here another process trains: if it dies, one
line says so, and training goes on after what was saved, without oneDNN; if it dies again, the model stays as it
was.
"""

import dataclasses
import functools
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data import Batches
from keras_lite.errors import InputError
from keras_lite.graph import flatten
from keras_lite.quantization.aware import finetuning_worker
from keras_lite.quantization.aware.epoch_judge import Epochs
from keras_lite.quantization.aware.finetuning import finetune
from keras_lite.quantization.aware.tf_mot.wrapping import is_wrapped, mark_finetuned

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def finetune_apart(
    quantized: Any,
    model: keras.Model,
    batches: Batches,
    judges: np.ndarray,
    *,
    state_path: str | os.PathLike | None = None,
    verbose: int = 0,
    **arguments: Any,
) -> Epochs:
    """Fine-tune a quantized model in another process, and give it the weights that were kept.

    What can't go to another process, such as a source of images that is defined in the caller's own script, is trained
    on in this one. So is everything on JAX and PyTorch, which don't end so, and where a second process would find the
    memory of a GPU taken.

    Args:
        quantized: What `quantize_aware` returned; of TF-MOT with ranges.
        model: The float model, which teaches.
        batches: Training images and labels.
        judges: Preprocessed images that neither train nor set ranges.
        state_path: A file, `*.npz`, that takes the state after each epoch.
        verbose: 1 prints what `finetune` does, and if the other process dies.
        **arguments: Further arguments of `finetune`.

    Returns:
        What `finetune` returns; with a note where the training died.

    Raises:
        InputError: If `finetune` raises it.
        RuntimeError: If it raises something else, which is printed.
    """
    arguments |= {"verbose": verbose}
    here = functools.partial(
        finetune, quantized, batches, model, state_path=state_path, judges=judges, **arguments
    )  # fmt: skip
    if keras.backend.backend() != "tensorflow" and not is_wrapped(quantized):
        return here()
    try:
        content = pickle.dumps((batches, judges, arguments))
    except (pickle.PicklingError, AttributeError, TypeError):
        return here()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "training.pickle").write_bytes(content)
        flatten(model).save(folder / "model.keras")
        if is_wrapped(quantized):
            np.savez(folder / "start.npz", *quantized.get_weights())
        else:
            quantized.save(folder / "start.keras")
        state = folder / "state.npz" if state_path is None else Path(state_path).resolve()
        note = ""
        # Without oneDNN already, another try would be the same.
        tries = [{}] if os.environ.get(_ONEDNN) == "0" else [{}, {_ONEDNN: "0"}]
        for environment in tries:
            try:
                death = _run(folder, state, environment)
            except pickle.UnpicklingError:
                return here()
            if death is None:
                break
            note = f"fine-tuning ended without a message ({death}): "
            last = environment is tries[-1]
            note += "the model stays as it was" if last else "it goes on after what was saved, without oneDNN"
            if verbose:
                print(note, flush=True)
        else:
            return Epochs(arguments.get("output") or "logits", len(judges), None, [], 0, note)
        found = dataclasses.replace(Epochs.from_dict(json.loads((folder / "epochs.json").read_text())), note=note)
        with np.load(folder / "end.npz") as weights:
            quantized.set_weights([weights[f"arr_{index}"] for index in range(len(weights))])
    if found.kept and is_wrapped(quantized):
        mark_finetuned(quantized)
    return found


def _run(folder: Path, state: Path, environment: dict[str, str]) -> str | None:
    """Train in another process; return None, or what it died of."""
    (folder / "error.json").unlink(missing_ok=True)
    command = [sys.executable, "-P", finetuning_worker.__file__, str(folder), str(state)]
    # The caller's modules are found there too.
    paths = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, sys.path)])
    own = {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": paths}
    # The other end of this pipe closes with this process, however it ends, and so ends the other one.
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | own | environment) as process:
        try:
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if (folder / "error.json").is_file():
        kind, text = json.loads((folder / "error.json").read_text())
        raise {"InputError": InputError, "UnpicklingError": pickle.UnpicklingError}.get(kind, RuntimeError)(text)
    if code == 0:
        return None
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
