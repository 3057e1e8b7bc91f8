"""The process that `keras_lite.quantization.aware.finetuning_process` trains in.

    python finetuning_worker.py FOLDER STATE.npz

FOLDER holds model.keras, the quantized model (start.keras; of TF-MOT its weights, start.npz) and training.pickle
(batches, judges, arguments of `finetune`); it gets end.npz and epochs.json, or error.json.
"""

import json
import os
import pickle
import sys
import threading
import traceback
from pathlib import Path

import keras
import numpy as np

from keras_lite.checkpoints import load_model
from keras_lite.files import write_json
from keras_lite.quantization import finetune, quantize_aware


def main(folder: Path, state: Path) -> None:
    """Train as the folder says."""
    try:
        batches, judges, arguments = pickle.loads((folder / "training.pickle").read_bytes())
        model = load_model(folder / "model.keras")
    except Exception as error:
        # Classes and functions of the caller's own that are known in its process alone.
        raise pickle.UnpicklingError(str(error)) from error
    if (folder / "start.keras").is_file():
        quantized = keras.saving.load_model(folder / "start.keras")
    else:
        quantized = quantize_aware(model, engine="tf_mot", verbose=arguments.get("verbose", 0))
        with np.load(folder / "start.npz") as start:
            quantized.set_weights([start[f"arr_{index}"] for index in range(len(start))])
    report = finetune(quantized, batches, model, state_path=state, judges=judges, **arguments)
    np.savez(folder / "end.npz", *quantized.get_weights())
    write_json(folder / "epochs.json", report.to_dict())


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(sys.argv[1])
    try:
        main(folder, Path(sys.argv[2]))
    except Exception as error:
        if type(error).__name__ not in ("InputError", "UnpicklingError"):
            traceback.print_exc()
        (folder / "error.json").write_text(json.dumps([type(error).__name__, str(error)]))
        sys.exit(1)
