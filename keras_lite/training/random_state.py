"""The generator of random numbers that a backend has besides Keras' seed generators.

PyTorch's is the only one that training draws from: a Dropout layer without a seed uses it.
"""

import keras
import numpy as np


def begin_epoch(seed: int, epoch: int) -> None:
    """Set the generator to the state that an epoch begins with."""
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))


def get_states() -> dict[str, np.ndarray]:
    """Return the state of the generator of each device; nothing on backends without one."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = {"cpu": torch.get_rng_state()}
    for index in range(torch.cuda.device_count()):
        states[f"cuda{index}"] = torch.cuda.get_rng_state(index)
    return {name: state.numpy() for name, state in states.items()}


def set_states(states: dict[str, np.ndarray]) -> None:
    """Set the state that `get_states` returned."""
    for name, state in states.items():
        import torch

        if name == "cpu":
            torch.set_rng_state(torch.from_numpy(state))
        elif (index := int(name.removeprefix("cuda"))) < torch.cuda.device_count():
            torch.cuda.set_rng_state(torch.from_numpy(state), index)
