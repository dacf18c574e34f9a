"""Shared settings of the tests."""

import os
import shutil
import signal
import tempfile

# Before JAX is imported, which reads it. Tests compile many small programs and run each
# a few times: compiling fast matters more than fast code.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)
# One cache of compiled programs for all test processes and the commands they start. The
# first process makes it, and the others inherit its name.
_CACHE = "JAX_COMPILATION_CACHE_DIR"
_OWN_CACHE = None
if _CACHE not in os.environ:
    _OWN_CACHE = os.environ[_CACHE] = tempfile.mkdtemp(prefix="cfasl-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import jax  # noqa: E402
import launch_world  # noqa: E402
import pytest  # noqa: E402

from cfasl_jax.report import style  # noqa: E402

# Silent rank promotion hides mistakes in shapes.
jax.config.update("jax_numpy_rank_promotion", "raise")

# Embedding outlines as TrueType takes half of the time that a figure takes.
style._RC["pdf.fonttype"] = 3

# A shell without job control starts background jobs deaf to Ctrl-C, and commands that
# the tests start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Several devices on the CPU, to compare parallel training with plain training.
jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture(scope="module", autouse=True)
def programs_end_with_their_module():
    """Drop compiled programs: a process may map only so much memory (65,530 pieces).

    Beyond that the compiler crashes, and the whole suite holds more than that.
    """
    yield
    jax.clear_caches()


def pytest_unconfigure():
    """Remove the cache, where this process made it."""
    if _OWN_CACHE is not None:
        shutil.rmtree(_OWN_CACHE, ignore_errors=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A committed project of the launch scripts, see `launch_world`."""
    return launch_world.make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def world(tmp_path, project):
    """The project with a stand-in for gcloud, whose hosts run what they are sent."""
    world = launch_world.World(tmp_path, project)
    world.stand_in("gcloud", "fake_gcloud.py")
    yield world
    # Detached runs end with the slice.
    if world["queued"]:
        delete = "compute tpus queued-resources delete first --zone=us-east5-a --force"
        world.run("gcloud", *delete.split())
