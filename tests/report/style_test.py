"""Words from outside in figures: whatever they are, they can be drawn."""

import warnings

import pytest

from cfasl_jax.report import style

UNKNOWN = chr(0x10FFFD)  # for private use: in no font


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("floor_hue", "floor hue"),
        ("\N{GREEK SMALL LETTER BETA}", "\N{GREEK SMALL LETTER BETA}"),
        ("cost in $", r"cost in \$"),
        ("x" * 50, "x" * 29 + "\N{HORIZONTAL ELLIPSIS}"),
        ("", "factor 3"),
        ("___", "factor 3"),
        ("a\nb", "factor 3"),
        (f"a{UNKNOWN}", "factor 3"),
    ],
)
def test_names_are_short_and_of_known_characters(name, shown):
    assert style.printable(name, "factor 3") == shown


def test_odd_names_are_drawn_without_a_warning(tmp_path):
    with style.paper_style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = style.new_figure(2, 1)
        odd = ("a$b", "$\\frac$", "{x}_", "形状", UNKNOWN)
        for place, name in enumerate(odd):
            shown = style.printable(name, "factor 3")
            text = figure.text(0.1, place / 5, shown)
            assert text.get_text() == shown
        style.save(figure, tmp_path, "odd")
