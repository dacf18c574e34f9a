import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cfasl_jax.data import dsprites

SQUARE, ELLIPSE, HEART = 0, 1, 2

# Measured on frames of the published set: factors, number of white pixels, first and
# last column, first and last row, mean column and row.
PUBLISHED = [
    ((HEART, 0, 0, 0, 0), 58, (11, 20, 11, 19), (15.50, 14.62)),
    ((HEART, 2, 0, 0, 0), 108, (9, 22, 9, 21), (15.50, 13.98)),
    ((HEART, 4, 0, 0, 0), 182, (7, 24, 8, 22), (15.50, 13.66)),
    ((HEART, 5, 0, 0, 0), 222, (6, 25, 7, 23), (15.50, 13.57)),
    ((HEART, 5, 4, 0, 0), 224, (5, 22, 5, 23), (14.31, 13.90)),
    ((HEART, 5, 9, 0, 0), 225, (6, 23, 6, 24), (13.40, 15.25)),
    ((HEART, 5, 15, 0, 0), 225, (5, 21, 9, 26), (14.19, 16.92)),
    ((HEART, 5, 20, 0, 0), 226, (7, 25, 7, 25), (15.63, 17.49)),
    ((HEART, 5, 29, 0, 0), 225, (7, 25, 7, 25), (17.40, 15.67)),
    ((HEART, 5, 0, 0, 12), 224, (6, 25, 19, 36), (15.50, 25.73)),
    ((HEART, 5, 0, 0, 31), 222, (6, 25, 39, 55), (15.50, 45.57)),
    ((HEART, 5, 0, 15, 31), 220, (22, 40, 39, 57), (30.96, 45.52)),
    ((HEART, 5, 0, 31, 31), 222, (38, 57, 39, 55), (47.50, 45.57)),
    ((HEART, 5, 0, 31, 13), 222, (38, 57, 20, 37), (47.50, 26.78)),
    ((ELLIPSE, 0, 0, 0, 0), 76, (10, 21, 12, 19), (15.50, 15.50)),
    ((ELLIPSE, 3, 0, 0, 0), 184, (6, 25, 10, 21), (15.50, 15.50)),
    ((ELLIPSE, 5, 0, 0, 0), 288, (3, 28, 9, 22), (15.50, 15.50)),
    ((ELLIPSE, 5, 4, 0, 0), 292, (5, 26, 6, 25), (15.50, 15.50)),
    ((ELLIPSE, 5, 9, 0, 0), 286, (9, 22, 3, 28), (15.50, 15.50)),
    ((ELLIPSE, 5, 15, 0, 0), 294, (5, 26, 6, 25), (15.50, 15.50)),
    ((ELLIPSE, 5, 23, 0, 0), 286, (5, 26, 7, 24), (15.50, 15.50)),
    ((SQUARE, 0, 0, 0, 0), 100, (11, 20, 11, 20), (15.50, 15.50)),
    ((SQUARE, 2, 0, 0, 0), 196, (9, 22, 9, 22), (15.50, 15.50)),
    ((SQUARE, 4, 0, 0, 0), 324, (7, 24, 7, 24), (15.50, 15.50)),
    ((SQUARE, 5, 0, 0, 0), 400, (6, 25, 6, 25), (15.50, 15.50)),
    ((SQUARE, 5, 2, 0, 0), 372, (4, 27, 4, 27), (15.50, 15.50)),
    ((SQUARE, 5, 5, 0, 0), 364, (3, 28, 3, 28), (15.50, 15.50)),
    ((SQUARE, 5, 10, 0, 0), 372, (6, 25, 6, 25), (15.50, 15.50)),
]


RENDER = jax.jit(dsprites.render)


def draw(*factors):
    """White pixels of one combination, bool [64, 64]."""
    return np.asarray(RENDER(jnp.asarray([factors])))[0, :, :, 0] > 0


def centre(white):
    rows, columns = np.nonzero(white)
    return columns.mean(), rows.mean()


@pytest.mark.parametrize(("factors", "area", "box", "middle"), PUBLISHED)
def test_area_box_and_centre_are_those_of_the_published_image(
    factors, area, box, middle
):
    white = draw(*factors)
    rows, columns = np.nonzero(white)
    assert abs(white.sum() - area) <= 2
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == box
    np.testing.assert_allclose(centre(white), middle, atol=0.05)


def outline(shape):
    """Corners of a shape of scale 1, in pixels, y downwards, as plain floats."""
    if shape == SQUARE:
        return [(-9.598, -9.598), (9.598, -9.598), (9.598, 9.598), (-9.598, 9.598)]
    corners = []
    for step in range(400):
        t = 2 * math.pi * step / 400
        if shape == ELLIPSE:
            corners.append((12.766 * math.cos(t), 7.2135 * math.sin(t)))
        else:
            up = 13 * math.cos(t) - 5 * math.cos(2 * t)
            up -= 2 * math.cos(3 * t) + math.cos(4 * t)
            corners.append((0.5996 * 16 * math.sin(t) ** 3, -0.6622 * up - 1.4363))
    return corners


def draw_by_ray_casting(shape, scale, orientation, x_position, y_position):
    """One image by a plain loop: turn the outline, count crossings to the right."""
    angle = math.radians(360 / 39 * orientation)
    corners = []
    for x, y in outline(shape):
        turned_x = x * math.cos(angle) + y * math.sin(angle)
        turned_y = y * math.cos(angle) - x * math.sin(angle)
        size = 0.5 + 0.1 * scale
        corners.append(
            (
                size * turned_x + 15.5 + 32 * x_position / 31,
                size * turned_y + 15.5 + 32 * y_position / 31,
            )
        )
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    white = np.zeros((64, 64), bool)
    for row in range(64):
        crossings = [
            x1 + (row - y1) * (x2 - x1) / (y2 - y1)
            for (x1, y1), (x2, y2) in edges
            if (y1 > row) != (y2 > row)
        ]
        for column in range(64):
            white[row, column] = sum(x > column for x in crossings) % 2
    return white


@pytest.mark.parametrize(
    "factors",
    [
        (SQUARE, 5, 0, 0, 0),
        (SQUARE, 3, 7, 20, 9),
        (ELLIPSE, 5, 6, 31, 2),
        (ELLIPSE, 1, 33, 11, 25),
        (HEART, 5, 0, 16, 16),
        (HEART, 4, 12, 3, 30),
        (HEART, 2, 25, 28, 5),
        (HEART, 0, 38, 9, 17),
    ],
)
def test_agrees_with_a_plain_loop(factors):
    different = draw(*factors) != draw_by_ray_casting(*factors)
    # A pixel centre on the outline may fall either way.
    assert different.sum() <= 1


def test_values_and_type():
    images = dsprites.render(dsprites.GRID.factors(jnp.arange(0, 737280, 5003)))
    chex.assert_shape(images, (148, 64, 64, 1))
    assert images.dtype == jnp.uint8
    assert set(np.unique(images).tolist()) == {0, 255}


def test_shapes_differ_and_scale_grows_the_area():
    square, ellipse, heart = (draw(shape, 5, 0, 10, 10) for shape in range(3))
    assert (square != ellipse).sum() > 50
    assert (ellipse != heart).sum() > 50
    assert (heart != square).sum() > 50
    for shape in range(3):
        areas = [draw(shape, scale, 0, 10, 10).sum() for scale in range(6)]
        assert np.all(np.diff(areas) > 0)
        assert 3 < areas[-1] / areas[0] < 5


def test_positions_move_the_sprite_right_and_down_in_even_steps():
    centres = [centre(draw(ELLIPSE, 5, 3, x, 7)) for x in range(32)]
    columns, rows = np.transpose(centres)
    np.testing.assert_allclose(columns, 15.5 + np.arange(32) * 32 / 31, atol=0.3)
    np.testing.assert_allclose(rows, 15.5 + 7 * 32 / 31, atol=0.3)
    centres = [centre(draw(ELLIPSE, 5, 3, 7, y)) for y in range(32)]
    columns, rows = np.transpose(centres)
    np.testing.assert_allclose(columns, 15.5 + 7 * 32 / 31, atol=0.3)
    np.testing.assert_allclose(rows, 15.5 + np.arange(32) * 32 / 31, atol=0.3)


def test_orientation_turns_counterclockwise_once_round():
    # The heart's centre of mass lies above its centre of rotation.
    offsets = np.array([centre(draw(HEART, 5, turn, 0, 0)) for turn in range(40)])
    offsets -= 15.5
    angles = np.unwrap(np.arctan2(-offsets[:, 1], offsets[:, 0]))
    expected = np.pi / 2 + 2 * np.pi * np.arange(40) / 39
    np.testing.assert_allclose(angles, expected, atol=0.15)


def test_first_and_last_orientation_are_the_same_image():
    for shape in range(3):
        for scale in range(6):
            np.testing.assert_array_equal(
                draw(shape, scale, 0, 5, 21), draw(shape, scale, 39, 5, 21)
            )


def test_no_sprite_touches_the_border():
    corners = [
        (shape, scale, turn, x, y)
        for shape in range(3)
        for scale in range(6)
        for turn in range(40)
        for x in (0, 31)
        for y in (0, 31)
    ]
    white = np.asarray(jax.jit(dsprites.render)(jnp.asarray(corners))[..., 0]) > 0
    assert white.any(axis=(1, 2)).all()
    assert not white[:, [0, -1], :].any()
    assert not white[:, :, [0, -1]].any()


@chex.variants(with_jit=True, without_jit=True)
class TransformationsTest(chex.TestCase):
    def test_jit_and_vmap_do_not_change_images(self):
        factors = dsprites.GRID.factors(jnp.arange(0, 737280, 92160))
        expected = np.stack([draw(*row) for row in np.asarray(factors)])
        images = self.variant(dsprites.render)(factors)
        np.testing.assert_array_equal(images[..., 0] > 0, expected)
        nested = self.variant(jax.vmap(dsprites.render))(factors.reshape(2, 4, 5))
        np.testing.assert_array_equal(nested.reshape(images.shape), images)


def test_factors_of_another_shape_or_type_are_refused():
    with pytest.raises(AssertionError):
        dsprites.render(jnp.zeros((3, 4), jnp.int32))
    with pytest.raises(AssertionError):
        dsprites.render(jnp.zeros((3, 5), jnp.float32))
