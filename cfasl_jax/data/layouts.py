"""What the published dSprites and 3D Shapes hold."""

import dataclasses

from cfasl_jax.data import dsprites, shapes3d
from cfasl_jax.data.grid import FactorGrid
from cfasl_jax.types import Likelihood


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a published data set holds.

    Attributes:
        grid: its factors.
        channels: C.
        white: the stored value of a fully lit channel.
        likelihood: of a pixel.
        url: the file that TensorFlow Datasets downloads.
    """

    grid: FactorGrid
    channels: int
    white: int
    likelihood: Likelihood
    url: str


LAYOUTS = {
    "dsprites": Layout(
        dsprites.GRID,
        dsprites.CHANNELS,
        white=1,
        likelihood="bernoulli",
        url="https://github.com/deepmind/dsprites-dataset/blob/master/"
        "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.hdf5?raw=true",
    ),
    "shapes3d": Layout(
        shapes3d.GRID,
        shapes3d.CHANNELS,
        white=255,
        likelihood="gaussian",
        url="https://storage.googleapis.com/3d-shapes/3dshapes.h5",
    ),
}
