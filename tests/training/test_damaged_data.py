"""Files that are damaged while a run reads them."""

import keras
import numpy as np
import pytest
import tiny
from PIL import Image

from keras_lite.data import open_image_folder
from keras_lite.errors import InputError
from keras_lite.training import Options, fit


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("valid", 2), ("test", 2)):
        for name in tiny.CLASSES:
            for number in range(count):
                path = tmp_path / "photos" / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (9, 10, 3), dtype="uint8")).save(path)
    return tmp_path / "photos"


class DamageAtEnd(keras.callbacks.Callback):
    """Cuts a file off at the end of an epoch."""

    def __init__(self, path, epoch):
        super().__init__()
        self._path = path
        self._epoch = epoch

    def get_state(self):
        return {}

    def set_state(self, state):
        pass

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self._epoch:
            self._path.write_bytes(self._path.read_bytes()[:-40])


@pytest.mark.slow_elsewhere
def test_an_image_unreadable_in_the_third_epoch_ends_the_run_which_goes_on_when_it_is_mended(folder, tmp_path):
    def data():
        return open_image_folder(folder, (8, 8), cache_bytes=0)  # read anew in every epoch

    options = Options.of(tiny.RECIPE, epochs=3)
    photo = folder / "train" / "b" / "3.png"
    whole = photo.read_bytes()
    with pytest.raises(InputError) as caught:
        fit(tiny.RECIPE, data(), options, tmp_path / "run", callbacks=[DamageAtEnd(photo, epoch=1)])
    assert f"Expected an image in {photo}, which can't be read" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 3  # names, and two epochs
    assert not (tmp_path / "run" / "result.json").exists()
    with pytest.raises(InputError, match=str(photo)):  # still damaged: said before anything is trained
        data()
    photo.write_bytes(whole)
    mended = fit(tiny.RECIPE, data(), options, tmp_path / "run", callbacks=[DamageAtEnd(photo, epoch=99)])
    undisturbed = fit(tiny.RECIPE, data(), options, tmp_path / "undisturbed")
    assert mended.last == undisturbed.last
    assert mended.test == undisturbed.test
    assert mended.epochs == 3
