"""Trained weights: PyTorch files, Keras model files of any version, and starting a network from its plain form.

`load_model` opens whole Keras models, `load_checkpoint` puts PyTorch weights into a network, and
`keras-lite convert` converts files. `register` makes a family of your own known to all of these.
"""

from keras_lite.checkpoints.identification import Candidate, nearest
from keras_lite.checkpoints.keras_files import load_model
from keras_lite.checkpoints.loading import family_of, load_checkpoint, load_torch_state_dict, to_torch_state_dict
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.checkpoints.torch_files import read_state_dict, write_state_dict
from keras_lite.checkpoints.warm_start import WarmStart, warm_start

__all__ = [
    "Call",
    "Candidate",
    "Family",
    "Names",
    "WarmStart",
    "family_of",
    "load_checkpoint",
    "load_model",
    "load_torch_state_dict",
    "nearest",
    "read_state_dict",
    "register",
    "to_torch_state_dict",
    "warm_start",
    "write_state_dict",
]
