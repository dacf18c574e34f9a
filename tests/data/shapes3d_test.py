"""The 3D Shapes renderer against a slow ray marcher and numbers of the real images."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shapes3d_reference

from cfasl_jax.data import shapes3d

# Blue walls, red floor, green object: the colours in which real images were measured.
HUES = (0, 6, 3)
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)
# Rows of sky over columns 0, 12, 24, 40, 52 and 63 of real images, by orientation.
REAL_SKYLINES = {
    0: [15.35, 16.72, 18.05, 19.84, 18.41, 15.78],
    3: [16.01, 17.06, 17.75, 18.71, 19.39, 17.48],
    7: [17.71, 17.71, 17.71, 17.75, 17.74, 17.75],
    10: [18.07, 18.89, 18.37, 17.74, 17.02, 16.40],
    14: [15.75, 18.61, 19.71, 18.06, 16.71, 15.43],
}


@pytest.fixture(scope="module")
def table() -> jax.Array:
    return shapes3d.twin().store


@pytest.fixture(scope="module")
def render(table):
    jitted = jax.jit(shapes3d.render)

    def of(*factors) -> np.ndarray:
        return np.asarray(jitted(jnp.asarray(factors, jnp.int32), table)).astype(int)

    return of


def object_mask(image: np.ndarray) -> np.ndarray:
    """Pixels of a green object before blue walls, a red floor and the sky."""
    return (image[..., 1] > 150) & (image[..., 2] < 150)


def shadow_mask(image: np.ndarray) -> np.ndarray:
    """Pixels of the shadow on a red floor."""
    dark = (image[..., 0] < 130) & (image[..., 1] < 60) & (image[..., 2] < 60)
    dark[:44] = False
    return dark


def box(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([rows.min(), rows.max(), columns.min(), columns.max()])


def test_grid_is_that_of_the_published_data():
    assert shapes3d.GRID.sizes == (10, 10, 10, 8, 4, 15)
    assert shapes3d.GRID.num_points == 480_000


def test_shape_dtype_and_jit(table):
    factors = shapes3d.GRID.factors(jnp.asarray([0, 123_456, 479_999]))
    plain = shapes3d.render(factors, table)
    assert plain.shape == (3, 64, 64, shapes3d.CHANNELS)
    assert plain.dtype == jnp.uint8
    jitted = jax.jit(shapes3d.render)(factors, table)
    assert np.abs(np.asarray(plain, int) - np.asarray(jitted, int)).max() <= 1


def test_runs_of_a_vmap_equal_single_calls(table):
    factors = shapes3d.GRID.factors(jnp.asarray([5, 77_777, 300_001, 456_789]))
    both = jax.vmap(shapes3d.render, in_axes=(0, None))(factors.reshape(2, 2, 6), table)
    single = shapes3d.render(factors, table).reshape(both.shape)
    assert np.abs(np.asarray(both, int) - np.asarray(single, int)).max() <= 1


def test_table_is_small_enough_to_live_on_a_device(table):
    assert table.nbytes <= 32e6


def test_rejects_factors_of_another_grid(table):
    with pytest.raises(AssertionError, match="shape"):
        shapes3d.render(jnp.zeros((4, 5), jnp.int32), table)


def test_hues_are_those_of_hsv():
    expected = [colorsys.hsv_to_rgb(h / 10, 1.0, 1.0) for h in range(10)]
    np.testing.assert_allclose(shapes3d.hue_colours(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("factors", "pixels"),
    [
        # Face, edge and shadow of the cube; wall; the corner; floor; sky; a blotch.
        (
            (0, 6, 3, 0, 0, 0),
            [
                (47, 27),
                (46, 41),
                (54, 42),
                (28, 3),
                (30, 43),
                (60, 60),
                (2, 0),
                (31, 14),
            ],
        ),
        # The texture of the floor, where it does not saturate.
        ((6, 1, 3, 0, 0, 0), [(46, 62), (51, 21), (45, 13)]),
        ((1, 9, 2, 5, 1, 9), [(31, 32), (45, 22), (55, 36), (50, 5), (63, 63)]),
        ((4, 2, 7, 7, 2, 14), [(33, 30), (41, 36), (40, 22), (56, 40), (22, 20)]),
        ((8, 5, 0, 3, 3, 4), [(19, 32), (30, 32), (52, 31), (55, 37), (42, 60)]),
    ],
)
def test_pixels_equal_a_slow_ray_marcher(render, factors, pixels):
    image = render(factors)[0]
    for row, column in pixels:
        expected = shapes3d_reference.pixel(factors, row, column)
        np.testing.assert_allclose(
            image[row, column] / 255, expected, atol=0.01, err_msg=f"{row}, {column}"
        )


@pytest.mark.parametrize(
    ("position", "inside", "rows", "columns"),
    [
        (0, (60, 5), (37, 64), (0, 64)),
        (1, (28, 5), (12, 47), (0, 64)),
        (2, (30, 32), (12, 56), (19, 45)),
    ],
)
def test_a_hue_changes_its_surface_alone(render, position, inside, rows, columns):
    base = np.array([1, 4, 7, 4, CAPSULE, 10])
    changed = base.copy()
    changed[position] += 2
    before, after = render(base, changed)
    differs = (before != after).any(-1)
    assert differs[inside]
    # Bounds of the surface, and the three pixels that the scaling filter reaches.
    bounds = np.zeros((64, 64), bool)
    bounds[slice(*rows), slice(*columns)] = True
    assert not differs[~bounds].any()
    # Where neither object nor shadow is near, floor and wall never change together.
    assert differs[56:, :12].all() == (position == 0)
    assert differs[24:34, :12].all() == (position == 1)
    assert differs[20:46, 28:36].all() == (position == 2)


@pytest.mark.parametrize("position", [3, 4, 5])
def test_geometry_factors_change_the_image_but_not_its_colours(render, position):
    base = np.array([*HUES, 1, 0, 2])
    changed = base.copy()
    changed[position] += 1
    before, after = render(base, changed)
    assert (before != after).any(-1).sum() > 30
    # Sky, and no red in the walls, no blue in the floor.
    for image in (before, after):
        np.testing.assert_array_equal(
            image[:10], np.broadcast_to([153, 226, 249], (10, 64, 3))
        )
        assert image[22:36, 1:18, 0].max() <= 3
        assert image[48:, 1:18, 1:].max() <= 3


def test_scale_and_shape_leave_the_room_alone(render):
    images = render(
        *[(*HUES, scale, shape, 11) for scale in (0, 7) for shape in range(4)]
    )
    # Beyond the largest object and its shadow.
    assert np.abs(images[:, :, :12] - images[:1, :, :12]).max() == 0


@pytest.mark.parametrize("shape", range(4))
def test_object_grows_with_scale(render, shape):
    images = render(*[(*HUES, scale, shape, 7) for scale in range(8)])
    areas = np.array([object_mask(image).sum() for image in images])
    assert (np.diff(areas) > 0).all()
    # Scale runs from 0.75 to 1.25; the nearer surface of a larger object adds a little.
    assert 2.5 < areas[-1] / areas[0] < 3.6


def test_room_is_mirrored_between_opposite_angles(render):
    images = render(*[(*HUES, 0, SPHERE, angle) for angle in range(15)])
    sky = (images[..., 0] > 120) & (images[..., 2] > 200)
    mirrored = sky[::-1, :, ::-1]
    # Of about 1150 pixels; the sample grid is sheared, which is not symmetric.
    assert (sky != mirrored).sum(axis=(1, 2)).max() <= 4
    # The light is not: its shadow falls to the right from every angle.
    for image in images:
        assert np.nonzero(shadow_mask(image))[1].mean() > 32.5


@pytest.mark.parametrize("orientation", list(REAL_SKYLINES))
def test_walls_end_where_they_do_in_real_images(render, orientation):
    image = render((*HUES, 0, CUBE, orientation))[0]
    # The wall is blue and has no red; the sky's red is 153.
    rows = image[:30, [0, 12, 24, 40, 52, 63], 0].sum(0) / 153
    # A third of a pixel is one row of rays.
    np.testing.assert_allclose(rows, REAL_SKYLINES[orientation], atol=0.35)


@pytest.mark.parametrize(
    ("geometry", "area", "edges"),
    [
        ((0, CUBE, 0), 316, (37, 55, 23, 41)),
        ((0, CUBE, 4), 282, (38, 54, 24, 40)),
        ((0, CUBE, 7), 271, (38, 54, 24, 39)),
        ((0, CUBE, 14), 313, (37, 55, 22, 40)),
        ((0, CYLINDER, 14), 251, (37, 54, 24, 39)),
        ((0, SPHERE, 14), 237, (35, 52, 24, 39)),
        ((0, CAPSULE, 14), 297, (26, 52, 25, 37)),
        ((2, CAPSULE, 14), 448, (21, 52, 24, 39)),
        ((4, CAPSULE, 14), 604, (15, 52, 23, 40)),
        ((7, CAPSULE, 14), 900, (7, 52, 21, 42)),
    ],
)
def test_objects_stand_where_they_do_in_real_images(render, geometry, area, edges):
    mask = object_mask(render((*HUES, *geometry))[0])
    assert mask.sum() == pytest.approx(area, rel=0.03)
    assert np.abs(box(mask) - edges).max() <= 1


@pytest.mark.parametrize(
    ("geometry", "area", "centre"),
    [
        ((0, SPHERE, 14), 57, (53.5, 33.2)),
        ((2, CAPSULE, 14), 80, (54.0, 35.3)),
        ((4, CAPSULE, 14), 130, (54.7, 36.3)),
        ((7, CAPSULE, 14), 228, (55.6, 38.0)),
    ],
)
def test_shadows_fall_where_they_do_in_real_images(render, geometry, area, centre):
    mask = shadow_mask(render((*HUES, *geometry))[0])
    assert mask.sum() == pytest.approx(area, rel=0.1)
    np.testing.assert_allclose(np.mean(np.nonzero(mask), axis=1), centre, atol=0.4)


@pytest.mark.parametrize(
    ("geometry", "row", "columns", "blue"),
    [
        ((0, SPHERE, 14), 44, slice(25, 30), 14.0),
        ((7, CAPSULE, 14), 15, slice(22, 26), 19.25),
    ],
)
def test_highlights_end_where_they_do_in_real_images(
    render, geometry, row, columns, blue
):
    # A green object is blue only where the white highlight falls. It fades out over the
    # triangles of the mesh; computed for each ray by itself it would end higher up.
    image = render((*HUES, *geometry))[0]
    assert image[row, columns, 2].mean() == pytest.approx(blue, abs=4.0)


@pytest.mark.parametrize(
    ("factors", "pixel", "colour"),
    [
        ((*HUES, 0, CUBE, 0), (28, 3), (0, 99, 248)),  # wall
        ((*HUES, 0, CUBE, 0), (31, 6), (0, 99, 247)),
        ((*HUES, 0, CUBE, 0), (31, 14), (0, 94, 236)),  # a blotch
        ((*HUES, 0, CUBE, 0), (28, 61), (0, 70, 180)),
        ((*HUES, 0, CUBE, 0), (43, 58), (152, 1, 1)),  # floor in the corner
        ((*HUES, 0, CUBE, 0), (48, 32), (43, 221, 0)),  # object
        ((*HUES, 0, CUBE, 7), (28, 3), (0, 107, 255)),
        ((*HUES, 0, CUBE, 7), (48, 32), (50, 242, 0)),
        ((*HUES, 0, CUBE, 14), (28, 3), (0, 82, 205)),
        ((*HUES, 0, SPHERE, 14), (48, 32), (46, 237, 0)),
        ((0, 6, 0, 7, CAPSULE, 14), (11, 31), (252, 24, 24)),  # highlight
        ((0, 6, 7, 7, CAPSULE, 14), (11, 31), (71, 26, 248)),
        ((*HUES, 7, CAPSULE, 14), (55, 40), (86, 0, 0)),  # shadow
        ((1, 5, 2, 7, CAPSULE, 14), (55, 40), (92, 55, 0)),
        ((1, 5, 2, 7, CAPSULE, 14), (50, 4), (255, 193, 0)),
        ((6, 5, 2, 7, CAPSULE, 14), (50, 4), (4, 126, 255)),
        ((6, 5, 2, 7, CAPSULE, 14), (56, 60), (0, 91, 229)),
        ((0, 9, 2, 7, CAPSULE, 14), (28, 61), (246, 1, 148)),
    ],
)
def test_colours_are_those_of_real_images(render, factors, pixel, colour):
    np.testing.assert_allclose(render(factors)[0][pixel], colour, atol=8)
