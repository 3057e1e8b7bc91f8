"""What the checks of the web page go by, and what they say where a program is missing."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from checks import verify_mediapipe, verify_web
from checks.odd_photos import write_odd_photos

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_odd_photos(tmp_path_factory.mktemp("photos"))


def test_odd_photos_are_what_they_are_called(photos):
    assert len(photos) >= 30
    assert len({path.suffix for path in photos.values()}) == 6
    for turn in range(1, 9):
        with Image.open(photos[f"jpeg turned by EXIF {turn}"]) as image:
            assert image.getexif()[0x0112] == turn
    modes = {}
    for name, path in photos.items():
        with Image.open(path) as image:
            modes[name] = image.mode
    assert {"L", "LA", "RGBA", "P", "1", "I;16", "CMYK", "RGB"} <= set(modes.values())
    assert (modes["gray png of 16 bits"], modes["png of one bit"]) == ("I;16", "1")
    with Image.open(photos["png with a gamma of 1"]) as image:
        assert image.info["gamma"] == 1


@pytest.mark.parametrize("name", ["jpeg in Display P3", "png in Display P3", "jpeg in CMYK with a profile"])
def test_profiles_tell_of_other_colors(photos, name):
    with Image.open(photos[name]) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        managed = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        plain = image.convert("RGB")
    assert np.abs(np.asarray(managed).astype(int) - np.asarray(plain)).max() > 30


def test_a_missing_program_is_said(run_tool, monkeypatch, assert_one_line_error):
    monkeypatch.setattr(verify_web, "missing_for_browser", lambda: "there is no Chromium")
    finished = run_tool(verify_web)
    assert finished.returncode == 0
    assert "SKIPPED: nothing was run, because there is no Chromium." in finished.stdout
    assert_one_line_error(run_tool(verify_mediapipe), "--python")
