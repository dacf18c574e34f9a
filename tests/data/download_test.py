"""Downloads: interrupted, gone on, checked; from a server on this machine."""

import hashlib
import http.server
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from cfasl_jax.data import download, entry_of, preparing
from cfasl_jax.data.download import Archive
from cfasl_jax.data.recipe import DataFileError

CONTENT = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the class attributes say how badly."""

    breaks_at: int | None = None
    sends_at_most: int | None = None
    takes_ranges = True
    stalls = False
    waits = 0.0
    shift = 0
    asked: list[str] = []  # noqa: RUF012, one server a test

    def do_GET(self):
        wanted = self.headers.get("Range", "")
        self.asked.append(wanted)
        match = re.fullmatch(r"bytes=(\d+)-", wanted)
        start = int(match[1]) if match and self.takes_ranges else 0
        if start >= len(CONTENT) or self.path != "/file.bin":
            self.send_error(416 if start else 404)
            return
        time.sleep(self.waits)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if start:
            first = start + self.shift
            whole = len(CONTENT)
            self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
        self.end_headers()
        sent = CONTENT[start : self.breaks_at][: self.sends_at_most]
        self.wfile.write(sent)
        if self.stalls and start + len(sent) < len(CONTENT):
            time.sleep(0.5)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server of one good file; tests set the attributes of Handler: its URL."""
    monkeypatch.setenv("no_proxy", "*")
    for name in ("breaks_at", "sends_at_most", "takes_ranges", "stalls", "waits"):
        monkeypatch.setattr(Handler, name, getattr(Handler, name))
    monkeypatch.setattr(Handler, "asked", [])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as instance:
        threading.Thread(
            target=instance.serve_forever, args=[0.01], daemon=True
        ).start()
        yield f"http://127.0.0.1:{instance.server_port}/file.bin"
        instance.shutdown()


def published(url, digest=None, size=None):
    digest = digest or hashlib.md5(CONTENT).hexdigest()
    return Archive("file.bin", url, size, digest, "md5")


def test_a_file_is_downloaded_once(server, tmp_path):
    for _ in range(2):
        path = download.fetch(published(server), tmp_path / "new")
        assert path.read_bytes() == CONTENT
    assert Handler.asked == [""]
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_a_broken_download_goes_on(server, tmp_path, monkeypatch, takes_ranges):
    """The server sends up to a byte and no further, until it is mended."""
    monkeypatch.setattr(Handler, "breaks_at", 300_000)
    monkeypatch.setattr(Handler, "takes_ranges", takes_ranges)
    with pytest.raises(DataFileError, match=r"broke off after 300,000 bytes.*again"):
        download.fetch(published(server), tmp_path)
    assert not (tmp_path / "file.bin").exists()
    assert (tmp_path / "file.bin.part").stat().st_size == 300_000
    monkeypatch.setattr(Handler, "breaks_at", None)
    Handler.asked.clear()
    assert download.fetch(published(server), tmp_path).read_bytes() == CONTENT
    assert Handler.asked == ["bytes=300000-"]


def test_one_call_goes_on_as_long_as_something_arrives(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "sends_at_most", 400_000)
    assert download.fetch(published(server), tmp_path).read_bytes() == CONTENT
    assert Handler.asked == ["", "bytes=400000-", "bytes=800000-"]


def test_a_server_that_stalls_is_asked_again(server, tmp_path, monkeypatch):
    """It sends some bytes and then nothing, but keeps the connection."""
    monkeypatch.setattr(download, "_STALL_SECONDS", 0.1)
    monkeypatch.setattr(Handler, "sends_at_most", 600_000)
    monkeypatch.setattr(Handler, "stalls", True)
    assert download.fetch(published(server), tmp_path).read_bytes() == CONTENT
    assert Handler.asked == ["", "bytes=600000-"]


def test_a_slow_server_is_waited_for(server, tmp_path, monkeypatch):
    """No header is asked for first: some servers take long, or refuse to send one."""
    monkeypatch.setattr(Handler, "waits", 0.3)
    assert download.fetch(published(server), tmp_path).read_bytes() == CONTENT


def test_another_part_than_asked_for_is_not_kept(server, tmp_path, monkeypatch):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    monkeypatch.setattr(Handler, "shift", 7)
    with pytest.raises(DataFileError, match="another part than it was asked for"):
        download.fetch(published(server), tmp_path)
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]


def test_a_part_that_is_the_whole_is_taken(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert download.fetch(published(server), tmp_path).read_bytes() == CONTENT
    (tmp_path / "file.bin").rename(tmp_path / "file.bin.part")
    Handler.asked.clear()
    known = published(server, size=len(CONTENT))
    assert download.fetch(known, tmp_path).read_bytes() == CONTENT
    assert Handler.asked == []


def test_more_than_the_whole_is_thrown_away(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    known = published(server, size=len(CONTENT))
    assert download.fetch(known, tmp_path).read_bytes() == CONTENT


def test_a_file_of_another_size_is_refused_before_it_is_read(server, tmp_path):
    """As where a server answers with a page that says why it does not answer."""
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    known = published(server, size=len(CONTENT) + 1)
    with pytest.raises(DataFileError, match=r"offers 1,024,000 bytes .*has 1,024,001"):
        download.fetch(known, tmp_path)
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[:1000]


def test_another_file_is_refused_and_forgotten(server, tmp_path):
    with pytest.raises(DataFileError, match="another file than the published one"):
        download.fetch(published(server, digest="0" * 32), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_leaves_nothing(server, tmp_path):
    with pytest.raises(DataFileError, match=r"cannot be downloaded: HTTP Error 404"):
        download.fetch(published(f"{server}/gone"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_calls_at_once_download_one_file(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "waits", 0.2)
    with ThreadPoolExecutor(2) as pool:
        paths = list(
            pool.map(lambda _: download.fetch(published(server), tmp_path), "ab")
        )
    assert paths[0].read_bytes() == CONTENT
    assert Handler.asked == [""]
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_no_network_names_the_files_and_their_page(monkeypatch, tmp_path):
    def refuse(self, request, timeout):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refuse)
    for name, wanted in {
        "dsprites": r"dsprites_ndarray.*\.hdf5 from https://github\.com/google-deep",
        "shapes3d": r"3dshapes\.h5 from https://github\.com/google-deepmind",
        "cars3d": r".*analogy-data\.tar\.gz from http://www\.",
        "smallnorb": r"smallnorb-.* from https://cs\.nyu\.edu",
        "celeba": r"img_align_celeba\.zip from https://mmlab",
    }.items():
        with pytest.raises(DataFileError, match=rf"no route to host; or get {wanted}"):
            preparing.prepare(entry_of(name), str(tmp_path), "paper")


def test_a_server_that_does_not_answer_is_given_up_soon(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "_CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        # Connections that fill its queue: it drops the next one without a word.
        waiting = [socket.socket() for _ in range(2)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(address)
        for scheme in ("http", "https"):
            archive = download.Archive(
                "file.bin", f"{scheme}://127.0.0.1:{address[1]}/"
            )
            start = time.monotonic()
            with pytest.raises(DataFileError, match="cannot be downloaded: timed out"):
                download.fetch(archive, tmp_path)
            assert time.monotonic() - start < download._STALL_SECONDS / 4
        for connection in waiting:
            connection.close()
