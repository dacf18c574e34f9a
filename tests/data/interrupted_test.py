"""All published data sets from a server that fails in every way, until it does not."""

import dataclasses
import hashlib
import http.server
import re
import signal
import threading
import time

import cars3d_files
import celeba_files
import numpy as np
import published_files
import pytest
import smallnorb_files

from cfasl_jax import data
from cfasl_jax.data import __main__ as command
from cfasl_jax.data import (
    cars3d,
    celeba,
    download,
    dsprites,
    prepared,
    preparing,
    shapes3d,
    smallnorb,
)
from cfasl_jax.data.recipe import read

# What goes wrong, one a connection, while a data set is prepared.
FAULTS = {
    "dsprites": ("drops", "interrupt", "stalls", "page"),
    "shapes3d": ("error", "interrupt", "damages", "drops"),
    "cars3d": ("interrupt", "truncates", "stalls", "interrupt"),
    "smallnorb": ("drops", "damages", "error", "interrupt"),
    "celeba": ("ignores range", "truncates", "interrupt", "page", "page of any length"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `files`, badly as long as `faults` are left."""

    files: dict[str, bytes] = {}  # noqa: RUF012, set by the fixture
    faults: list[str] = []  # noqa: RUF012

    def do_GET(self):
        content = self.files[self.path.rsplit("/", 1)[-1]]
        fault = self.faults.pop(0) if self.faults else ""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match and fault != "ignores range" else 0
        if fault == "error":
            self.send_error(503)
            return
        page = fault.startswith("page")
        if page:
            content, start = b"<html>Too many have asked for this file.</html>", 0
        if fault == "truncates":
            content = content[: start + (len(content) - start) // 2]
        if fault == "damages":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(206 if start else 200)
        if start:
            whole = f"{start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", f"bytes {whole}")
        self.send_header("Content-Type", "text/html" if page else "application/zip")
        if fault != "page of any length":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        left = content[start:]
        breaks = fault in ("drops", "stalls", "interrupt", "ignores range")
        self.wfile.write(left[: len(left) // 2] if breaks else left)
        self.wfile.flush()
        if fault == "interrupt":
            time.sleep(0.05)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if fault in ("stalls", "interrupt"):
            time.sleep(0.3)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """The server's address."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "_STALL_SECONDS", 0.15)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as instance:
        threading.Thread(
            target=instance.serve_forever, args=[0.01], daemon=True
        ).start()
        yield f"http://127.0.0.1:{instance.server_port}"
        instance.shutdown()


def known(archive, path, url):
    """An archive whose size and checksum are those of a small file."""
    content = path.read_bytes()
    return dataclasses.replace(
        archive,
        url=f"{url}/{path.name}",
        size=len(content),
        digest=hashlib.sha256(content).hexdigest(),
        algorithm="sha256",
    )


def small_entry(name, folder, url):
    """A data set's entry for small files that are written into a folder."""
    folder.mkdir()
    if name in ("dsprites", "shapes3d"):
        module = {"dsprites": dsprites, "shapes3d": shapes3d}[name]
        arrays = published_files.arrays(name)
        suffix = "." + module.ARCHIVE.name.rsplit(".", 1)[-1]
        path = published_files.write(folder, name, suffix, *arrays)
        path = path.rename(folder / module.ARCHIVE.name)
        contents = published_files.ENTRIES[name].version("paper").contents
        return module.entry(contents, known(module.ARCHIVE, path, url))
    if name == "cars3d":
        path = folder / cars3d.ARCHIVE.name
        cars3d_files.write_archive(path, cars3d_files.contents())
        return cars3d.entry(cars3d_files.GRID, known(cars3d.ARCHIVE, path, url))
    if name == "celeba":
        path = folder / celeba.ARCHIVE.name
        celeba_files.write_zip(path, celeba_files.contents())
        archive = known(celeba.ARCHIVE, path, url)
        return celeba.entry(celeba_files.LAYOUT, archive)
    smallnorb_files.write(folder, "full")
    entry = smallnorb.entry({"paper": smallnorb_files.small("full")})
    version = entry.version("paper")
    archives = [known(one, folder / one.name, url) for one in version.archives]
    version = dataclasses.replace(version, archives=tuple(archives))
    return dataclasses.replace(entry, versions={"paper": version})


@pytest.mark.parametrize("name", FAULTS)
def test_an_interrupted_prepare_goes_on_to_a_whole_copy(
    server, tmp_path, monkeypatch, capsys, name
):
    entry = small_entry(name, tmp_path / "published", server)
    monkeypatch.setitem(data.DATASETS, name, entry)
    files = {
        path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()
    }
    monkeypatch.setattr(Handler, "files", files)
    monkeypatch.setattr(Handler, "faults", list(FAULTS[name]))
    codes = []
    while not codes or codes[-1] != 0:
        assert not prepared.exists(tmp_path / "sets" / name)
        codes.append(
            command.main(["data", "prepare", name, f"--dir={tmp_path / 'sets'}"])
        )
        assert len(codes) <= len(FAULTS[name]) + 1
    assert Handler.faults == []
    assert codes.count(130) == FAULTS[name].count("interrupt")
    assert "Traceback" not in capsys.readouterr().err
    copy = prepared.open_copy(tmp_path / "sets" / name)
    prepared.verify(copy)
    expected = read(preparing.from_files(entry, tmp_path / "published", "paper"))
    np.testing.assert_array_equal(copy.images, expected)
    assert not list((tmp_path / "sets").rglob("*.part"))
