# make demo      train, quantize, export and verify CARNet18 on a built-in data set
# make test      lint and the tests, on TensorFlow, JAX and PyTorch
# make test-all  the slow tests too, with as many threads as there are processors
# make report    RESULTS.md and its plots, from the files in results/
# make arm64     get QEMU and a Python for ARM64 (Debian and Ubuntu; 110 MB)
# make verify-arm64  int8 files on emulated ARM64 processors against this machine, with what `make arm64` got
# make same-answers  the networks with kept weights on x86, on emulated ARM64 processors, in Node and in Chromium, with
#                what `make arm64` and `make test-web` got
# make verify-int8  convert every published network to int8 and check the files (about a minute each; resumable)
# make verify-others  models of keras.applications, and of KerasHub and KerasCV where they are installed, as float32
#                and int8 files: results/other_models.md (about a minute each; resumable)
# make verify-floats  float32 files of every network against Keras and the stock converter, and the same bytes of float32
#                and int8 files on every backend (hours; resumable)
# make verify-graph  int8 files written without TensorFlow's converter against the converter's, to the bit (hours;
#                resumable)
# make verify-aware CIFAR=FOLDER  train int8 networks on the three backends from one start, and compare (resumable)
# make fuzz-export  export 200 small random models, dead channels among them (about half an hour; resumable)
# make fuzz-layers  export 500 small random models of the layers in LAYERS.md (about half an hour; resumable)
# make kill-test  kill keras-lite quantize, export and finetune at random moments, and run them again (resumable)
# make test-web  the web page in headless Chromium (Debian's package chromium, and Node.js with npm, must be there)
# make verify-web  how the web page reads odd photos, against Python, and what a visit takes, with the same programs
# make verify-mediapipe  whether MediaPipe reads the files with uint8 ends as this package does (in an environment of
#                its own, .mediapipe)
# make without-tensorflow  train, export, fine-tune to int8 and evaluate where TensorFlow is not installed, on JAX and
#                on PyTorch
# make mutants   change the code in ways that a test must catch
#
# Everything runs in an environment of its own, .venv, that is made first.
#   PYTHON            the Python to make it with (3.11 or later)
#   DATA              real images for verify-int8, verify-floats, verify-graph, verify-web and same-answers; without it
#                     the built-in shapes
#   CIFAR             for verify-aware: the folder of CIFAR-100's python files
#   COMPARED          for without-tensorflow: an environment with TensorFlow to compare sizes with, instead of a new one
#   TORCH_INDEX_URL   where to take PyTorch from, for example the index of its CPU builds

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX_URL ?=
BARE ?= .without_tensorflow
COMPARED ?= $(BARE)/quantization
WEB := .web
MEDIAPIPE := .mediapipe

# TensorFlow's notes about its own start help nobody here.
export TF_CPP_MIN_LOG_LEVEL ?= 3

BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP := $(BIN)/python $(INSTALL)
# Neighbors in a file share what is made once, so each process gets a stretch of the tests, and takes over from the other.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

.PHONY: demo test test-all test-web verify-web verify-mediapipe lint report verify-int8 verify-floats verify-graph verify-aware fuzz-export kill-test arm64 verify-arm64 same-answers without-tensorflow mutants verify-others fuzz-layers clean

demo: $(VENV)/.demo
	$(BIN)/python tools/demo.py

# Tests are many small calls, two at a time: more threads only wait for each other.
test: export OMP_NUM_THREADS := 1
test: export OPENBLAS_NUM_THREADS := 1
test: export TF_NUM_INTRAOP_THREADS := 1
test: export TF_NUM_INTEROP_THREADS := 1
test: export XLA_FLAGS := --xla_cpu_multi_thread_eigen=false
test: lint
	KERAS_BACKEND=tensorflow $(PYTEST) -m "not slow"
	KERAS_BACKEND=jax $(PYTEST) -m "not slow and not tensorflow_only"
	KERAS_BACKEND=torch $(PYTEST) -m "not slow and not tensorflow_only"

test-all: lint
	KERAS_BACKEND=tensorflow $(PYTEST)
	KERAS_BACKEND=jax $(PYTEST) -m "not tensorflow_only"
	KERAS_BACKEND=torch $(PYTEST) -m "not tensorflow_only"

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

report: $(VENV)/.demo
	$(BIN)/python tools/report.py

arm64: $(VENV)/.demo
	tools/setup_arm64.sh .arm64 $(BIN)/python

verify-arm64: $(VENV)/.demo
	$(BIN)/python tools/verify_arm64.py

same-answers: $(VENV)/.demo $(WEB)/.complete
	$(BIN)/python tools/same_answers.py $(if $(DATA),--data_dir $(DATA))

verify-int8: $(VENV)/.demo
	$(BIN)/python tools/verify_int8.py $(if $(DATA),--data_dir $(DATA))

verify-others: $(VENV)/.demo
	$(BIN)/python tools/verify_others.py --page results/other_models.md

verify-floats: $(VENV)/.test
	$(BIN)/python tools/same_bytes.py
	$(BIN)/python tools/verify_floats.py $(if $(DATA),--data_dir $(DATA))

verify-graph: $(VENV)/.demo
	$(BIN)/python tools/verify_graph.py $(if $(DATA),--data_dir $(DATA))

verify-aware: $(VENV)/.test
	$(BIN)/python tools/verify_aware.py --cifar_dir $(CIFAR)

fuzz-export: $(VENV)/.demo
	$(BIN)/python tools/fuzz_export.py blocks

fuzz-layers: $(VENV)/.demo
	$(BIN)/python tools/fuzz_export.py layers --models 500

kill-test: $(VENV)/.demo
	$(BIN)/python tools/kill_test.py

test-web: $(VENV)/.test $(WEB)/.complete
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -rs tests/examples/test_web_page.py

verify-web: $(VENV)/.demo $(WEB)/.complete
	$(BIN)/python tools/verify_web.py $(if $(DATA),--data_dir $(DATA))

verify-mediapipe: $(VENV)/.demo $(MEDIAPIPE)/.complete
	$(BIN)/python tools/verify_mediapipe.py --python $(MEDIAPIPE)/bin/python

without-tensorflow: $(BARE)/jax/.complete $(BARE)/torch/.complete $(if $(filter $(BARE)/%,$(COMPARED)),$(COMPARED)/.complete)
	$(BARE)/jax/bin/python tools/without_tensorflow.py --environments $(BARE) --compared $(COMPARED)

mutants: $(VENV)/.test
	$(BIN)/python tools/mutants.py

clean:
	rm -rf $(VENV) $(BARE) $(WEB) $(MEDIAPIPE) build dist .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Expected Python 3.11 or later, received " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml setup.py constraints.txt
	@echo "Installing TensorFlow and the quantization tools (a few minutes, once) ..."
	$(PIP) --editable ".[quantization]"
	touch $@

# PyTorch and torchvision come first, so that PyTorch's own index is asked for them alone.
$(VENV)/.test: $(VENV)/.demo
	@echo "Installing JAX, PyTorch and the development tools (a few minutes, once) ..."
	$(PIP) $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) torch torchvision
	$(PIP) --editable ".[quantization,heif,jax,torch,dev]"
	touch $@

# Playwright drives Chromium; its own browsers are not fetched.
$(WEB)/.complete: Makefile
	npm install --silent --no-save --prefix $(WEB) playwright-core@1.65.1
	touch $@

$(MEDIAPIPE)/.complete: Makefile
	$(PYTHON) -m venv $(MEDIAPIPE)
	$(MEDIAPIPE)/bin/python -m pip install --quiet --disable-pip-version-check mediapipe==1.2.3
	touch $@

$(BARE)/quantization/.complete: EXTRAS := quantization
$(BARE)/%/.complete: EXTRAS = $*,litert

$(BARE)/%/.complete: pyproject.toml setup.py constraints.txt
	@echo "Installing keras-lite[$(EXTRAS)] into $(BARE)/$* (a few minutes, once) ..."
	$(PYTHON) -m venv $(BARE)/$*
	$(if $(filter torch,$*),$(BARE)/$*/bin/python $(INSTALL) $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) torch)
	$(BARE)/$*/bin/python $(INSTALL) --editable ".[$(EXTRAS)]"
	touch $@
