"""What the example app makes of a model's numbers, compiled and run, beside what they mean by NumPy."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.tensorflow_only,
    pytest.mark.skipif(shutil.which("javac") is None, reason="needs a JDK: there is no javac"),
]
JAVA = Path(__file__).parents[2] / "examples/android/src/main/java/com/example/keraslite"


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    sources = [JAVA / "ModelOutputs.java", Path(__file__).with_name("RunOutputs.java")]
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", folder, *sources], check=True)

    def run(*words):
        command = ["java", "-cp", folder, "RunOutputs", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize(
    ("output", "names", "numbers", "meaning", "shown"),
    [
        ("logits", "a,b,c", [0, np.log(3), 0], [0.2, 0.6, 0.2], [" 60.0%  b", " 20.0%  a"]),
        ("probabilities", "a,b,c", [0.1, 0.2, 0.7], [0.1, 0.2, 0.7], [" 70.0%  c", " 20.0%  b"]),
        ("sigmoid", "cat,dog", [0.25], [0.75, 0.25], [" 75.0%  cat", " 25.0%  dog"]),
        ("sigmoid", "dog", [0.25], [0.25], [" 25.0%  dog"]),
        ("sigmoid", "a,b,c", [0.5, 0.75, 1], [0.5, 0.75, 1], ["100.0%  c", " 75.0%  b", " 50.0%  a"]),
        ("sigmoid", "a,b,c", [0.1, 0.4, 0.2], [0.1, 0.4, 0.2], ["no label reaches 50%", " 40.0%  b", " 20.0%  c"]),
        ("regression", "x,y,z", [-2.5, 7, 0], [-2.5, 7, 0], ["-2.5000  x", "7.0000  y", "0.0000  z"]),
        ("embedding", "", [3, 4, 0, 0, 12], [3, 4, 0, 0, 12],
         ["5 numbers of norm 13.0000", "3.0000", "4.0000", "0.0000", "0.0000"]),
    ],
)  # fmt: skip
def test_the_app_shows_what_the_numbers_mean(java, output, names, numbers, meaning, shown):
    finished = java(output, names, 2, *numbers)
    assert finished.returncode == 0, finished.stderr
    first, *lines = finished.stdout.splitlines()
    np.testing.assert_allclose(np.array(first.split(), float), meaning, rtol=1e-6)
    assert lines == shown


def test_names_that_do_not_fit_are_refused(java):
    finished = java("logits", "a,b", 2, 1, 2, 3)
    assert finished.returncode != 0
    assert "Expected 3 names, received 2" in finished.stderr
