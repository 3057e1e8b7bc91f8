"""LiteRT.js from npm: what is kept, what is checked, and what is said where it can't be had."""

import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from keras_lite.errors import InputError
from keras_lite.runtime import litert_js
from keras_lite.runtime.litert_js import NpmPackage

pytestmark = pytest.mark.tensorflow_only


def archive(**files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A program npm that copies an archive, and says what it was asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))

    def make(script):
        path = folder / "npm"
        path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A small package in place of the real ones, as npm's own archive."""
    content = archive(code=b"the code", **{"data.wasm": b"numbers " * 1000})
    (tmp_path / "there.tgz").write_bytes(content)
    files = {"code": "code.js", "data.wasm": "data.wasm.gz"}
    only = NpmPackage("@some/thing", "1.2.3", hashlib.sha256(content).hexdigest(), files)
    monkeypatch.setattr(litert_js, "PACKAGES", (only,))
    return only


def test_it_is_fetched_once_and_kept(npm, package, tmp_path):
    npm(f"cp {tmp_path}/there.tgz some-thing-1.2.3.tgz")
    files = litert_js.litert_js()
    assert files["code.js"] == b"the code"
    assert gzip.decompress(files["data.wasm.gz"]) == b"numbers " * 1000
    assert (tmp_path / "asked").read_text().split()[-1] == "@some/thing@1.2.3"
    npm("exit 1")
    assert litert_js.litert_js() == files
    [kept] = (tmp_path / "home").rglob("*.tgz")
    # What was kept but is damaged is fetched again.
    kept.write_bytes(b"no archive")
    npm(f"cp {tmp_path}/there.tgz some-thing-1.2.3.tgz")
    assert litert_js.litert_js() == files
    assert len((tmp_path / "asked").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", "received: npm error code ENOTFOUND"),
        ("exit 0", "to fetch @some/thing 1.2.3, received: exit 0"),
        ("echo other > some-thing-1.2.3.tgz", "with SHA-256"),
    ],
)
def test_what_fails_is_said_in_a_line_and_not_kept(npm, package, tmp_path, script, said):
    npm(script)
    with pytest.raises(InputError, match=said):
        litert_js.litert_js()
    assert not list((tmp_path / "home").rglob("*.tgz"))


def test_without_npm(package, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match="Expected npm, which comes with Node"):
        litert_js.litert_js()


def test_the_packages_are_those_of_one_release():
    names = {package.name: package for package in litert_js.PACKAGES}
    assert names.keys() == {"@litertjs/core", "@litertjs/wasm-utils"}
    assert len({package.version for package in litert_js.PACKAGES}) == 1
    assert [Path(package.archive).name for package in litert_js.PACKAGES] == [
        f"litertjs-{name}-{litert_js.PACKAGES[0].version}.tgz" for name in ("core", "wasm-utils")
    ]
