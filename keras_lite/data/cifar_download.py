"""CIFAR-10 and CIFAR-100 as Keras downloads them."""

import keras
import numpy as np

from keras_lite.data.sources import ArraySource
from keras_lite.errors import InputError

# In the order of the labels, as the official files have them.
_NAMES = {
    "cifar10": "airplane automobile bird cat deer dog frog horse ship truck",
    "cifar100": (
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
        "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
        "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard "
        "lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear "
        "pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark "
        "shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone "
        "television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
    ),
}
CLASS_NAMES = {name: names.split() for name, names in _NAMES.items()}


def download_cifar(name: str, verbose: int = 0) -> dict[str, ArraySource]:
    """Open CIFAR-10 or CIFAR-100 (with its 100 fine classes), downloaded by Keras into its cache where needed.

    Args:
        name: `"cifar10"` or `"cifar100"`.
        verbose: 1 prints that this may take a while; what Keras prints of a download is shown in any case.

    Returns:
        The sources "train" and "test" of 32x32 images.

    Raises:
        InputError: If the download fails.

    Example:

    ```python
    sources = download_cifar("cifar100")
    ```
    """
    if verbose:
        print(f"Opening {name} from Keras' cache, or downloading it", flush=True)
    try:
        splits = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras meets a failed download with a bare Exception, damaged files with any
        raise InputError(
            f"Expected to download {name} with Keras, which failed ({' '.join(str(error).split())}); "
            "give the folder of the official python files as --data_dir instead."
        ) from error
    return {
        split: ArraySource(images, np.ravel(labels), CLASS_NAMES[name])
        for split, (images, labels) in zip(("train", "test"), splits, strict=True)
    }
