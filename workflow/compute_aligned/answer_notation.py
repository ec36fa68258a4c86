"""What the notation of an answer says and math-verify drops or misreads: bases, units, words, parentheses for braces.

It drops the base of 52_8 and the unit of 5 cm, whatever they are, reads words without a text box as products of
letters, and cannot read a root whose argument stands in parentheses. Nothing here computes a value.
"""

import re

# --- arguments ---
_ROOT = re.compile(r"(?<![\\a-zA-Z])sqrt(?![a-zA-Z])|√")
_SIZED_PARENTHESIS = re.compile(r"\\(?:left|right)\s*(?=[()])")
_COMMAND = re.compile(r"\\(?:(?P<two>[dtc]?frac|[dt]?binom)|sqrt)(?![a-zA-Z])\s*(?:\[[^\[\]]*\])?|(?P<power>\^)")
_ARGUMENT = re.compile(r"\s*(?:(?P<open>[({])|(?P<token>[0-9a-zA-Z]|\\(?!sqrt|[dtc]?frac|[dt]?binom)[a-zA-Z]+))")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is a character, not a group
_PARENTHESIS = re.compile(r"[()]")

# --- bases ---
# Digits above 9 are capital letters; a digit must stand among them, as in 152A_{11}, or it is a variable.
_BASE = re.compile(r"(?<![a-zA-Z\\])([0-9][0-9A-Z]*|[A-Z]+[0-9][0-9A-Z]*)_(?:([0-9]+)|\{\s*([0-9]+)\s*\})")

# --- text boxes and units ---
_BOX = r"\\(?:text(?:rm|bf|it|normal)?|math(?:rm|bf|it)|[mh]box)\s*\{(?P<boxed>[^{}]*)\}"
TEXT_BOX = re.compile(_BOX)
_NO_LETTER = re.compile(r"\\[\s,;:!]|[\s~]|(?<![0-9])\.|\.(?![0-9])")
_DEGREE = re.compile(r"°|\^?\\degree(?![a-zA-Z])")
_SPACE_AT_THE_END = re.compile(r"(?:\\(?:[\s,;:!]|$)|\\q?quad|[\s~])+$")
_STOP_AT_THE_END = re.compile(r"(?<![.,;])[.,;]$")
_SENTENCE = re.compile(r"[a-zA-Z]{2,} [a-zA-Z]{2,}")
_UNIT_AT_THE_END = re.compile(
    rf"(?:{_BOX}|(?<![a-zA-Z\\])(?P<bare>[a-zA-Z][a-zA-Z./ ]*|¢))\s*(?:\^\s*\{{?\s*(?P<power>[0-9])\s*\}}?)?[\s.]*$"
)
_UNITS = {
    spelling: unit
    for unit, spellings in {
        **{"mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "m": "m meter metre"},
        **{"km": "km kilometer kilometre", "in": "in inch", "ft": "ft foot feet", "yd": "yd yard", "mi": "mi mile"},
        **{"mg": "mg milligram", "g": "g gm gram", "kg": "kg kilogram", "oz": "oz ounce", "lb": "lb pound"},
        **{"ml": "ml milliliter millilitre", "l": "l liter litre", "gal": "gal gallon"},
        **{"s": "s sec second", "min": "min minute", "h": "h hr hour", "day": "day", "week": "week"},
        **{"month": "month", "year": "yr year", "am": "am", "pm": "pm", "mi/h": "mph", "km/h": "kph kmh"},
        **{"cent": "cent ¢", "dollar": "dollar usd", "degree": "deg degree", "radian": "rad radian", "%": "percent"},
    }.items()
    for spelling in spellings.split()
}
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}


def without_end(text: str) -> str:
    r"""`text` without white space at its end, nor a full stop or comma unless it ends a sentence; degrees as ^\circ."""
    text = _SPACE_AT_THE_END.sub("", _DEGREE.sub(r"^\\circ", text.replace("~", " ")))
    return text if _SENTENCE.search(text) else _SPACE_AT_THE_END.sub("", _STOP_AT_THE_END.sub("", text))


def with_braces(text: str) -> str:
    r"""`text` with braces around the arguments of roots, fractions, binomials and powers.

    Parentheses that stand in their place become braces: \sqrt(2), \frac(1)(2), x^(-(1+2)), sqrt(2), √2. So do the
    digits, letters and commands that TeX takes without: \frac12 is \frac{1}{2} and \frac123 is \frac{1}{2}3.
    """
    text = _ROOT.sub(r"\\sqrt ", _SIZED_PARENTHESIS.sub("", text))
    for command in reversed(list(_COMMAND.finditer(text))):  # from the end: what an argument holds is done before it
        end = command.end()
        for _ in range(2 if command["two"] else 1):
            argument = _ARGUMENT.match(text, end)
            if argument is None or (command["power"] and argument["open"] != "("):
                break
            first, end = argument.span("token" if argument["token"] else "open")
            last = end if argument["token"] else closing(text, end)
            if last is None:
                break
            inside = text[first:last] if argument["token"] else text[end:last]
            text = f"{text[:first]}{{{inside}}}{text[last if argument['token'] else last + 1 :]}"
            end = first + len(inside) + 2
    return text


def closing(text: str, start: int) -> int | None:
    """Position of the bracket that closes the one before `start`, a brace or a parenthesis; None if it stays open."""
    pattern, opening = (_BRACE, "{") if text[start - 1] == "{" else (_PARENTHESIS, "(")
    depth = 1
    for bracket in pattern.finditer(text, start):
        if not bracket.group().startswith("\\"):
            depth += 1 if bracket.group() == opening else -1
        if depth == 0:
            return bracket.start()
    return None


def split_bases(text: str) -> tuple[str, frozenset[int]]:
    """`text` without the bases of its numbers, and those bases: {8} for 52_8. Numbers with letters become words."""
    bases = set()

    def digits(number: re.Match) -> str:
        subscript = number[2] or number[3]
        base = int(subscript) if len(subscript) < 3 else 0
        if not 2 <= base <= 36 or (not number[1].isdigit() and not _is_number(number[1], base)):
            return number.group()
        bases.add(base)
        return number[1] if number[1].isdigit() else rf"\text{{{number[1]}}}"

    return _BASE.sub(digits, text), frozenset(bases)


def split_unit(text: str) -> tuple[str, str | None]:
    r"""`text` without the unit of measurement behind it, and the unit in one spelling: "cm^2" for \mbox{ square cm}.

    None where no unit is known, as in 5 apples. Percent, degrees and dollars stay in the text: math-verify reads them.
    """
    if text.endswith("%"):
        return text, "%"
    if re.search(r"\^\s*\{?\s*\\circ\s*\}?$", text):
        return text, "degree"
    if re.match(r"[-+]?\s*\\\$", text):
        return text, "dollar"
    found = _UNIT_AT_THE_END.search(text)
    if found is None:
        return text, None
    value = _SPACE_AT_THE_END.sub("", text[: found.start()])
    unit = _unit(found["boxed"] if found["bare"] is None else found["bare"], found["power"])
    if unit is None or not re.search(r"[0-9})]$" if found["bare"] else r"[0-9a-zA-Z})]$", value):
        return text, None
    return (text if unit == "%" else value), unit


def words(text: str) -> str:
    r"""`text` without text boxes, spaces, full stops and the case of letters: june20 for \text{June} 20."""
    return _NO_LETTER.sub("", TEXT_BOX.sub(lambda box: box["boxed"], text)).casefold()


def _is_number(digits: str, base: int) -> bool:
    try:
        int(digits, base)
    except ValueError:
        return False
    return True


def _unit(phrase: str, power: str | None) -> str | None:
    name, exponent = "", ""
    for word in phrase.casefold().replace(".", "").replace("/", " per ").split():
        if word in _POWERS:
            exponent = _POWERS[word]
        elif word == "per":
            name += "/"
        else:
            singulars = [word, *(word.removesuffix(end) for end in ("s", "es") if len(word) > 2)]
            unit = next((_UNITS[singular] for singular in singulars if singular in _UNITS), None)
            if unit is None:
                return None
            name, exponent = name + unit + exponent, ""
    return f"{name}^{power}" if name and power else name or None
