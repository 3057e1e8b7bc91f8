"""From a model to the folder of a web page, and the page over http."""

import json
import re
import urllib.error
import urllib.request

import numpy as np
import pytest
from small_classifier import CLASSES, PREPROCESSING, color_images, scramble, tiny

from checks.web_runs import missing_for_node, outputs_in_node, served
from keras_lite.cli import export, web
from keras_lite.data import ModelInfo, read_model_info, write_model_info
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.pipelines import finetune, make_web_page
from keras_lite.pipelines import web as pipeline
from keras_lite.pipelines.web import PAGE, WebOptions
from keras_lite.runtime import examine
from keras_lite.runtime.litert_js import litert_js
from keras_lite.runtime.litert_worker import to_float, to_model_type
from keras_lite.training import RunFolder

pytestmark = [pytest.mark.tensorflow_only, pytest.mark.filterwarnings("ignore:The uint8 input")]
RUNTIME = {"core.js": b"the runtime", "litert_wasm_internal.wasm.gz": b"\x1f\x8b numbers"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder with a quantized model, and what tells of a file with int8 ends."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "photos")
    model = scramble(tiny(None))
    info = ModelInfo("tiny", CLASSES, PREPROCESSING, "logits")
    run.quantized.mkdir(parents=True)
    model.save(run.model)
    write_model_info(run.model, info)
    images, _ = color_images(24, seed=0)
    file = run.quantized / "tiny_uint8.tflite"
    to_tflite(model, file, "int8", calibration=images, info=info, ends="uint8")
    other = file.with_name("tiny_int8.tflite")
    other.write_bytes(file.read_bytes())
    other.with_suffix(".json").write_text(file.with_suffix(".json").read_text().replace('"uint8"', '"int8"'))
    return run


@pytest.fixture
def runtime(monkeypatch):
    monkeypatch.setattr(pipeline, "litert_js", lambda: RUNTIME)


def test_a_run_becomes_a_folder_of_static_files(run_tool, runtime, folder):
    finished = run_tool(web, folder.path)
    assert finished.returncode == 0, finished.stderr
    assert f"web page: {folder.web}" in finished.stdout
    page = {path.relative_to(folder.web).as_posix() for path in folder.web.rglob("*") if path.is_file()}
    assert {"index.html", "page.css", "page.js", "offline.js", "model.tflite", "model.json"} <= page
    assert {"litert/core.js", "litert/litert_wasm_internal.wasm.gz", "litert/NOTICE.txt"} <= page
    assert (folder.web / "model.tflite").read_bytes() == (folder.quantized / "tiny_uint8.tflite").read_bytes()
    assert read_model_info(folder.web / "model.tflite").class_names == CLASSES
    assert json.loads((folder.web / "model.json").read_text())["input_tensor"]["dtype"] == "uint8"
    # Each file that another one names is there, and no address leads out.
    for file in PAGE.glob("*.js"):
        assert set(re.findall(r'"\./(\w+\.js)"', file.read_text())) <= page
    for file in (path for path in PAGE.iterdir() if path.suffix in (".html", ".css", ".js")):
        assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+/", file.read_text()), file


def test_a_file_becomes_one_beside_it_or_elsewhere(runtime, folder, tmp_path):
    file = folder.quantized / "tiny_uint8.tflite"
    assert make_web_page(WebOptions(file)) == folder.quantized / "web"
    assert make_web_page(WebOptions(file, tmp_path / "there")) == tmp_path / "there"
    assert (tmp_path / "there/model.tflite").read_bytes() == file.read_bytes()


def test_what_is_missing_or_wrong_is_one_line(run_tool, runtime, folder, tmp_path, assert_one_line_error):
    for model, *said in (
        (folder.quantized / "tiny_int8.tflite", "uint8 or float32 at its ends", "with int8", "--ends uint8"),
        (tmp_path / "no.tflite", "no.tflite", "does not exist"),
        (tmp_path, "model.json", "does not exist"),
    ):
        assert_one_line_error(run_tool(web, model), *said)
    mask = tmp_path / "mask.tflite"
    mask.write_bytes(b"")
    write_model_info(mask, ModelInfo("mask", [], PREPROCESSING, "image"))
    assert_one_line_error(run_tool(web, mask), "one row of numbers", "outputs an image")
    write_model_info(mask, ModelInfo("mask", CLASSES, PREPROCESSING, "logits"))
    assert_one_line_error(run_tool(web, mask), "Expected input_tensor and output_tensor in", "received none")
    output = {"shape": [1, 8, 8, 3], "dtype": "uint8"}
    write_model_info(mask, ModelInfo("mask", CLASSES, PREPROCESSING, "logits"), output_tensor=output)
    assert_one_line_error(run_tool(web, mask), "one row of numbers", "outputs a map")
    bare = RunFolder(tmp_path / "bare")
    bare.path.mkdir()
    write_model_info(bare.model, ModelInfo("tiny", CLASSES, PREPROCESSING, "logits"))
    assert_one_line_error(run_tool(web, bare.path), "tiny_uint8.tflite", f"keras-lite quantize {bare.path}")
    assert_one_line_error(run_tool(web, folder.path, "--port", "80"), "--port", "--serve")
    assert_one_line_error(run_tool(web), "one RUN")
    (tmp_path / "file").write_text("")
    assert_one_line_error(run_tool(web, folder.path, "--output_dir", tmp_path / "file"), "can be written to")


def test_export_gives_a_file_for_the_page(run_tool, folder, tmp_path, assert_one_line_error):
    finished = run_tool(export, folder.model, "--ends", "uint8")
    assert_one_line_error(finished, "ends='uint8' with an int8 file")
    output = tmp_path / "some.tflite"
    given = ("--precision", "int8", "--data_dir", "shapes", "--images", "16", "--output", output)
    finished = run_tool(export, folder.model, "--ends", "uint8", *given)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(output.with_suffix(".json").read_text())["output_tensor"]["dtype"] == "uint8"


def test_fine_tuning_says_what_makes_the_page_later(folder, monkeypatch, recwarn):
    def refuse():
        raise InputError("Expected npm, received no such program.")

    monkeypatch.setattr(pipeline, "litert_js", refuse)
    finetune._write_web_page(folder, verbose=1)
    [warning] = [str(each.message) for each in recwarn if "web page" in str(each.message)]
    assert "Expected npm" in warning
    assert f"`keras-lite web {folder.path}` makes it later" in warning


def test_the_server_tells_what_files_are(runtime, folder):
    page = make_web_page(WebOptions(folder.path))
    with served(page) as port:
        here = f"http://127.0.0.1:{port}"
        for name, kind in {
            "": "text/html",
            "page.js": "text/javascript",
            "page.css": "text/css",
            "model.json": "application/json",
            "model.tflite": "application/octet-stream",
            "litert/litert_wasm_internal.wasm.gz": "application/gzip",
        }.items():
            with urllib.request.urlopen(f"{here}/{name}") as answer:
                assert answer.headers.get_content_type() == kind
                assert answer.headers["Content-Encoding"] is None
                assert answer.headers["Cache-Control"] == "no-cache"
                assert answer.read() == (page / (name or "index.html")).read_bytes()
        for path in ("/nothing", "/../quantized/tiny_int8.tflite"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(here + path)


def test_serving_says_where_until_it_is_stopped(run_tool, runtime, folder, monkeypatch, assert_one_line_error):
    with pipeline.web_server(folder.path) as taken:
        busy = run_tool(web, folder.path, "--serve", "--port", taken.server_port)
    assert_one_line_error(busy, "in use")

    def stop(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.ThreadingHTTPServer, "serve_forever", stop)
    finished = run_tool(web, folder.path, "--serve", "--port", "0")
    assert finished.returncode == 130
    assert re.search(r"^http://localhost:\d+/ ", finished.stdout, re.MULTILINE)


def test_the_server_listens_to_this_machine_alone(folder):
    with pipeline.web_server(folder.path) as server:
        assert server.server_address[0] == "127.0.0.1"


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    """A page with the real LiteRT.js, where that can be had."""
    if missing_for_node():
        pytest.skip(missing_for_node())
    try:
        litert_js()
    except InputError as error:
        pytest.skip(str(error))
    return make_web_page(WebOptions(folder.path, tmp_path_factory.mktemp("pages") / "web"))


def test_the_model_outputs_in_node_what_litert_does(page, tmp_path):
    images, _ = color_images(12, seed=3)
    details = json.loads((page / "model.json").read_text())
    tensors = [
        {"dtype": each["dtype"], "quantization": (each["scale"], each["zero_point"])}
        for each in (details["input_tensor"], details["output_tensor"])
    ]
    found = outputs_in_node(page, to_model_type(images, tensors[0]), tmp_path)
    assert len(np.unique(found)) > 10
    np.testing.assert_array_equal(to_float(found, tensors[1]), examine(page / "model.tflite", images=images).outputs)


def test_another_model_than_the_described_one_is_refused(page, tmp_path):
    copy = make_web_page(WebOptions(page / "model.tflite", tmp_path / "web"))
    content = bytearray((copy / "model.tflite").read_bytes())
    content[-1] ^= 1
    (copy / "model.tflite").write_bytes(content)
    with pytest.raises(InputError, match="not the file that model"):
        outputs_in_node(copy, np.zeros((1, 32, 32, 3), "uint8"), tmp_path)
