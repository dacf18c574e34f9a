"""scikit-learn's estimators, imported where they are first used.

Importing them takes about a second, which training and reading results need not spend.
"""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import threadpoolctl


def logistic_regression(**options: Any) -> Any:
    """A LogisticRegression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**options)


def linear_svm(**options: Any) -> Any:
    """A LinearSVC."""
    from sklearn.svm import LinearSVC

    return LinearSVC(**options)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """One BLAS thread; no warnings of fits that end at the protocol's max_iter."""
    from sklearn.exceptions import ConvergenceWarning

    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
