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

# Hundreds of programs come and go in this one process; writing some of them to a cache
# of compiled programs has crashed it. Worker processes of the tests do use a cache.
jax.config.update("jax_enable_compilation_cache", False)


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
