"""The report's arrays refuse what would draw a wrong figure."""

import dataclasses

import numpy as np
import pytest
import report_synthetic as synthetic

from cfasl_jax.report import arrays


def replace(part, **fields):
    return lambda: dataclasses.replace(part, **fields)


WHOLE = synthetic.complete()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            replace(WHOLE.reconstructions, originals=np.zeros((5, 64, 64, 3))),
            "Reconstructions.originals must hold uint8 images, not float64",
        ),
        (
            replace(WHOLE.reconstructions, originals=np.zeros((5, 64, 64), np.uint8)),
            r"must have the axes \[n, H, W, C\]",
        ),
        (replace(WHOLE.traversals, kl=np.ones(4)), "Traversals.kl .* D = 3"),
        (replace(WHOLE.walk, dimensions=np.arange(4)), "Walk.dimensions"),
        (replace(WHOLE.section_steps, order=np.zeros((2, 4))), "SectionSteps.order"),
        (replace(WHOLE.codes, factor_names=("a",)), "2 factors and 1 names"),
        (replace(WHOLE.factor_maps, factor_names=("a",)), "2 factors and 1 names"),
        (replace(WHOLE.codebook, cosine=np.ones((3, 4))), "Codebook.cosine"),
        (replace(WHOLE.equivariance, factor_names=("a",)), "Equivariance.errors"),
        (replace(WHOLE.factor_steps[0], values=np.arange(9)), "FactorSteps.originals"),
        (replace(WHOLE.explorer, switch=None), "together or none"),
        (replace(WHOLE.explorer, attention=np.ones((4, 4, 3, 5))), "attention"),
        (lambda: arrays.FactorMaps(("a",)), "at least one"),
        (lambda: arrays.LossCurves(np.arange(3), {"kl": np.ones((1, 4))}), "'kl'"),
    ],
)
def test_wrong_arrays_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_active_dimensions_come_first_by_decreasing_kl():
    kl = np.array([1.0, 9.0, 3.0, 2.0])
    active = np.array([True, False, True, True])
    np.testing.assert_array_equal(arrays.kl_order(kl, active), [2, 3, 0, 1])
