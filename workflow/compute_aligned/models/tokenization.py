"""Prompts and targets as token ids: one place, so that training and sampling see the same prompt."""

import re
from collections.abc import Sequence
from functools import lru_cache

from transformers import PreTrainedTokenizerBase

from ..tasks import Problem

IGNORED = -100  # label of a token that is not supervised


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a user turn followed by the template's opening of the assistant's turn.

    Raises:
        ValueError: the prompt cannot be encoded as text.
    """
    return _encode_turns(tokenizer, [prompt], add_generation_prompt=True)


def encode_prompts(tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem]) -> list[list[int]]:
    """Token ids of each problem's prompt.

    Raises:
        ValueError: a prompt cannot be encoded as text; it names the problem.
    """
    return [_encode_problem(tokenizer, problem.problem_id, [problem.prompt], True) for problem in problems]


def without_long_prompts(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], longest_prompt: int
) -> tuple[list[Problem], int]:
    """The problems to train on, and how many were left out because their prompts have too many tokens.

    Raises:
        ValueError: none is left, or a prompt cannot be encoded as text.
    """
    prompts = encode_prompts(tokenizer, problems)
    short = [problem for problem, ids in zip(problems, prompts, strict=True) if len(ids) <= longest_prompt]
    if not short:
        raise ValueError(f"all {len(problems)} prompts are longer than longest_prompt, {longest_prompt} tokens")
    return short, len(problems) - len(short)


def encode_example(
    tokenizer: PreTrainedTokenizerBase, problem_id: str, prompt: str, target: str, max_length: int
) -> dict[str, list[int]]:
    """Token ids and labels of one training example; only target and end token are supervised.

    Args:
        problem_id: for error messages.
        prompt: the user turn.
        target: the assistant's turn.
        max_length: longest sequence in tokens; the end of a longer target is cut (paper Apps. H to J).

    Raises:
        ValueError: the prompt alone fills ``max_length``, so that no target token would be supervised; the
            template renders the prompt differently before a target; the target gets no end token; or prompt or
            target cannot be encoded as text.
    """
    prompt_ids = _encode_problem(tokenizer, problem_id, [prompt], True)
    ids = _encode_problem(tokenizer, problem_id, [prompt, target], False)
    if ids[: len(prompt_ids)] != prompt_ids:
        raise ValueError(
            f"problem {problem_id}: the chat template gives other prompt tokens with a target than without one, "
            "so training would see another prompt than sampling"
        )
    end = turn_end(tokenizer)
    if end not in ids[len(prompt_ids) :]:
        raise ValueError(f"problem {problem_id}: the chat template does not end a target with the end token")
    # Some templates put white space after the end token; the model stops at the end token, so p ends there too.
    ids = ids[: ids.index(end, len(prompt_ids)) + 1]
    if len(prompt_ids) >= max_length:
        raise ValueError(
            f"problem {problem_id}: its prompt has {len(prompt_ids)} tokens, "
            f"which leaves no room for a target within max_length {max_length}"
        )
    ids = ids[:max_length]
    return {"input_ids": ids, "labels": [IGNORED] * len(prompt_ids) + ids[len(prompt_ids) :]}


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Id of the token with which the chat template ends a target: the first control token behind it; None: none."""
    return _turn_end(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=4)  # asked for with each example, and a template takes as long to render as an example to encode
def _turn_end(tokenizer: PreTrainedTokenizerBase, template: str) -> int | None:
    text = _render(tokenizer, [_MARKS[0], _MARKS[1]], add_generation_prompt=False)
    found = _controls(tokenizer)[0].search(text, text.rindex(_MARKS[1]))
    return None if found is None else tokenizer.convert_tokens_to_ids(found[0])


# --- data is text ----------------------------------------------------------------------------------------------------

_MARKS = ("\ue000", "\ue001")  # private characters that stand for the texts of the turns in a rendered template


def _encode_problem(
    tokenizer: PreTrainedTokenizerBase, problem_id: str, texts: Sequence[str], add_generation_prompt: bool
) -> list[int]:
    try:
        return _encode_turns(tokenizer, texts, add_generation_prompt)
    except ValueError as error:
        raise ValueError(f"problem {problem_id}: {error}") from error


def _encode_turns(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], add_generation_prompt: bool) -> list[int]:
    """Token ids of a user turn, and perhaps the assistant's: the template's control tokens and no others.

    A text that spells one, such as ``<|end|>``, is encoded as the characters it is made of: an end token inside a
    prompt or a target would end it there.

    Raises:
        ValueError: the tokenizer cannot encode the characters.
    """
    pattern = _controls(tokenizer)[0]
    try:
        if not any(pattern.search(text) for text in texts):
            rendered = _render(tokenizer, texts, add_generation_prompt)
            return tokenizer(rendered, add_special_tokens=False)["input_ids"]
        ids = _encode_stretches(tokenizer, texts, add_generation_prompt)
        # Tokenizers cut at control tokens, too, but some look beyond them: compared where nothing is spelt.
        plain = [pattern.sub("", text) for text in texts]
        expected = _encode_turns(tokenizer, plain, add_generation_prompt)
        if _encode_stretches(tokenizer, plain, add_generation_prompt) != expected:
            raise ValueError("it encodes the text between two control tokens otherwise when it stands alone")
    except Exception as error:  # the tokenizers library has no more special one
        found = sorted({control for text in texts for control in pattern.findall(text)})
        spelt = f", which spells {', '.join(found)}," if found else ""
        raise ValueError(f"the tokenizer cannot encode its text{spelt} as text: {error}") from error
    return ids


def _encode_stretches(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], add_generation_prompt: bool
) -> list[int]:
    """As ``_encode_turns``: each stretch between two control tokens of the template is encoded by itself, as text."""
    pattern, controls = _controls(tokenizer)
    marks = [mark if text else "" for mark, text in zip(_MARKS, texts, strict=False)]  # templates ask for emptiness
    pieces = re.split(f"([{''.join(_MARKS)}])", _render(tokenizer, marks, add_generation_prompt))
    rendered = _render(tokenizer, texts, add_generation_prompt)
    shown = [dict(zip(_MARKS, form, strict=False)) for form in (texts, [text.strip() for text in texts])]
    fitting = [form for form in shown if "".join(form.get(piece, piece) for piece in pieces) == rendered]
    if not fitting:
        raise ValueError("the chat template changes the text")
    stretches = [""]  # of text at even places, control tokens at odd ones
    for piece in pieces:
        first, *others = [fitting[0][piece]] if piece in fitting[0] else re.split(f"({pattern.pattern})", piece)
        stretches[-1] += first
        stretches += others
    ids = []
    for place, stretch in enumerate(stretches):
        if place % 2:
            ids.append(tokenizer.convert_tokens_to_ids(stretch))
        elif stretch:
            encoded = tokenizer(stretch, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            if controls & set(encoded):
                raise ValueError("it makes control tokens of it")
            ids += encoded
    return ids


def _render(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], add_generation_prompt: bool) -> str:
    messages = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), texts, strict=False)]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=add_generation_prompt, tokenize=False)


@lru_cache(maxsize=4)
def _controls(tokenizer: PreTrainedTokenizerBase) -> tuple[re.Pattern, set[int]]:
    """The tokenizer's special tokens: a pattern that finds one in a text, and their ids."""
    tokens = {token.content: i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)"), set(tokens.values())
