"""Training and sampling see the same prompt, and exactly the target and one end token are supervised."""

import copy
import re
from functools import partial

import pytest
from conftest import TRAINING
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import FIRST_MISTRAL_CHAT_TEMPLATE, MISTRAL_CHAT_TEMPLATE, math_rows, mistral_tokenizer

from compute_aligned.models.loading import load_tokenizer
from compute_aligned.models.making import character_tokenizer
from compute_aligned.models.tokenization import (
    IGNORED,
    encode_example,
    encode_prompt,
    encode_prompts,
    turn_end,
    without_long_prompts,
)
from compute_aligned.tasks import Problem
from compute_aligned.tasks.arithmetic import ALPHABET, WORDS, generate_splits
from compute_aligned.tasks.sources import PROMPT
from compute_aligned.training.sft_run import encode_problems, training_problems

TOKENIZER = character_tokenizer(ALPHABET, WORDS)
PROBLEMS = generate_splits(3, {"train": 200})["train"]
# The characters, and now and then a word or a piece of one.
TEXTS = st.lists(st.sampled_from([*ALPHABET, *WORDS, "\\boxe"]), min_size=1, max_size=7).map("".join)


def decode(ids):
    return TOKENIZER.decode(ids, skip_special_tokens=True)


def supervised(example):
    return [label for label in example["labels"] if label != IGNORED]


def with_template(template):
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.chat_template = template
    return tokenizer


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_every_prompt_solution_and_answer_survives_encoding_and_decoding():
    for problem in PROBLEMS:
        for text in (problem.prompt, problem.target, problem.answer):
            assert decode(TOKENIZER(text)["input_ids"]) == text


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_every_text_of_the_alphabet_survives_one_token_per_character_and_word(text):
    ids = TOKENIZER(text)["input_ids"]
    assert len(ids) == len(re.findall(r"\\boxed\{|[\s\S]", text))
    assert decode(ids) == text


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_target_and_one_end_token_are_supervised_and_nothing_of_the_prompt(prompt, target):
    example = encode_example(TOKENIZER, "p", prompt, target, max_length=100)
    labels = supervised(example)
    assert labels[-1] == TOKENIZER.eos_token_id
    assert labels.count(TOKENIZER.eos_token_id) == 1
    assert decode(labels[:-1]) == target and len(labels) == len(TOKENIZER(target)["input_ids"]) + 1
    n_prompt = len(example["labels"]) - len(labels)
    assert example["labels"][:n_prompt] == [IGNORED] * n_prompt
    assert example["labels"][n_prompt:] == example["input_ids"][n_prompt:]
    assert example["input_ids"][:n_prompt] == encode_prompt(TOKENIZER, prompt)


def test_a_long_target_loses_its_end_and_then_has_no_end_token():
    whole = encode_example(TOKENIZER, "p", "12+34", "12+34=46\n\\boxed{46}", max_length=100)
    cut = encode_example(TOKENIZER, "p", "12+34", "12+34=46\n\\boxed{46}", max_length=12)
    assert cut["input_ids"] == whole["input_ids"][:12]
    assert cut["labels"] == whole["labels"][:12]
    assert TOKENIZER.eos_token_id not in cut["labels"]


def test_a_prompt_that_fills_the_longest_sequence_is_refused():
    room = len(encode_prompt(TOKENIZER, "1+2"))
    assert supervised(encode_example(TOKENIZER, "p", "1+2", "3", max_length=room + 1)) == TOKENIZER("3")["input_ids"]
    for max_length in (room, room - 1):
        with pytest.raises(ValueError) as error:
            encode_example(TOKENIZER, "algebra/7", "1+2", "3", max_length=max_length)
        sentence = one_sentence(error)
        assert "algebra/7" in sentence and f"{room} tokens" in sentence and f"max_length {max_length}" in sentence


def test_a_template_that_shows_another_prompt_before_a_target_is_refused():
    # The system turn appears only where no assistant has spoken yet.
    template = "{% if messages | length == 1 %}0{% endif %}" + TOKENIZER.chat_template
    with pytest.raises(ValueError) as error:
        encode_example(with_template(template), "algebra/7", "1+2", "3", max_length=100)
    sentence = one_sentence(error)
    assert "algebra/7" in sentence and "other prompt tokens" in sentence


def test_a_template_without_end_token_is_refused():
    template = TOKENIZER.chat_template.replace("<|end|>", "")
    with pytest.raises(ValueError) as error:
        encode_example(with_template(template), "algebra/7", "1+2", "3", max_length=100)
    sentence = one_sentence(error)
    assert "algebra/7" in sentence and "end token" in sentence


@pytest.mark.parametrize("template", [MISTRAL_CHAT_TEMPLATE, FIRST_MISTRAL_CHAT_TEMPLATE], ids=["present", "first"])
def test_mistrals_templates_supervise_the_target_and_the_end_token_after_a_prompt_with_one_start_token(template):
    tokenizer = mistral_tokenizer()
    tokenizer.chat_template = template
    for row in math_rows(20):
        for target in (row["answer"], row["solution"]):
            example = encode_example(tokenizer, "p", PROMPT.format(**row), target, max_length=200)
            labels, ids = supervised(example), example["input_ids"]
            assert labels[-1] == tokenizer.eos_token_id and ids.count(tokenizer.eos_token_id) == 1
            assert ids[0] == tokenizer.bos_token_id and ids.count(tokenizer.bos_token_id) == 1
            assert tokenizer.decode(labels[:-1]).strip() == target
            text = f"[INST] {PROMPT.format(**row)} [/INST]{target}"
            assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_targets_that_are_all_cut_are_refused_and_single_ones_counted(base, problems):
    tokenizer = load_tokenizer(base)
    settings = TRAINING | {"target": "solution", "train_problems": 20}
    chosen = training_problems(str(problems), settings)
    lengths = [len(row["labels"]) for row in encode_problems(chosen, tokenizer, settings)]
    longest = max(lengths) - 1
    cut = encode_problems(chosen, tokenizer, settings | {"max_length": longest})
    without_end = [labels[-1] != tokenizer.eos_token_id for labels in cut["labels"]]
    assert without_end == [length > longest for length in lengths] and any(without_end)
    shortest = min(lengths) - 1
    prompts = [len(encode_prompt(tokenizer, problem.prompt)) for problem in chosen]
    chosen = [problem for problem, length in zip(chosen, prompts, strict=True) if length < shortest]
    with pytest.raises(ValueError, match=f"targets is cut at max_length {shortest} before its end token") as error:
        encode_problems(chosen, tokenizer, settings | {"max_length": shortest})
    one_sentence(error)


def test_what_a_template_puts_after_the_end_token_is_not_supervised():
    template = TOKENIZER.chat_template.replace("<|end|>", "<|end|>\n")
    plain = encode_example(TOKENIZER, "p", "1+2", "3", max_length=100)
    assert encode_example(with_template(template), "p", "1+2", "3", max_length=100) == plain


# --- data that spells a control token -------------------------------------------------------------------------------


def spelling_tokenizers():
    """Tokenizers that have tokens for the characters of their control tokens, and how one ends a turn."""
    plain = character_tokenizer(ALPHABET + "<|pad>usraitn", WORDS)  # the letters of its control tokens
    first = mistral_tokenizer()
    first.chat_template = FIRST_MISTRAL_CHAT_TEMPLATE
    return [plain, mistral_tokenizer(), first]


SPELLING = pytest.mark.parametrize("tokenizer", spelling_tokenizers(), ids=["characters", "mistral", "first mistral"])


@SPELLING
def test_a_control_token_in_the_data_is_text_and_ends_nothing(tokenizer):
    end = tokenizer.eos_token
    prompt, target = f"1{end}2", f"3{end}{end}+4"
    example = encode_example(tokenizer, "p", prompt, target, max_length=200)
    ids, labels = example["input_ids"], supervised(example)
    assert labels[-1] == tokenizer.eos_token_id and labels.count(tokenizer.eos_token_id) == 1
    assert ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.decode(labels[:-1]).strip() == target
    assert ids[: len(ids) - len(labels)] == encode_prompt(tokenizer, prompt)
    assert prompt in tokenizer.decode(encode_prompt(tokenizer, prompt))
    controls = [i for i in encode_prompt(tokenizer, prompt) if i in tokenizer.all_special_ids]
    assert controls == [i for i in encode_prompt(tokenizer, "12") if i in tokenizer.all_special_ids]


@SPELLING
def test_other_prompts_have_the_tokens_that_transformers_gives_them(tokenizer):
    for prompt, target in [("1+2", "3"), ("", "3"), ("1\n(2", "-3\n"), ("(1)", "")]:
        user, assistant = {"role": "user", "content": prompt}, {"role": "assistant", "content": target}
        expected = tokenizer.apply_chat_template([user], add_generation_prompt=True, return_dict=False)
        assert encode_prompt(tokenizer, prompt) == expected
        whole = tokenizer.apply_chat_template([user, assistant], return_dict=False)
        assert encode_example(tokenizer, "p", prompt, target, max_length=200)["input_ids"] == whole


@pytest.mark.parametrize(("prompt", "target"), [("1<|end|>2", "3"), ("1", "2<|end|>3")], ids=["prompt", "target"])
def test_a_control_token_without_tokens_for_its_characters_is_refused_with_the_problem(prompt, target):
    with pytest.raises(ValueError, match="problem algebra/7: .*spells <|end|>, as text") as error:
        encode_example(TOKENIZER, "algebra/7", prompt, target, max_length=100)
    one_sentence(error)


def test_every_stage_that_encodes_a_prompt_names_the_problem_it_refuses():
    problem = Problem("algebra/7", "1<|end|>2", "3", "3", "algebra", 1)
    for encode in (partial(encode_prompts, TOKENIZER), partial(without_long_prompts, TOKENIZER, longest_prompt=100)):
        with pytest.raises(ValueError, match="problem algebra/7: "):
            encode([problem])


def test_a_character_without_a_token_is_refused_with_the_problem():
    with pytest.raises(ValueError, match="problem algebra/7: the tokenizer cannot encode its text as text: .*UNK"):
        encode_example(TOKENIZER, "algebra/7", "1 + 2", "3", max_length=100)


def test_a_template_that_changes_the_text_is_refused_where_it_spells_a_control_token():
    tokenizer = spelling_tokenizers()[0]
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ message.content }}", "{{ message.content | upper }}")
    with pytest.raises(ValueError, match="spells <.end.>, as text: the chat template changes the text"):
        encode_prompt(tokenizer, "1<|end|>")


def test_a_template_may_strip_the_text():
    tokenizer = mistral_tokenizer()
    stripping = copy.deepcopy(tokenizer)
    stripping.chat_template = tokenizer.chat_template.replace('message["content"]', 'message["content"] | trim')
    assert encode_prompt(stripping, " 1</s>2 ") == encode_prompt(tokenizer, "1</s>2")


@pytest.mark.parametrize("template", ["<|end|>", "<|end|>\n<|pad|>", "\n<|end|>"])
def test_the_token_that_ends_a_turn_is_the_first_control_token_after_the_target(template):
    assert turn_end(with_template(TOKENIZER.chat_template.replace("<|end|>", template))) == TOKENIZER.eos_token_id
    assert turn_end(with_template("{{ messages[-1].content }}")) is None


def test_problems_to_train_on_whose_prompts_are_too_long_are_left_out_and_counted():
    lengths = [len(encode_prompt(TOKENIZER, problem.prompt)) for problem in PROBLEMS]
    longest = sorted(lengths)[len(lengths) // 2]
    kept, n_left_out = without_long_prompts(TOKENIZER, PROBLEMS, longest)
    assert kept == [problem for problem, n in zip(PROBLEMS, lengths, strict=True) if n <= longest]
    assert len(kept) + n_left_out == len(PROBLEMS) and n_left_out > 0
    assert without_long_prompts(TOKENIZER, PROBLEMS, max(lengths)) == (PROBLEMS, 0)
    with pytest.raises(ValueError, match="all 200 prompts are longer than longest_prompt, 2 tokens") as error:
        without_long_prompts(TOKENIZER, PROBLEMS, 2)
    one_sentence(error)
