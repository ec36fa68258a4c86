"""Prompts and targets as token ids: one place, so that training and sampling see the same prompt."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from .tasks import Problem

IGNORED = -100  # label of a token that is not supervised


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a user turn followed by the template's opening of the assistant's turn."""
    messages = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def without_long_prompts(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], longest_prompt: int
) -> tuple[list[Problem], int]:
    """The problems to train on, and how many were left out because their prompts have too many tokens.

    Raises:
        ValueError: none is left.
    """
    short = [problem for problem in problems if len(encode_prompt(tokenizer, problem.prompt)) <= longest_prompt]
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
        max_length: longest sequence in tokens; the end of a longer target is cut (PAPER, Settings).

    Raises:
        ValueError: the prompt alone fills ``max_length``, so that no target token would be supervised; the
            template renders the prompt differently before a target; or the target gets no end token.
    """
    prompt_ids = encode_prompt(tokenizer, prompt)
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": target}]
    ids = tokenizer.apply_chat_template(messages, return_dict=False)
    if ids[: len(prompt_ids)] != prompt_ids:
        raise ValueError(
            f"problem {problem_id}: the chat template gives other prompt tokens with a target than without one, "
            "so training would see another prompt than sampling"
        )
    if tokenizer.eos_token_id not in ids[len(prompt_ids) :]:
        raise ValueError(f"problem {problem_id}: the chat template does not end a target with the end token")
    # Some templates put white space after the end token; the model stops at the end token, so p ends there too.
    ids = ids[: ids.index(tokenizer.eos_token_id, len(prompt_ids)) + 1]
    if len(prompt_ids) >= max_length:
        raise ValueError(
            f"problem {problem_id}: its prompt has {len(prompt_ids)} tokens, "
            f"which leaves no room for a target within max_length {max_length}"
        )
    ids = ids[:max_length]
    return {"input_ids": ids, "labels": [IGNORED] * len(prompt_ids) + ids[len(prompt_ids) :]}
