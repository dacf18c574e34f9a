"""Shared settings of the tests."""

import os

# Tests compile many small programs and run each a few times: compiling fast matters
# more than fast code. Before JAX is imported, which reads it.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
)

import jax
import launch_world
import pytest

# Silent rank promotion hides mistakes in shapes.
jax.config.update("jax_numpy_rank_promotion", "raise")

# Several devices on the CPU, to compare parallel training with plain training.
jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture(scope="module", autouse=True)
def programs_end_with_their_module():
    """Drop compiled programs: a process may map only so much memory (65,530 pieces).

    Beyond that the compiler crashes, and the whole suite holds more than that.
    """
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Compiled programs, shared by the worker processes that tests start."""
    return tmp_path_factory.mktemp("xla")


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
