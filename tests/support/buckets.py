"""A bucket on an emulator of Google's storage, and a run of the tests in a bucket.

    python tests/support/buckets.py URL NUM_STEPS MODE

is worker.py for a working directory in a bucket, with any mode. The emulator is one
thread of the test's process, and can be told to misbehave.
"""

import dataclasses
import logging
import os
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

# Before gcsfs is imported, which would look for the kind of the bucket elsewhere.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


class Faults:
    """What is to go wrong next.

    Attributes:
        refusals: codes of HTTP with which the next writes are refused, one each.
        hidden: how many of the objects written last a listing does not show yet.
        refused: how many writes have been refused.
    """

    def __init__(self):
        self.refusals, self.hidden, self.refused = [], 0, 0


@contextmanager
def emulator(monkeypatch):
    """A server with an empty bucket called "bucket", to be found by gcsfs -> Faults."""
    from gcp_storage_emulator import server, storage
    from gcsfs import GCSFileSystem

    faults = Faults()

    class Handler(server.RequestHandler):
        def do_POST(self):
            if not (faults.refusals and self.path.startswith("/upload/")):
                return super().do_POST()
            faults.refused += 1
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_error(faults.refusals.pop(0))

    listed = storage.Storage.get_file_list

    def lagging(*arguments, **options):
        files, prefixes = listed(*arguments, **options)
        if not faults.hidden:
            return files, prefixes
        shown = sorted(files, key=lambda file: file["updated"])[: -faults.hidden]
        return [file for file in files if file in shown], prefixes

    monkeypatch.setattr(server, "RequestHandler", Handler)
    monkeypatch.setattr(storage.Storage, "get_file_list", lagging)
    monkeypatch.setattr(server.logger, "level", logging.CRITICAL)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://localhost:{port}")
    GCSFileSystem.clear_instance_cache()
    running = server.create_server(
        "localhost", port, in_memory=True, default_bucket="bucket"
    )
    with running:
        yield faults
    GCSFileSystem.clear_instance_cache()


def _run_in_bucket(url, num_steps, mode):
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    import worker

    from cfasl_jax import lease, metrics, workdirs
    from cfasl_jax.run import export

    def without_explorer(*_):
        raise export.ExportError("the page runs the decoders of models/ alone")

    few = dataclasses.replace(
        metrics.get_protocol("fast"), mig_samples=20, mig_bins=4, bootstrap=10
    )
    metrics.get_protocol = lambda _: few
    export.explorer = without_explorer
    workdirs.INTERVAL_SECONDS = 0.1
    workdirs._PAUSE_SECONDS = lease._PAUSE_SECONDS = 0.1
    scored = {"metrics": ("mig",), "protocol": "fast"}
    return worker.run(url, num_steps, mode=mode, eval=scored)


if __name__ == "__main__":
    sys.exit(_run_in_bucket(*sys.argv[1:]))
