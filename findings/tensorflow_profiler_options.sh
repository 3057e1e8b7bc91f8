#!/usr/bin/env bash
# TensorFlow's profiler ignores its `ProfilerOptions`.
#
# One would guess: `python_tracer_level=1` adds Python's functions to a profile, as the documentation of
#   `tf.profiler.experimental.start` has it, and `host_tracer_level=1` leaves out all but what is critical.
# What happens (events of the planes of a profile of ten products of matrices, and of Python's functions among them):
#     Python 3.11.7, tensorflow 2.21.0
#     options                            events  of Python
#     none                                   90          0
#     python_tracer_level=1                  90          0
#     host_tracer_level=1                    90          0
#     host_tracer_level=3                    90          0
#     complaints in the log: 12
# Why: each option is refused as being of the wrong kind of integer ("expects an i value"), in a warning of the log, which
#   TF_CPP_MIN_LOG_LEVEL=2, as many set it, hides. Then the profiler runs with its defaults.
# Why it matters: a profile of a slow input pipeline lacks the very functions that one asked for, and does not say so; one
#   of a long run is as large as ever.
# What to do instead: profile Python's side with cProfile; leave out events behind the profiler, from the .xplane.pb.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import pathlib
import platform
import sys
import tempfile

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

print(f"Python {platform.python_version()}, tensorflow {tf.__version__}")
matrix = tf.ones((64, 64))


def multiply_it():
    for _ in range(10):
        tf.linalg.matmul(matrix, matrix)


def profiled(**options):
    """How many events a profile has, and how many of them are functions of Python."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = tf.profiler.experimental.ProfilerOptions(**options) if options else None
        tf.profiler.experimental.start(folder, chosen)
        multiply_it()
        tf.profiler.experimental.stop()
        [file] = pathlib.Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    names = [
        plane.event_metadata[event.metadata_id].name
        for plane in space.planes
        for line in plane.lines
        for event in line.events
    ]
    return len(names), sum("multiply_it" in name for name in names)


profiled()  # the first one has what TensorFlow does once
cases = {
    "none": {},
    "python_tracer_level=1": {"python_tracer_level": 1},
    "host_tracer_level=1": {"host_tracer_level": 1},
    "host_tracer_level=3": {"host_tracer_level": 3},
}
print(f"{'options':32}{'events':>9}{'of Python':>11}")
found = {}
for name, options in cases.items():
    found[name] = profiled(**options)
    print(f"{name:32}{found[name][0]:9}{found[name][1]:11}")
said = pathlib.Path("log").read_text().count("expects an i value")
print(f"complaints in the log: {said}")
if len(set(found.values())) > 1 or not said:
    sys.exit("Changed: the profiler follows its options.")
PYTHON
