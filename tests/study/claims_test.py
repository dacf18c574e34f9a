"""Claims: one owner at a time, by locks and, where there are none, by leases."""

import errno
import fcntl
import os
import threading
import time

import pytest

from cfasl_jax.errors import ConfigError
from cfasl_jax.study import claims


@pytest.fixture(params=["locks", "leases"])
def kind(request, monkeypatch):
    """With locks, and as on a file system that has none."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    if request.param == "leases":
        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


def test_a_claim_has_one_owner_at_a_time(kind, tmp_path):
    with claims.claim(tmp_path / "run") as first:
        assert first
        with claims.claim(tmp_path / "run") as second:
            assert not second
        with claims.claim(tmp_path / "other") as third:
            assert third
    with claims.claim(tmp_path / "run") as again:
        assert again


def test_a_file_in_the_way_of_a_claim_is_named(tmp_path):
    (tmp_path / "tables").touch()
    with (
        pytest.raises(ConfigError, match=r"cannot write into .*tables: File exists"),
        claims.claim(tmp_path / "tables"),
    ):
        raise AssertionError


def test_of_many_workers_one_alone_gets_the_claim(kind, tmp_path):
    barrier, owners = threading.Barrier(8), []

    def work():
        barrier.wait()
        with claims.claim(tmp_path) as ours:
            owners.append(ours)
            barrier.wait()  # all have tried before the owner lets go

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(owners) == [False] * 7 + [True]


def test_a_lease_is_taken_over_once_its_owner_is_silent(monkeypatch, tmp_path):
    lease = tmp_path / ".lease"
    lease.write_text("a worker that was killed")
    with claims._lease(lease) as ours:
        assert not ours
    old = time.time() - claims.LEASE_SECONDS - 5
    os.utime(lease, (old, old))
    with claims._lease(lease) as ours:
        assert ours
    assert list(tmp_path.iterdir()) == []


def test_an_owner_keeps_its_lease_fresh(monkeypatch, tmp_path):
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.01)
    lease = tmp_path / ".lease"
    with claims._lease(lease) as ours:
        assert ours
        os.utime(lease, (0, 0))
        deadline = time.monotonic() + 20
        while lease.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_renewed_lease_is_put_back(tmp_path):
    """Two workers see a stale lease; the slower one finds the faster one's."""
    lease = tmp_path / ".lease"
    lease.write_text("the faster one")
    claims._remove(lease)
    assert lease.read_text() == "the faster one"
    assert list(tmp_path.iterdir()) == [lease]
