"""Notation: braces, bases, units and words, read from the string alone; no text makes it fail or take long."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_aligned.answer_notation import closing, split_bases, split_unit, with_braces, without_end, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\sqrt(2)", r"\sqrt{2}"),
        (r"4\sqrt2(3)", r"4\sqrt{2}(3)"),
        (r"\sqrt(1+\sqrt(9))", r"\sqrt{1+\sqrt{9}}"),
        (r"\sqrt[3](8)", r"\sqrt[3]{8}"),
        (r"\sqrt\left(2\right)", r"\sqrt{2}"),
        (r"\frac(1)(2)(3)", r"\frac{1}{2}(3)"),
        (r"\frac{1}(2)", r"\frac{1}{2}"),
        (r"\frac123", r"\frac{1}{2}3"),
        (r"\frac \pi4", r"\frac {\pi}{4}"),
        (r"\dbinom(5)(2)", r"\dbinom{5}{2}"),
        (r"x^(-(1+2))+3", r"x^{-(1+2)}+3"),
        (r"x^2(3)", r"x^2(3)"),
        (r"f(2)", r"f(2)"),
        (r"\sqrt(2", r"\sqrt(2"),
        (r"\frac{1", r"\frac{1"),
        (r"\fraction(1)(2)", r"\fraction(1)(2)"),
    ],
)
def test_arguments_get_their_braces(text, expected):
    assert with_braces(text) == expected
    assert with_braces(expected) == expected


@pytest.mark.parametrize(
    ("text", "digits", "bases"),
    [
        ("2516_8", "2516", {8}),
        ("-221_{3}", "-221", {3}),
        ("0.0011_{2}", "0.0011", {2}),
        ("(52_8)", "(52)", {8}),
        ("5_6, 4_{7}", "5, 4", {6, 7}),
        ("152A_{11}", r"\text{152A}", {11}),
        ("2X_1", "2X_1", set()),  # no digit of base 1
        ("x_9", "x_9", set()),
        ("2x_9", "2x_9", set()),
        (r"2\log_2 3", r"2\log_2 3", set()),
        ("52_99", "52_99", set()),
        ("1_" + "9" * 5000, "1_" + "9" * 5000, set()),
    ],
)
def test_bases_are_those_of_numbers(text, digits, bases):
    assert split_bases(text) == (digits, bases)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        (r"10\text{ cm}", "10", "cm"),
        (r"10\,\mathrm{centimetres}", "10", "cm"),
        ("10 cm.", "10", "cm"),
        ("10cm", "10", "cm"),
        (r"15\mbox{ cm}^2", "15", "cm^2"),
        (r"15\text{ sq. cm}", "15", "cm^2"),
        ("864 inches^{2}", "864", "in^2"),
        (r"9\text{ cubic feet}", "9", "ft^3"),
        (r"45\text{ miles per hour}", "45", "mi/h"),
        ("45 m/s", "45", "m/s"),
        (r"9\text{ a.m.}", "9", "am"),
        ("5¢", "5", "cent"),
        (r"-\$0.50", r"-\$0.50", "dollar"),
        (r"50\%", r"50\%", "%"),
        (r"50\text{ percent}", r"50\text{ percent}", "%"),
        (r"90^{\circ}", r"90^{\circ}", "degree"),
        (r"10\text{ ways}", r"10\text{ ways}", None),  # what is counted is no unit
        (r"\text{m}", r"\text{m}", None),
        ("x = m", "x = m", None),
        ("2ms", "2ms", None),
        ("", "", None),
    ],
)
def test_units_behind_a_value_are_read_in_one_spelling(text, value, unit):
    assert split_unit(text) == (value, unit)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(r"\text{June} 20", "june20"), (r"\textbf{June\ 20}", "june20"), (r"1:03\text{ p.m.}", "1:03pm"), ("1.5.", "1.5")],
)
def test_words_are_compared_without_boxes_spaces_and_case(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4.", "4"), ("4,", "4"), ("4...", "4..."), ("4\\", "4"), (r"4\quad ", "4"), ("90°", r"90^\circ"), ("5~m", "5 m")]
    + [("So the total is 4.", "So the total is 4.")],
)
def test_the_end_is_no_part_of_an_answer(text, expected):
    assert without_end(text) == expected


@given(st.text("()x", max_size=12))
def test_the_closing_parenthesis_balances_the_opening_one(text):
    end = closing("(" + text, 1)
    depths = [text[:i].count("(") - text[:i].count(")") for i in range(len(text) + 1)]
    assert end == next((i for i, depth in enumerate(depths) if depth == -1), None)


PIECES = st.sampled_from(
    [*r"\{}()^_%$ .,-/19Axm√~", r"\frac", r"\sqrt", r"\text{", " cm", "_8", r"\left(", r"\circ", "per ", "\x00", "²"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_no_text_is_too_bad(text):
    assert isinstance(words(with_braces(split_unit(split_bases(without_end(text))[0])[0])), str)


@pytest.mark.parametrize(
    "piece", [r"\sqrt(", r"\frac{", "^(", "1A", "A", " ", "~", r"\,", "1_", "a ", "a/", r"\text{", "."]
)
def test_two_thousand_characters_take_no_time(piece):
    text = "1" + piece * (2_000 // len(piece))
    start = time.process_time()
    words(with_braces(split_unit(split_bases(without_end(text))[0])[0]))
    assert time.process_time() - start < 1
