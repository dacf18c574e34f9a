"""Downloads: interrupted, gone on, checked; from a server on this machine."""

import hashlib
import http.server
import re
import threading

import pytest

from cfasl_jax.data import download, sets
from cfasl_jax.data.checks import Checksum
from cfasl_jax.data.recipe import DataFileError

CONTENT = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the class attributes say how badly."""

    breaks_at: int | None = None
    takes_ranges = True
    asked: list[str] = []  # noqa: RUF012, one server a test

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        wanted = self.headers.get("Range", "")
        self.asked.append(wanted)
        match = re.fullmatch(r"bytes=(\d+)-", wanted)
        start = int(match[1]) if match and self.takes_ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.breaks_at])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(Handler, "asked", [])
    monkeypatch.setattr(Handler, "breaks_at", None)
    monkeypatch.setattr(Handler, "takes_ranges", True)
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as instance:
        threading.Thread(
            target=instance.serve_forever, args=[0.01], daemon=True
        ).start()
        yield f"http://127.0.0.1:{instance.server_port}/file.bin"
        instance.shutdown()


def published(url, digest=None):
    digest = digest or hashlib.md5(CONTENT).hexdigest()
    return Checksum("file.bin", url, "md5", digest)


def test_a_file_is_downloaded_once(server, tmp_path):
    for _ in range(2):
        path = download.fetch(published(server), tmp_path / "new")
        assert path.read_bytes() == CONTENT
    assert Handler.asked == [""]
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_a_broken_download_goes_on(server, tmp_path, monkeypatch, takes_ranges):
    monkeypatch.setattr(Handler, "breaks_at", 300_000)
    monkeypatch.setattr(Handler, "takes_ranges", takes_ranges)
    with pytest.raises(DataFileError, match=r"broke off .*run the same command again"):
        download.fetch(published(server), tmp_path)
    assert not (tmp_path / "file.bin").exists()
    assert (tmp_path / "file.bin.part").stat().st_size == 300_000
    monkeypatch.setattr(Handler, "breaks_at", None)
    assert download.fetch(published(server), tmp_path).read_bytes() == CONTENT
    assert Handler.asked == ["", "bytes=300000-"]


def test_a_part_that_is_the_whole_is_taken(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert download.fetch(published(server), tmp_path).read_bytes() == CONTENT


def test_another_file_is_refused_and_forgotten(server, tmp_path):
    with pytest.raises(DataFileError, match="another file than the published one"):
        download.fetch(published(server, digest="0" * 32), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_network_names_the_files_and_their_page(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "probe", lambda url: "no route to host")
    with pytest.raises(
        DataFileError, match=r"no route to host; get smallnorb-.* from "
    ):
        sets.prepare("smallnorb", str(tmp_path), "paper", None)
    with pytest.raises(DataFileError, match=r"analogy-data\.tar\.gz from http://www\."):
        sets.prepare("cars3d", str(tmp_path), "paper", None)
