"""Completion -> answer -> right, wrong, invalid or timed out, by math-verify and by the paper's own grader.

Votes group completions by the string `extract_answer` gives. Whether an answer is right is another question,
which math-verify decides: 0.5 and 1/2 are two votes and both may be right. Its known misjudgements stand as
cases, with the reason, in tests/unit/grading_cases.json. The paper's grader is kept beside it so that
published numbers compare.

math-verify runs in processes that may be killed, as sympy can compute for ever, or ask for all memory, on a
short string. It is imported when the first pair needs it.
"""

import contextlib
import logging
import math
import multiprocessing
import pickle
import re
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from .answer_notation import TEXT_BOX, closing, split_bases, split_unit, with_braces, without_end, words

if TYPE_CHECKING:
    from pebble import ProcessPool

Outcome = Literal["right", "wrong", "invalid", "timeout"]
Verifier = Callable[[str, str], bool]

logger = logging.getLogger(__name__)

# Longer answers are compared as strings only, so that a model that rambles costs no time limit per sample:
# math-verify's parser takes more than 10 s for 10,000 characters of nested braces. The longest answer of
# MATH-500 has 53.
LONGEST_VERIFIED = 2_000
# A worker may take this much memory on top of what it is born with; past it, sympy gets a MemoryError.
# Otherwise a tower of powers could have the kernel kill the whole job before the time limit does its work.
WORKER_MEMORY_BYTES = 2 * 1024**3
_POOLS_WITHOUT_RESULT = 3  # that many in a row are no accident

_UNSIGNED = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_SIGNED = rf"[+-]?{_UNSIGNED}"
_SIMPLE_NUMBER = re.compile(
    rf"(?P<sign>[+-]?)\\frac\{{(?P<top>{_SIGNED})\}}\{{(?P<bottom>{_SIGNED})\}}"
    rf"|(?P<number>{_SIGNED})(?:/(?P<divisor>{_SIGNED}))?"
)
_LONGEST_SIMPLE_NUMBER = 128  # with three digits of exponent, bounds the integers behind the exact fractions
_TOLERANCE = Fraction(1, 10_000)

# A number stands alone: not a piece of x2, 5cm, 52_8 or 1.2.3. A full stop after it ends the sentence.
# It has at most 100 groups of thousands: every group of 1,111,111,1, which is no number, is tried as the first
# one, and without a bound each would go through all that follow, in time that grows with the length squared.
_NUMBER_IN_TEXT = re.compile(
    r"(?<![\w.])[-+−]?"
    r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,100}+(?:\.[0-9]+)?(?!,?[0-9])|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"(?!\w|\.[0-9])"
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LEFT_RIGHT = re.compile(r"\\(?:left|right)(?![a-zA-Z])")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_BARE_DOLLAR = re.compile(r"(?<!\\)\$")
# What may stand around a number in a formula that cannot be read: words and signs that leave its value alone.
_WORDS = (
    r"(?:[a-zA-Z\s.,;:?!'\"*#$={}≈]|\\(?!sqrt|[dtc]?frac|infty)[a-zA-Z]+|\\[\s,;:!$#]"
    r"|[\^_]\{?\\(?:text|mathrm|circ)(?![a-zA-Z]))*+"
)
_NUMBER_AMONG_WORDS = re.compile(rf"{_WORDS}(?<![a-zA-Z])-?[0-9][0-9,]*+(?:\.[0-9]+)?(?![a-zA-Z]){_WORDS}")
_MOST_DIGITS = 10_000  # numbers below 10^-10000 are alike


class Grade(NamedTuple):
    """Grade of one completion.

    answer: the normalised string votes are counted on; None if the completion has no valid answer.
    correct: the verdict of math-verify; False for a timeout, which only `outcome` tells from a wrong answer.
    correct_paper_grader: the verdict of the paper's grader, which knows no timeouts.
    outcome: "right" or "wrong" (math-verify), "invalid" (no answer), "timeout" (no verdict within the limit).
    """

    answer: str | None
    correct: bool
    correct_paper_grader: bool
    outcome: Outcome


def extract_answer(completion: str, whole_is_answer: bool) -> str | None:
    r"""The answer of a completion, normalised; the string votes are counted on. None = invalid. Never raises.

    It is what the last \boxed or \fbox holds; if that box is empty or unclosed, the completion is invalid.
    Without a box: the whole completion if `whole_is_answer` (the model was trained on answers alone), else
    the last number in the text (sign, thousands groups, decimals and exponent included).
    Source: the paper's released code, which differs in three details of the last number: it drops a unicode
    minus, reads 500 out of 58,500, and keeps the full stop of "is 7."; each would split or misdirect votes.
    """
    text = answer_text(completion, whole_is_answer)
    return None if text is None else normalize_answer(text)


def normalize_answer(answer: str) -> str:
    r"""`answer` without outer $, \left, \right and white space; ASCII minus signs; \dfrac, \tfrac as \frac.

    It never computes: 0.5 and 1/2 stay two strings. Source: the paper's released code.
    """
    text = _LEFT_RIGHT.sub("", _bare(answer)).replace(r"\dfrac", r"\frac").replace(r"\tfrac", r"\frac")
    return "".join(text.split())


def paper_grader(completion: str, gold: str, whole_is_answer: bool = False) -> bool:
    r"""Verdict of the paper's own grader on a completion; `gold` is a bare answer. Never raises.

    Right if the normalised strings are equal, or both are simple numbers (integer, decimal, scientific, a/b,
    \frac{a}{b}) less than 1e-4 apart. No algebra, no units, no sets. As the difference is absolute, any two
    answers below 5e-5 are the same to it.
    Source: the paper's released code. Its default rule knows no `whole_is_answer`, which models trained on
    answers alone need: from their "\frac{9}{7}", which has no box, that rule reads the last number, 7, and
    calls even the gold answer wrong.
    """
    answer = extract_answer(completion, whole_is_answer)
    return answer is not None and _paper_equal(answer, normalize_answer(gold))


def math_verify_verdict(answer: str, gold: str) -> bool:
    r"""Verdict of math-verify on a bare answer, in this process and without a time limit: it may never return.

    What it cannot parse it compares as text. `grade_many` is the safe way in; this is what its workers run.
    It is asked after these rules, for what it drops or misreads:

    - Bases and units that both sides name must be the same; one that a side leaves out is no fault.
    - Words are equal as text, whichever part of them stands in a text box: \text{June 20} and June 20.
    - White space and one full stop or comma at the end are no part of the answer.
    - Parentheses may stand for the braces of an argument: \sqrt(2).
    - A formula it cannot read has no value, unless it is one number among words; it would take the last number in it.
    - A chain of equations must be true in itself: x = 3 + 4 = 7 is 7, 6 = 7 is not.
    - Numbers are compared to six decimals, and never to fewer than four digits of the smallest number in either.
    Source: Math-Verify 0.9.0, https://github.com/huggingface/Math-Verify.
    """
    a, b = _read(answer), _read(gold)
    if (a.bases and b.bases and a.bases != b.bases) or (a.unit and b.unit and a.unit != b.unit):
        return False
    if (a.is_boxed or b.is_boxed) and a.words == b.words:
        return True
    if any(_contradicts_itself(part) for part in a.parsed):
        return False
    more = max(a.more_digits, b.more_digits)
    return _verify(b.parsed, a.parsed, more)


def grade_many(
    pairs: Iterable[tuple[str, str]],
    *,
    whole_is_answer: bool,
    time_limit_s: float,
    workers: int,
    verifier: Verifier = math_verify_verdict,
) -> list[Grade]:
    """Grades of (completion, gold) pairs, in their order. No text makes it raise, hang or die.

    pairs: completions with the bare gold answer; what occurs twice is graded once.
    whole_is_answer: see `extract_answer`.
    time_limit_s: seconds of one pair in the verifier; then its process is killed: outcome "timeout".
    workers: processes that run the verifier. None is started if strings and integers decide every pair.
    verifier: (answer, gold) -> right or not; a module-level function, as its name is sent to the workers.

    A verifier that raises, or dies with its process, leaves the comparison of strings, "wrong", and a warning
    in the log. The workers are forks: call it where no torch is loaded.
    Errors: RuntimeError if no worker process can be kept alive; pickle's own for a verifier without a name.
    """
    pairs = [(completion, gold) for completion, gold in pairs]
    texts = {pair: answer_text(pair[0], whole_is_answer) for pair in dict.fromkeys(pairs)}
    outcomes = {pair: _quick_outcome(text, pair[1]) for pair, text in texts.items()}
    undecided = dict.fromkeys((texts[pair], pair[1]) for pair, outcome in outcomes.items() if outcome is None)
    verified = _verify_in_pool(list(undecided), verifier, time_limit_s, workers)
    grades = {}
    for pair, text in texts.items():
        gold = pair[1]
        outcome = outcomes[pair] or verified[text, gold]
        answer = None if text is None else normalize_answer(text)
        by_paper = answer is not None and _paper_equal(answer, normalize_answer(gold))
        grades[pair] = Grade(answer, outcome == "right", by_paper, outcome)
    return [grades[pair] for pair in pairs]


def answer_text(completion: str, whole_is_answer: bool) -> str | None:
    """The answer as it was written, or None where nothing is left of it once normalised."""
    boxes = list(_BOX.finditer(completion))
    if boxes:
        start = boxes[-1].end()
        end = closing(completion, start)
        text = None if end is None else completion[start:end]
    elif whole_is_answer:
        text = completion
    else:
        numbers = _NUMBER_IN_TEXT.findall(completion)
        text = numbers[-1] if numbers else None
    return text if text is not None and normalize_answer(text) else None


def _bare(answer: str) -> str:
    text = answer.strip().replace("−", "-")
    return text.strip("$").strip() if text.startswith("$") and text.endswith("$") else text


def _paper_equal(answer: str, gold: str) -> bool:
    if answer == gold:
        return True
    a, b = _simple_number(answer), _simple_number(gold)
    return a is not None and b is not None and abs(a - b) < _TOLERANCE


def _simple_number(text: str) -> Fraction | None:
    match = _SIMPLE_NUMBER.fullmatch(text) if len(text) <= _LONGEST_SIMPLE_NUMBER else None
    if match is None:
        return None
    top, bottom = (
        Fraction(match["top"] or match["number"]),
        Fraction(match["bottom"] or match["divisor"] or 1),
    )
    if bottom == 0:
        return None
    return (-top if match["sign"] == "-" else top) / bottom


def _quick_outcome(text: str | None, gold: str) -> Outcome | None:
    """The outcome where it needs no parser: math-verify would say the same. None where it is needed."""
    if text is None:
        return "invalid"
    if normalize_answer(text) == normalize_answer(gold):
        return "right"
    if max(len(text), len(gold)) > LONGEST_VERIFIED:
        return "wrong"
    answer, gold = _bare(text), _bare(gold)
    if _INTEGER.fullmatch(answer) and _INTEGER.fullmatch(gold):
        return "right" if int(answer) == int(gold) else "wrong"
    return None


class _Reading(NamedTuple):
    parsed: list  # math-verify's: formulas of sympy and, last, the string they were read from
    bases: frozenset[int]
    unit: str | None
    words: str
    is_boxed: bool  # some of the words stand in a text box
    more_digits: int  # decimals that its smallest number needs beyond those that math-verify compares


@lru_cache(maxsize=512)  # the samples of a problem share its gold
def _read(answer: str) -> _Reading:
    line = " ".join(answer.split())
    bare = _bare(line)
    text = without_end(line if _BARE_DOLLAR.search(bare) else bare)  # "$5$ and $6$" brings its own dollars
    text, bases = split_bases(text)
    value, unit = split_unit(text)
    parsed = _parse(with_braces(value))
    return _Reading(parsed, bases, unit, words(text), TEXT_BOX.search(text) is not None, _more_digits(parsed))


def _parse(text: str) -> list:
    """Formulas and strings that math-verify finds in `text`."""
    math_verify = _math_verify()
    line = text if _BARE_DOLLAR.search(text) else f"${text}$"
    found = math_verify.parse(line, [math_verify.LatexExtractionConfig()], parsing_timeout=None)
    if all(isinstance(part, str) for part in found) and not _NUMBER_AMONG_WORDS.fullmatch(text):
        return found  # asked without LaTeX alone, it would find the last number in the formula
    return math_verify.parse(line, parsing_timeout=None)


def _verify(gold: list, answer: list, more_digits: int = 0) -> bool:
    digits = {"float_rounding": 6 + more_digits, "numeric_precision": 15 + more_digits}
    return _math_verify().verify(gold, answer, timeout_seconds=None, **digits)


def _more_digits(parsed: list) -> int:
    """Decimals beyond six that the smallest number in `parsed` needs to show four digits."""
    import mpmath
    from sympy import Expr, preorder_traversal

    sizes = [0]
    for part in parsed:
        for term in () if isinstance(part, str) else preorder_traversal(part):
            if isinstance(term, Expr) and term.is_number:
                size = abs(term.evalf(5))
                if size.is_Float and size:
                    sizes.append(mpmath.mag(mpmath.mpf(size)))
    # mag: the power of two just above the number
    return min(max(0, -math.floor((min(sizes) - 1) * math.log10(2)) - 3), _MOST_DIGITS)


def _contradicts_itself(part) -> bool:
    """Whether an equation, or a list of them, says that different numbers are the same."""
    from sympy import And, Eq, Expr, FiniteSet, Tuple

    if isinstance(part, FiniteSet | Tuple):
        return any(_contradicts_itself(one) for one in part.args)
    equations = part.args if isinstance(part, And) else (part,)
    sides = [side for equation in equations if isinstance(equation, Eq) for side in equation.args]
    numbers = [side for side in sides if isinstance(side, Expr) and side.is_number]
    return any(not _same_number(numbers[0], other) for other in numbers[1:])


def _same_number(a, b) -> bool:
    r"""Whether two constants are equal; a decimal may be the other one rounded, as in x = \sqrt{17} = 4.12."""
    steps = [10.0 ** Decimal(repr(float(one))).as_tuple().exponent for one in (a, b) if one.is_Float]
    return abs(complex(a - b)) <= 0.500001 * max(steps) if steps else _verify([a], [b])


@lru_cache(maxsize=1)
def _math_verify():
    import math_verify

    # It warns once per process that its own time limit is off. That one rests on signal.alarm, which works in
    # a main thread only and cannot interrupt one long operation on integers; ours kills the process.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    return math_verify


def _verify_in_pool(
    items: list[tuple[str, str]], verifier: Verifier, time_limit_s: float, workers: int
) -> dict[tuple[str, str], Outcome]:
    outcomes = {}
    if items:
        # A verifier that cannot be sent to the workers would fail each time, and look like wrong answers.
        pickle.dumps(verifier)
        # Forks have what is imported and warmed up here, before any clock starts.
        math_verify_verdict("1/2", "0.5")
    stalled = 0
    while items:
        done = _one_pool(items, verifier, time_limit_s, min(workers, len(items)))
        stalled = 0 if done else stalled + 1
        if stalled == _POOLS_WITHOUT_RESULT:
            raise RuntimeError(f"grading: no worker process could be kept alive for {len(items)} answers")
        outcomes |= done
        items = [item for item in items if item not in done]
    return outcomes


def _one_pool(
    items: list[tuple[str, str]], verifier: Verifier, time_limit_s: float, workers: int
) -> dict[tuple[str, str], Outcome]:
    """Outcomes of `items`, without those lost if the pool itself breaks down (an idle worker was killed)."""
    from pebble import ProcessPool

    fork = multiprocessing.get_context("fork")
    pool = ProcessPool(max_workers=workers, context=fork, initializer=_prepare_worker)
    outcomes: dict[tuple[str, str], Outcome] = {}
    failures = 0
    try:
        futures = {}
        for item in items:
            try:  # one task per pair: pebble's map would put a whole chunk under one time limit
                futures[item] = pool.schedule(verifier, args=item, timeout=time_limit_s)
            except RuntimeError:  # so a pool that broke down refuses
                break
        for item, future in futures.items():
            try:
                outcomes[item] = "right" if _result(future, pool) else "wrong"
            except TimeoutError:
                outcomes[item] = "timeout"
            except BrokenProcessPool:
                continue
            except Exception:  # raised by the verifier, or its process died; that the strings differ is known
                outcomes[item] = "wrong"
                failures += 1
    finally:
        pool.stop()
        pool.join()
    if failures:
        logger.warning("the verifier failed on %d of %d answers: compared as strings", failures, len(items))
    return outcomes


def _result(future: Future, pool: "ProcessPool") -> bool:
    """`future.result()`; BrokenProcessPool where the pool broke down before it took notice of the task."""
    while not future.done():
        wait([future], timeout=0.2)
        # pebble answers only the tasks it had registered; waiting for one still in its queue would never end.
        if not future.done() and not pool.active:
            raise BrokenProcessPool
    return future.result()


def _prepare_worker() -> None:
    # pebble's handler for SIGTERM is Python, which must wait while one operation on huge integers runs: 3 s
    # more per timeout. The default action kills at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(ImportError, OSError, ValueError):  # no /proc: the time limit alone must do
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + WORKER_MEMORY_BYTES, hard))
