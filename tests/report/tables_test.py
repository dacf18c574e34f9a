"""The tables of a run's page."""

import report_synthetic as synthetic

from cfasl_jax.report import tables


def test_metrics_are_cited_by_the_name_that_their_score_has():
    names = ("gaussian_wasserstein_correlation", "infom", "mig")
    cited = tables.citations({"scores": {key: {} for key in names}}, {})
    places = [
        cited.index(f"<li>{name}: ")
        for name in ("Gaussian Wasserstein correlation", "InfoMEC", "MIG")
    ]
    assert places == sorted(places)


def test_scores_whose_lower_values_are_better_say_so():
    said = tables.scores({"scores": {"gaussian_total_correlation": {"mean": 1.0}}})
    assert "in nats. Lower is better. Locatello" in said


def test_scores_by_factor_stand_under_the_names_of_the_factors():
    shown = tables.scores(synthetic.RESULTS)
    assert '<th scope="col">x position</th><th scope="col">hue</th>' in shown
    row = "<td>37.50</td><td>12.50</td><td>\N{EN DASH}</td>"
    assert f'<th scope="row">MIG</th>{row}</tr>' in shown
