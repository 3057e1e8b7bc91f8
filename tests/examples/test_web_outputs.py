"""What the web page makes of a model's numbers, run in Node, beside what they mean by NumPy."""

from pathlib import Path

import numpy as np
import pytest

from checks.web_runs import missing_for_node, modules_of, run_script
from keras_lite.data.model_info import OUTPUTS
from keras_lite.pipelines.web import PAGE

pytestmark = [
    pytest.mark.tensorflow_only,
    pytest.mark.skipif(bool(missing_for_node()), reason=missing_for_node()),
]
# Kind of output, names, numbers; their meaning, the sentence, the names that are shown with numbers.
CASES = [
    ("logits", "abc", [0, np.log(3), 0], [0.2, 0.6, 0.2], "b, 60.0%", "ba"),
    ("logits", "ab", [1000, 1001], [0.268941, 0.731059], "b, 73.1%", "ba"),
    ("probabilities", "abc", [0.1, 0.2, 0.7], [0.1, 0.2, 0.7], "c, 70.0%", "cb"),
    ("sigmoid", "ab", [0.25], [0.75, 0.25], "a, 75.0%", "ab"),
    ("sigmoid", "a", [0.25], [0.25], "a, 25.0%", "a"),
    ("sigmoid", "abc", [0.5, 0.75, 1], [0.5, 0.75, 1], "c, 100.0%; b, 75.0%; a, 50.0%", "cba"),
    ("sigmoid", "abc", [0.1, 0.4, 0.2], [0.1, 0.4, 0.2], "No label reaches 50%.", "bc"),
    ("regression", "xyz", [-2.5, 7, 0], [-2.5, 7, 0], "x -2.50000, y 7.00000, z 0.00000", "xyz"),
    ("embedding", "", [3, 4, 0, 0, 12], [3, 4, 0, 0, 12],
     "5 numbers of norm 13.00: 3.000, 4.000, 0.000, 0.000, ...", ""),
]  # fmt: skip


def test_the_page_shows_what_the_numbers_mean(tmp_path):
    cases = [{"output": case[0], "names": list(case[1]), "numbers": case[2], "count": 2} for case in CASES]
    cases.append({"output": "logits", "names": ["a", "b"], "numbers": [1, 2, 3], "count": 2})
    job = {"modules": str(modules_of(PAGE, tmp_path / "modules")), "cases": cases}
    *found, refused = run_script(Path(__file__).with_name("run_outputs.mjs"), job)
    for (output, _, _, meaning, sentence, shown), result in zip(CASES, found, strict=True):
        np.testing.assert_allclose(result["meaning"], meaning, rtol=1e-5)
        assert result["sentence"] == sentence
        assert "".join(item["name"] for item in result["items"]) == shown
        assert result["shares"] == (output not in ("regression", "embedding"))
    assert refused == {"problem": "model.json names 2 classes, but the model returns 3 numbers."}
    # `keras-lite web` makes no page for the others.
    assert {case[0] for case in CASES} == set(OUTPUTS) - {"image", "several"}
