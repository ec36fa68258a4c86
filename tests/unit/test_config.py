"""A configuration that cannot be run stops with one sentence: file, key, what was found, what is allowed."""

import copy
import functools
import json
import math
import re
import shutil
import subprocess
import sys
import time

import pytest
import torch
import yaml
from conftest import REPO

from compute_aligned.config.files import ConfigError, read_preset, read_yaml
from compute_aligned.config.loading import load_settings
from compute_aligned.config.local_models import check_local_models
from compute_aligned.config.problems import check_problems
from compute_aligned.config.resolving import (
    closed_form_settings,
    diagonal_settings,
    recipes_and_objectives,
    rl_settings,
    sampling_settings,
    training_settings,
)
from compute_aligned.tasks.arithmetic import ALPHABET

CONFIG = REPO / "config"
PRESETS = ["tiny", "small", "paper"]


@functools.cache
def text_of(name):
    return json.dumps(yaml.safe_load((CONFIG / f"{name}.yaml").read_text()))  # read again in no time


def preset(name="tiny"):
    return json.loads(text_of(name))


def change(content, key, value):
    """Set ``a.b.c`` in nested dicts and lists, or remove it where the value is REMOVED."""
    *parents, last = key.split(".")
    for parent in parents:
        content = content[int(parent) if isinstance(content, list) else parent]
    if value is REMOVED:
        del content[last]
    else:
        content[last] = value


REMOVED = object()
TINY_RECIPE = "recipes.math_sft_pass"


def changed(*changes, name="tiny"):
    content = preset(name)
    for key, value in changes:
        change(content, key, value)
    return content


def complaint(content, folder=CONFIG):
    with pytest.raises(ConfigError) as error:
        load_settings(content, "my.yaml", folder)
    sentence = str(error.value)
    assert "\n" not in sentence, sentence
    return sentence


@pytest.fixture
def folder_with(tmp_path):
    """A copy of recipes.yaml, experiments.yaml and claims.yaml in which one key is changed."""
    shutil.copy(CONFIG / "reported.csv", tmp_path)

    def make(file, key, value):
        for name in ("recipes", "experiments", "claims"):
            if name == file:
                content = preset(name)
                change(content, key, value)
                (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
            else:
                shutil.copy(CONFIG / f"{name}.yaml", tmp_path)
        return tmp_path

    return make


# --- what may be run -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_every_shipped_preset_is_complete_on_its_own(name):
    settings = load_settings(preset(name), f"{name}.yaml", CONFIG)
    assert settings["preset"]["preset"] == name
    for experiment in settings["preset"]["experiments"]:
        entry = settings["experiments"][experiment]
        if entry["kind"] == "closed_form":
            closed_form_settings(settings, experiment)
        if entry["kind"] == "diagonal":
            diagonal_settings(settings, experiment)
        for recipe, objective in recipes_and_objectives(entry):
            if settings["recipes"][recipe]["warmup"] is not None:
                training_settings(settings, recipe, "warmup", 1)
            trained_by = {"sft": training_settings, "grpo": rl_settings}[settings["recipes"][recipe]["trainer"]]
            trained_by(settings, recipe, objective, 1)
            sampling_settings(settings, recipe, 1)


@pytest.mark.parametrize("name", PRESETS)
def test_every_key_of_a_preset_is_needed_so_none_can_come_from_another_preset(name):
    for key in preset(name):
        assert repr(key) in complaint(changed((key, REMOVED), name=name))


def test_only_some_experiments_of_a_preset_are_run_in_its_order():
    content = changed(("only", ["scaling_factors", "math_sft_pass"]))
    chosen = load_settings(content, "my.yaml", CONFIG)["preset"]["experiments"]
    assert list(chosen) == ["math_sft_pass", "scaling_factors"]


# --- what may not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("colour", "blue", ["top level", "unknown key 'colour'", "allowed are preset, split, seeds"]),
        (f"{TINY_RECIPE}.lerning_rate", 0.1, [TINY_RECIPE, "unknown key 'lerning_rate'", "learning_rate"]),
        ("models.math.source.sead", 1, ["models.math.source", "unknown key 'sead'", "kind, seed, architecture"]),
        (f"{TINY_RECIPE}.epochs", REMOVED, [TINY_RECIPE, "'epochs' is missing", "found train_problems"]),
        ("models.math.source.seed", REMOVED, ["models.math.source", "'seed' is missing", "found kind, architecture"]),
        (f"{TINY_RECIPE}.epochs", 2.5, [f"{TINY_RECIPE}.epochs", "found 2.5", "type integer"]),
        (f"{TINY_RECIPE}.learning_rate", "fast", [f"{TINY_RECIPE}.learning_rate", "found 'fast'", "type number"]),
        (f"{TINY_RECIPE}.learning_rate", 0, [f"{TINY_RECIPE}.learning_rate", "found 0", "more than 0"]),
        (f"{TINY_RECIPE}.train_problems", 0, [f"{TINY_RECIPE}.train_problems", "found 0", "at least 1"]),
        ("models.math.precision", "fp8", ["models.math.precision", "found 'fp8'", "one of fp32, bf16, fp16"]),
        ("models.math.adapter", 3, ["models.math.adapter", "found 3", "type boolean"]),
        ("models.math.source.kind", "magic", ["models.math.source", "'magic'", "scratch, gguf, hub, folder"]),
        ("data.math.loader", "tea_leaves", ["data.math", "'tea_leaves'", "arithmetic, protein_conditional"]),
        ("data.math.sizes.train", -1, ["data.math.sizes.train", "found -1", "at least 1"]),
        ("split", "train", ["split", "found 'train'", "one of test, validation"]),
        ("sampling_backend", "tgi", ["sampling_backend", "found 'tgi'", "one of transformers, vllm"]),
        ("sampling_backend", "vllm", ["seeds_in_one_job", "found True", "sampling_backend vllm", "wanted False"]),
        ("seeds", [], ["seeds", "found []", "at least 1"]),
        ("seeds", [1, 1], ["seeds", "found [1, 1]", "differ"]),
        ("preset", "my preset", ["preset", "found 'my preset'", "a name like"]),
        ("experiments.math_sft_pass.k", [], ["experiments.math_sft_pass.k", "found []", "at least 1"]),
        # across keys
        ("experiments.math_sft_pass.k", [1, 256], ["experiments.math_sft_pass.k", "found 256", "128 samples"]),
        (f"{TINY_RECIPE}.micro_batch_size", 48, [f"{TINY_RECIPE}.micro_batch_size", "found 48", "divisor", "32"]),
        ("experiments.fig9", {"k": [1]}, ["experiments", "found 'fig9'", "allowed are math_sft_pass, "]),
        ("experiments.math_sft_pass", {}, ["experiments.math_sft_pass", "'k' is missing", "compares runs"]),
        ("experiments.scaling_factors", {"k": [1]}, ["experiments.scaling_factors", "found {'k': [1]}", "no scale"]),
        ("experiments.diagonal_diagnostic", {"k": [1]}, ["experiments.diagonal_diagnostic", "wanted {}", "no scale"]),
        (f"{TINY_RECIPE}.overrides", {"pass_n15": {"epochs": 2}}, ["overrides", "found 'pass_n15'", "ce, pass_n4"]),
        (f"{TINY_RECIPE}.overrides", {"pass_n16": {"seed": 2}}, ["overrides.pass_n16", "'seed'", "learning_rate"]),
        (f"{TINY_RECIPE}.overrides", {"pass_n16": {"steps": 2}}, ["overrides.pass_n16", "'steps'", "epochs"]),
        (f"{TINY_RECIPE}.overrides", {"pass_n16": {"batch_size": 48}}, ["overrides.pass_n16", "found 32", "48"]),
        ("recipes", {}, ["recipes", "'math_sft_pass' needs the recipe 'math_sft_pass'"]),
        ("models", {}, ["models", "'math_sft_pass' needs an entry 'math'"]),
        ("data", {}, ["data", "'math_sft_pass' needs an entry 'math'"]),
        (
            "data.sums",
            {"loader": "protein_unconditional"},
            ["data", "found 'sums'", "the task of a recipe", "math, prot"],
        ),
        (
            "models.sums",
            preset()["models"]["math"],
            ["models", "found 'sums'", "wanted the model of a recipe", "are math, protein"],
        ),
        (
            "experiments.math_sft_pass.seeds",
            [9],
            ["experiments.math_sft_pass.seeds", "found 9", "one of 1, 2, 3, 4, 5"],
        ),
        ("experiments.math_sft_pass.seeds", [1], ["experiments.math_sft_pass.seeds", "wanted seeds_in_one_job: false"]),
        ("experiments.math_sft_majority.beyond_paper", ["ce"], ["math_sft_majority.beyond_paper", "at most 0"]),
        ("only", ["table2"], ["only", "found 'table2'", "one of math_sft_pass, "]),
        ("only", ["alignment_matrix"], ["'alignment_matrix' needs 'scaling_factors' beside it"]),
        # problems
        (f"{TINY_RECIPE}.train_problems", 5601, ["found 5601", "the train split of data.math has 5600 problems"]),
        (f"{TINY_RECIPE}.evaluation.problems", 1201, ["problems: found 1201", "the test split of data.math has 1200"]),
        ("recipes.math_rl_pass.rl.problems", 5000, ["rl.problems: found 5000 after the 2000 of the warm-up", "5600"]),
        ("data.protein_conditional.sizes.test", 149, ["protein_conditional.evaluation.problems: found 150", "has 149"]),
        ("models.math.source.held_out", "sums", ["source.held_out", "found 'sums'", "wanted an entry of data: math"]),
    ],
)
def test_a_preset_that_cannot_be_run_is_refused_in_one_sentence(key, value, said):
    sentence = complaint(changed((key, value)))
    assert sentence.startswith("my.yaml: ")
    assert [word for word in said if word not in sentence] == [], sentence


def own_table(folder, rows=40, held_out=5, question="What is {n}+1?", **changes):
    """Tiny with a table of one's own in place of generated arithmetic, of which recipes take fifteen problems."""
    for split, numbers in {"train": range(rows), "test": range(rows, rows + 20)}.items():
        rows = [{"question": question.format(n=n), "answer": n + 1, "level": 1 + n % 2} for n in numbers]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = {
        "loader": "table",
        "seed": 1,
        "validation_size": held_out,
        "source": {f"{split}_file": str(folder / f"{split}.jsonl") for split in ("train", "test")},
        "columns": {"problem": "question", "answer": "answer", "level": "level"},
    }
    content = changed(("data.math", table | changes))
    for recipe in content["recipes"].values():
        recipe |= {"train_problems": 15} if "train_problems" in recipe else {}
        recipe["evaluation"] |= {"problems": 1}
        if "rl" in recipe:
            recipe["rl"] |= {"problems": 1}
    return content


def complaint_about_problems(content):
    settings = load_settings(content, "my.yaml", CONFIG)
    with pytest.raises(ConfigError) as error:
        check_problems(settings, "my.yaml")
    sentence = str(error.value)
    assert "\n" not in sentence, sentence
    return sentence


def test_local_data_are_looked_at_before_the_first_job(tmp_path):
    content = own_table(tmp_path, prompt="{problem}")
    assert re.sub(r"train/\d+", "train/...", complaint_about_problems(content)) == (
        "my.yaml: data.math: problem train/..., in its prompt or target: found the character 'W', which "
        f"models.math, a model of kind arithmetic_scratch that is made here, has no token for; wanted one of "
        f"{ALPHABET!r}, or another model"
    )
    content = own_table(tmp_path, question="{n}+1=", prompt="{problem}")
    check_problems(load_settings(content, "my.yaml", CONFIG), "my.yaml")
    content["recipes"]["math_sft_majority"]["train_problems"] = 36
    assert complaint_about_problems(content) == (
        "my.yaml: recipes.math_sft_majority.train_problems: found 36, wanted no more than there are: the train split "
        "of data.math has 35 problems of levels [1, 2, 3]"
    )
    content = own_table(tmp_path, held_out=200)
    file = tmp_path / "train.jsonl"
    assert complaint_about_problems(content) == (
        f"my.yaml: data.math: {file}: a validation split of 200 problems was asked for, the training data has 40; "
        "wanted a smaller validation_size"
    )
    content = own_table(tmp_path)
    file.write_text('{"question": "1+1", "answer": 2, "level": 6}\n')
    assert f"my.yaml: data.math: {file}, line 1: train row 0: column 'level'" in complaint_about_problems(content)
    file.unlink()  # Snakemake says that it is missing, unless what was read from it is there
    check_problems(load_settings(content, "my.yaml", CONFIG), "my.yaml")


@pytest.mark.parametrize(
    ("source", "files", "said"),
    [
        ({"kind": "folder"}, None, "which is no folder here; wanted a folder with config.json, a tokenizer and"),
        ({"kind": "folder"}, ["adapter_model.safetensors"], "which holds no config.json and no tokenizer; wanted a"),
        ({"kind": "folder"}, ["config.json", "vocab.json"], "which holds no weights; wanted a folder with config.json"),
        ({"kind": "folder"}, ["config.json", "tokenizer.model", "model-00001-of-00002.safetensors"], None),
        ({"kind": "folder"}, ["config.json", "tokenizer.json", "pytorch_model.bin"], None),
        ({"kind": "gguf", "file": "x.gguf"}, ["y.gguf"], "which holds no x.gguf; wanted a folder with x.gguf"),
        ({"kind": "gguf", "file": "x.gguf"}, ["x.gguf"], None),
    ],
)
def test_a_models_folder_is_looked_at_before_the_first_job(tmp_path, source, files, said):
    folder = tmp_path / "model"
    if files is not None:
        folder.mkdir()
        for file in files:
            (folder / file).touch()
    settings = {"preset": {"models": {"math": {"source": source | {"path": str(folder)}}}}}
    if said is None:
        check_local_models(settings, "my.yaml", ["math"])
        return
    check_local_models(settings, "my.yaml", [])  # made before
    with pytest.raises(ConfigError, match=f"^my.yaml: models.math.source.path: found {folder}, {said}"):
        check_local_models(settings, "my.yaml", ["math"])


def test_generated_problems_are_counted_by_level():
    content = changed(("recipes.math_sft_majority.train_problems", 3500))  # of 5,600, but of levels 1 to 3
    assert complaint_about_problems(content) == (
        "my.yaml: recipes.math_sft_majority.train_problems: found 3500, wanted no more than there are: the train split "
        "of data.math has 3336 problems of levels [1, 2, 3]"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"train_problems": 11501},
            "train_problems: found 11501, wanted no more than there are: the train split of data",
        ),
        (
            {"evaluation": {"problems": 501}},
            "problems: found 501, wanted no more than there are: the test split of data",
        ),
    ],
)
def test_the_rows_that_are_expected_of_a_table_on_the_hub_are_what_recipes_may_take(changes, said):
    content = preset("paper")
    recipe = content["recipes"]["math_sft_pass"]
    content["recipes"]["math_sft_pass"] = (
        recipe | changes | {"evaluation": recipe["evaluation"] | changes.get("evaluation", {})}
    )
    assert said in complaint(content)
    content = changed(("data.math.validation_size", 12000), name="paper")
    assert "data.math.validation_size: found 12000 of 12000 expected rows, wanted fewer" in complaint(content)


NAME = "wanted a name like ^[A-Za-z0-9]"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        # numbers: whole ones are written so, and all are finite
        ("seeds", [2.0], ["seeds.0: found 2.0", "type integer"]),
        ("seeds", [True], ["seeds.0: found True", "type integer"]),
        ("seeds", [2**53 + 2], ["seeds.0: found 9007199254740994", "type integer, finite and at most 2^53"]),
        ("seeds", ["２"], ["seeds.0: found '２'", "type integer"]),
        ("seeds", ["010"], ["seeds.0: found '010'", "type integer"]),  # YAML 1.1 reads 8
        ("seeds", ["1:30"], ["seeds.0: found '1:30'", "type integer"]),  # and here 90
        ("seeds", ["9" * 5000], ["seeds.0: found '9999", "...", "type integer"]),
        (f"{TINY_RECIPE}.epochs", 2.0, [f"{TINY_RECIPE}.epochs: found 2.0", "type integer"]),
        (f"{TINY_RECIPE}.epochs", "2.0", [f"{TINY_RECIPE}.epochs: found 2.0", "type integer"]),
        (f"{TINY_RECIPE}.learning_rate", math.nan, [f"{TINY_RECIPE}.learning_rate: found nan", "type number, finite"]),
        (f"{TINY_RECIPE}.learning_rate", math.inf, [f"{TINY_RECIPE}.learning_rate: found inf", "type number, finite"]),
        (f"{TINY_RECIPE}.learning_rate", "1e999", [f"{TINY_RECIPE}.learning_rate: found inf", "finite"]),
        (f"{TINY_RECIPE}.learning_rate", ".nan", [f"{TINY_RECIPE}.learning_rate: found nan", "finite"]),
        (f"{TINY_RECIPE}.learning_rate", "５e-4", [f"{TINY_RECIPE}.learning_rate: found '５e-4'", "type number"]),
        ("models.protein.source.learning_rate", math.nan, ["models.protein.source.learning_rate: found nan"]),
        ("experiments.math_sft_pass.k", [1.0], ["experiments.math_sft_pass.k.0: found 1.0", "type integer"]),
        (f"{TINY_RECIPE}.train_problems", "", [f"{TINY_RECIPE}.train_problems: found ''", "type integer or null"]),
        (f"{TINY_RECIPE}.train_problems", "# 9", [f"{TINY_RECIPE}.train_problems: found '# 9'"]),
        ("data.math.seed", -1, ["data.math.seed: found -1", "at least 0"]),  # random.Random(-1) draws as Random(1)
        ("models.math.source.seed", -1, ["models.math.source.seed: found -1", "at least 0"]),
        # the architecture is closed, too
        (
            "models.math.source.architecture.hiden_size",
            64,
            ["models.math.source.architecture: unknown key 'hiden_size'", "allowed are model_type, hidden_size"],
        ),
        (
            "models.protein.source.architecture.hidden_size",  # of the other model type
            64,
            ["models.protein.source.architecture: unknown key 'hidden_size'", "allowed are model_type, n_embd"],
        ),
        ("models.math.source.architecture.model_type", "alpaca", ["'alpaca'", "wanted model_type one of llama, gpt2"]),
        ("models.math.source.architecture.model_type", REMOVED, ["architecture: the key 'model_type' is missing"]),
        ("models.math.source.architecture.hidden_size", 64.0, ["architecture.hidden_size: found 64.0", "type integer"]),
        ("models.protein.source.architecture.attn_pdrop", 1, ["architecture.attn_pdrop: found 1", "less than 1"]),
        # names: they become files, rules and patterns
        ("preset", "reference", ["preset: found 'reference'", "wanted another name: results/reference holds"]),
        ("preset", "Reference", ["preset: found 'Reference'", "wanted another name"]),
        ("preset", "tiny\n", [r"preset: found 'tiny\n'", NAME]),
        ("preset", "..", ["preset: found '..'", NAME]),
        ("preset", "a/b", ["preset: found 'a/b'", NAME]),
        ("preset", "-n", ["preset: found '-n'", NAME]),
        ("preset", "", ["preset: found ''", NAME]),
        ("preset", "ｔｉｎｙ", ["preset: found 'ｔｉｎｙ'", NAME]),
        ("preset", "a" * 101, ["preset: found 'aaa", NAME]),
        # nothing to do
        ("experiments", {}, ["experiments: found {}", "at least 1 entries"]),
    ],
)
def test_what_was_once_taken_in_silence_is_refused_in_one_sentence(key, value, said):
    sentence = complaint(changed((key, value)))
    assert sentence.startswith("my.yaml: ")
    assert [word for word in said if word not in sentence] == [], sentence
    assert len(sentence) < 600


@pytest.mark.parametrize("name", ["../up", "a b", "x\n", ".", "", "-x", "a" * 101])
@pytest.mark.parametrize("kind", ["models", "data", "recipes", "experiments"])
def test_a_name_that_is_no_file_s_is_refused_in_one_sentence(kind, name):
    content = preset()
    content[kind][name] = next(iter(content[kind].values()))
    assert complaint(content).startswith(f"my.yaml: {kind}: found {name!r}, {NAME}")


@pytest.mark.parametrize("key", ["train_file", "test_file"])
def test_one_local_file_of_two_is_refused_where_the_other_would_come_from_the_hub(key):
    sentence = complaint(changed((f"data.math.source.{key}", "rows.jsonl"), name="small"))
    other = {"train_file": "test_file", "test_file": "train_file"}[key]
    assert sentence == f"my.yaml: data.math.source: the key '{other}' is missing beside '{key}'"


OBJECTIVE_NUMBERS = [
    ("pass_n04", "begins with 0"),
    ("majority_n16_k04", "begins with 0"),
    ("pass_n４", "unknown"),
    ("pass_n4\n", "unknown"),
    ("pass_n1025", "above 1024"),
    (f"pass_n{'9' * 400}", "above 1024"),
    (f"pass_n{'9' * 5000}", "above 1024"),
    ("majority_n1000000_k500000", "above 1024"),
    ("majority_n16_k1000000", "above 1024"),
]


@pytest.mark.parametrize(("name", "said"), OBJECTIVE_NUMBERS)
def test_a_number_in_a_name_is_plain_and_one_that_is_computed_at_once(folder_with, name, said):
    for file, key in (
        ("recipes", "recipes.math_sft_pass.objectives"),
        ("experiments", "experiments.scaling_factors.values.strategies"),
    ):
        folder = folder_with(file, key, [name])
        start = time.perf_counter()
        sentence = complaint(preset(), folder)
        assert time.perf_counter() - start < 5
        assert sentence.startswith(f"{folder / file}.yaml: {key}: ")
        assert said in sentence and len(sentence) < 600


def test_the_largest_number_in_a_name_is_computed_at_once():
    from compute_aligned.objectives import LARGEST_NUMBER, strategy

    operator, _ = strategy(f"majority_n{LARGEST_NUMBER}_k{LARGEST_NUMBER // 2}")
    log_p = torch.linspace(-20, 0, 100, dtype=torch.float64)
    start = time.perf_counter()
    values = operator.log_success(log_p), operator.sft_weight(log_p), operator.rl_weight(log_p)
    assert time.perf_counter() - start < 5  # a fifth of a second on one slow core
    assert all(value.isfinite().all() for value in values)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("experiments.math_sft_pass.figures", {"fig\n": "values"}, r"figures: found 'fig\n', wanted a name like"),
        ("experiments.math_sft_majority.figures", {"fig1": "values"}, "found 'fig1', which 'math_sft_pass' shows"),
        ("experiments.math_sft_majority.figures", {"table2": "values"}, "found 'table2', which 'math_sft_pass' shows"),
        ("experiments.alignment_matrix.table", "table2", "found 'table2', which 'math_sft_pass' shows"),
        ("experiments.majority_sweep.figures", {}, "majority_sweep: found neither a table nor figures"),
        ("experiments.diagonal_diagnostic.n", 1025, "diagonal_diagnostic.n: found 1025, wanted at most 1024"),
        ("recipes.math_sft_pass.levels", [1.0], "levels.0: found 1.0, wanted a value of type integer"),
        ("recipes.math_sft_pass.weight_decay", math.inf, "weight_decay: found inf, wanted a value of type number, fin"),
        ("recipes.math_rl_pass.rl.beta", math.nan, "rl.beta: found nan, wanted a value of type number, finite"),
        ("claims.C01.parts.0.k", [4.0], "claims.C01.parts.0.k.0: found 4.0, wanted a value of type integer"),
    ],
)
def test_the_paper_s_own_files_are_no_less_strict(folder_with, key, value, said):
    folder = folder_with(key.split(".")[0], key, value)
    assert said in complaint(preset(), folder)


# --- files -----------------------------------------------------------------------------------------------------------

TINY = (CONFIG / "tiny.yaml").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TINY.replace("seeds: [", "seeds: [9]\nseeds: [").encode(), "seeds: the key stands twice, in lines 5 and 6"),
        (TINY.replace("    epochs: 3", "    epochs: 3\n    epochs: 1", 1).encode(), "epochs: the key stands twice"),
        (TINY.replace("    epochs: 3", "    epochs: 010", 1).encode(), "found '010', wanted a number in plain digits"),
        (TINY.replace("    epochs: 3", "    epochs: 1_0", 1).encode(), "found '1_0', wanted a number in plain digits"),
        (TINY.replace("    epochs: 3", "    epochs: 1:30", 1).encode(), "found '1:30', wanted a number in plain dig"),
        (b"? [a]\n: 1\n", "line 1: found a list or a mapping as a key"),
        (b"", "found None, wanted keys and their values"),
        (b"- preset\n", "found ['preset'], wanted keys and their values"),
        (b"preset: [\n", "no YAML: "),
        (b"preset: t\xefny\n", "found bytes that are no UTF-8"),
        (None, "No such file or directory; wanted a configuration file"),
    ],
)
def test_a_preset_s_file_that_cannot_be_meant_is_refused_in_one_sentence(tmp_path, content, said):
    file = tmp_path / "my.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_preset(file)
    sentence = str(error.value).splitlines()[0]
    assert sentence.startswith(f"{file}: ") and said in sentence
    assert len(str(error.value).splitlines()) == 1


def test_keys_that_an_alias_brings_in_may_be_given_again(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\n")
    assert read_yaml(file)["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize("name", PRESETS)
def test_a_shipped_preset_is_read_as_snakemake_reads_it(name):
    assert read_preset(CONFIG / f"{name}.yaml") == preset(name)


def test_a_file_with_many_mistakes_is_probably_another_one():
    with pytest.raises(ConfigError) as error:
        read_preset(CONFIG / "recipes.yaml")
    lines = str(error.value).splitlines()
    assert len(lines) == 11 and "more; is it the file that was meant?" in lines[-1]


def test_keys_that_are_no_text_are_unknown_keys():
    with pytest.raises(ConfigError, match="my.yaml: top level: unknown key 1; allowed are preset"):
        load_settings({1: "a", False: "b", None: "c"}, "my.yaml", CONFIG)


def test_an_unknown_recipe_is_refused():
    recipe = preset()["recipes"]["math_sft_pass"]
    sentence = complaint(changed(("recipes.poetry", recipe)))
    assert "my.yaml: recipes: found 'poetry'" in sentence and "allowed are math_sft_pass" in sentence


@pytest.mark.parametrize(
    ("file", "key", "value", "said"),
    [
        ("recipes", "objectives", ["ce", "pass_m4"], ["unknown SFT objective 'pass_m4'", "wanted ce, pass_n<N>"]),
        ("recipes", "objectives", ["ce", "majority_n4_k8"], ["threshold from 1 to n = 4", "got 8"]),
        ("recipes", "objectives", ["ce", "pass_n0"], ["n >= 1", "got n = 0"]),
        ("recipes", "warmup", "warm", ["unknown SFT objective 'warm'"]),
        ("recipes", "average", "word", ["average", "found 'word'", "one of sequence, token"]),
        ("recipes", "sampling.top_p", 1.5, ["sampling.top_p", "found 1.5", "at most 1"]),
        ("recipes", "longest_prompt", 1024, ["longest_prompt: found 1024", "less than max_length 1024"]),
        ("recipes", "adapter.rank", 4, ["adapter", "unknown key 'rank'", "allowed are r, alpha"]),
        ("experiments", "objectives", ["ce", "pass_n3"], ["'pass_n3' is no objective of its recipe", "allowed are ce"]),
        ("experiments", "baseline", "pass_n3", ["found 'pass_n3'", "wanted one of what it compares: ce"]),
        ("experiments", "recipe", "poetry", ["found 'poetry'", "wanted one of math_sft_pass"]),
        ("experiments", "metric", "luck", ["metric", "found 'luck'", "one of pass, maj"]),
    ],
)
def test_a_recipe_or_experiment_that_cannot_be_run_is_refused_in_one_sentence(folder_with, file, key, value, said):
    folder = folder_with(file, f"{file}.math_sft_pass.{key}", value)
    sentence = complaint(preset(), folder)
    assert sentence.startswith(f"{folder / file}.yaml: {file}.math_sft_pass")
    assert [word for word in said if word not in sentence] == [], sentence


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("kind", "open_form", [": found {", "wanted kind one of comparison, closed_form, diagonal"]),
        ("recipe", "math_sft_pass", ["unknown key 'recipe'", "allowed are kind, title, question, points"]),
        ("alignment", REMOVED, ["the key 'alignment' is missing"]),
        ("alignment.negligible", 1, ["alignment.negligible: found 1", "less than 1"]),
        ("variance.n", [1, 4], ["variance.n.0: found 1", "at least 2"]),
        ("variance.draws", 1010, ["variance.draws: found 1010", "a multiple of 20"]),
        ("normalisation.batches", [0], ["normalisation.batches.0: found 0", "at least 1"]),
        ("normalisation.prompts.hard.b", 0, ["normalisation.prompts.hard.b: found 0", "more than 0"]),
        ("normalisation.prompts.hard.c", 1, ["normalisation.prompts.hard: unknown key 'c'", "allowed are a, b"]),
        ("normalisation.strategies", ["pass_m4"], ["normalisation.strategies: unknown strategy 'pass_m4'"]),
        ("normalisation.strategies", ["best_of_n4"], ["'best_of_n4' weights samples", "of prompts"]),
        ("normalisation.within_prompt.strategies", ["ce"], ["normalisation.within_prompt.strategies: unknown"]),
        ("normalisation.within_prompt.groups", [1], ["normalisation.within_prompt.groups.0: found 1", "at least 2"]),
        ("values.p", [0], ["values.p.0: found 0", "more than 0"]),
        ("values.strategies", ["ce"], ["values.strategies: unknown strategy 'ce'", "wanted pass_n<N>"]),
        ("values.strategies", ["pas_n4"], ["values.strategies: unknown strategy 'pas_n4'", "best_of_n<N>"]),
        ("alignment.strategies", ["best_of_n0"], ["alignment.strategies: ", "n >= 1", "got n = 0"]),
        (
            "figures.fig13.strategies",
            ["majority_n4_k5"],
            ["figures.fig13.strategies: ", "threshold from 1 to n = 4", "got 5"],
        ),
        ("figures.fig17.train", "cross_entropy", ["figures.fig17.train: unknown strategy 'cross_entropy'"]),
        ("figures.fig17.train", "pass_n3", ["figures.fig17.train: 'pass_n3' is not among alignment.strategies"]),
        ("figures.fig11.draw", "bars", ["figures.fig11: found {", "wanted draw one of weights, waste"]),
        ("figures.fig11.form", "log", ["figures.fig11.form: found 'log'", "one of sft, rl"]),
        ("figures.fig11.train", "pass_n1", ["figures.fig11: unknown key 'train'"]),
    ],
)
def test_a_closed_form_that_cannot_be_computed_is_refused_in_one_sentence(folder_with, key, value, said):
    folder = folder_with("experiments", f"experiments.scaling_factors.{key}", value)
    sentence = complaint(preset(), folder)
    assert sentence.startswith(f"{folder / 'experiments'}.yaml: experiments.scaling_factors")
    assert [word for word in said if word not in sentence] == [], sentence


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("table", "table9", [": unknown key 'table'", "allowed are kind, title, question, n, draws"]),
        ("n", 0, ["n: found 0", "at least 1"]),
        ("draws", 1, ["draws: found 1", "at least 2"]),
        ("seed", REMOVED, ["the key 'seed' is missing"]),
        ("theorem3.cases", 0, ["theorem3.cases: found 0", "at least 1"]),
        ("theorem3.answers", [1, 2], ["theorem3.answers.0: found 1", "at least 2"]),
        ("theorem3.concentrations", [0], ["theorem3.concentrations.0: found 0", "more than 0"]),
        ("theorem3.n", [], ["theorem3.n: found []", "at least 1 entries"]),
        ("figures", {}, ["figures: found {}", "at least 1 entries"]),
        ("figures.fig9.strategy", "pass", ["figures.fig9.strategy: found 'pass'", "one of majority, best_of_n"]),
        ("figures.fig9.recipe", "poetry", ["figures.fig9.recipe: found 'poetry'", "wanted one of math_sft_pass"]),
        (
            "figures.fig10.objective",
            "pass_n3",
            ["figures.fig10.objective: 'pass_n3' is no objective", "allowed are ce"],
        ),
        ("figures.fig10.objective", "warmup", ["figures.fig10.objective: 'warmup' is no objective of its recipe"]),
        ("figures.fig10.colour", "blue", ["figures.fig10: unknown key 'colour'"]),
    ],
)
def test_a_diagonal_diagnostic_that_cannot_be_run_is_refused_in_one_sentence(folder_with, key, value, said):
    folder = folder_with("experiments", f"experiments.diagonal_diagnostic.{key}", value)
    sentence = complaint(preset(), folder)
    assert sentence.startswith(f"{folder / 'experiments'}.yaml: experiments.diagonal_diagnostic")
    assert [word for word in said if word not in sentence] == [], sentence


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("rl", REMOVED, ["'rl' is missing", "found train_problems"]),
        ("warmup_epochs", REMOVED, ["'warmup_epochs' is missing"]),
        ("epochs", 3, ["'epochs' has no use", "trainer is grpo"]),
        (
            "rl.micro_batch_size",
            48,
            ["rl.micro_batch_size: found 48", "divisor of prompts_per_step x group_size = 128"],
        ),
        ("rl.steps", 0, ["rl.steps: found 0", "at least 1"]),
        ("rl.beta", 0.1, ["rl: unknown key 'beta'"]),  # the recipe's
    ],
)
def test_a_scale_of_reinforcement_learning_that_cannot_be_run_is_refused(key, value, said):
    sentence = complaint(changed((f"recipes.math_rl_pass.{key}", value)))
    assert sentence.startswith("my.yaml: recipes.math_rl_pass")
    assert [word for word in said if word not in sentence] == [], sentence


@pytest.mark.parametrize(
    ("file", "key", "value", "said"),
    [
        (
            "recipes",
            "math_rl_pass.objectives",
            ["grpo", "pass_n4"],
            ["unknown RL objective 'pass_n4'", "pass_n<N>_log"],
        ),
        ("recipes", "math_rl_pass.rl.group_size", 1, ["rl.group_size: found 1", "at least 2"]),
        ("recipes", "math_rl_pass.rl", REMOVED, ["math_rl_pass: the key 'rl' is missing; its trainer is grpo"]),
        ("recipes", "token_margin.warmup_recipe", "poetry", ["found 'poetry'", "wanted warmup null and one of math_"]),
        ("recipes", "token_margin.warmup", "ce", ["found 'math_rl_pass' and warmup ce"]),
        ("experiments", "protein_conditional.metric", "pass", ["found 'pass'", "rewarded for inversion; wanted bon"]),
        ("experiments", "math_rl_pass.metric", "bon", ["found 'bon'", "rewarded for answer; wanted pass or maj"]),
        (
            "experiments",
            "warmup_transfer.baseline",
            "grpo",
            ["found 'grpo'", "warmup_transfer_ce, warmup_transfer_pass"],
        ),
        ("experiments", "warmup_transfer.recipe", ["warmup_transfer_ce", "poetry"], ["found 'poetry'"]),
        (
            "experiments",
            "math_sft_pass.figures.fig1",
            "training",
            ["math_sft_pass.figures.fig1: found 'training', but the recipe 'math_sft_pass' is trained by sft"],
        ),
    ],
)
def test_reinforcement_learning_that_cannot_be_run_is_refused(file, key, value, said, folder_with):
    sentence = complaint(preset(), folder_with(file, f"{file}.{key}", value))
    assert [word for word in said if word not in sentence] == [], sentence


def test_the_two_warm_ups_share_their_random_numbers(settings):
    for resolve, what in ((rl_settings, ("grpo",)), (training_settings, ("warmup",)), (sampling_settings, ())):
        seeds = {
            resolve(settings, recipe, *what, 2).seed for recipe in ("warmup_transfer_ce", "warmup_transfer_pass_n16")
        }
        assert len(seeds) == 1


def test_fresh_prompts_come_after_the_warm_ups_and_others_are_its_first(settings):
    of_warmup = training_settings(settings, "math_rl_pass", "warmup", 1).train_problems
    assert rl_settings(settings, "math_rl_pass", "grpo", 1).skipped_problems == of_warmup > 0
    assert rl_settings(settings, "math_rl_majority", "grpo", 1).skipped_problems == 0
    assert rl_settings(settings, "protein_unconditional", "grpo", 1).skipped_problems == 0


def test_a_diagonal_diagnostic_needs_the_recipe_of_its_pools_in_the_preset():
    content = changed(("experiments", {"diagonal_diagnostic": {}}), ("recipes", {}))
    assert "recipes: the experiment 'diagonal_diagnostic' needs the recipe 'math_sft_majority'" in complaint(content)


def test_every_kind_of_experiment_names_its_runs_once():
    entries = load_settings(preset(), "tiny.yaml", CONFIG)["experiments"]
    assert recipes_and_objectives(entries["scaling_factors"]) == []
    assert recipes_and_objectives(entries["math_sft_pass"]) == [("math_sft_pass", name) for name in OBJECTIVES]
    figures = entries["diagonal_diagnostic"]["figures"]
    wanted = {(figure["recipe"], figure["objective"]) for figure in figures.values()}
    pairs = recipes_and_objectives(entries["diagonal_diagnostic"])
    assert set(pairs) == wanted and len(pairs) == len(wanted)


def test_a_diagonal_diagnostic_is_told_no_title(folder_with):
    resolved = diagonal_settings(load_settings(preset(), "tiny.yaml", CONFIG), "diagonal_diagnostic")
    retitled = folder_with("experiments", "experiments.diagonal_diagnostic.figures.fig9.title", "Another title.")
    assert diagonal_settings(load_settings(preset(), "tiny.yaml", retitled), "diagonal_diagnostic") == resolved


def test_closed_forms_need_neither_recipes_nor_models_nor_data():
    content = changed(*[(key, {}) for key in ("recipes", "models", "data")])
    content["experiments"] = {"scaling_factors": {}}
    load_settings(content, "my.yaml", CONFIG)


def test_a_baseline_outside_the_comparison_is_refused(folder_with):
    folder = folder_with("experiments", "experiments.math_sft_pass.objectives", ["pass_n4", "pass_n16"])
    sentence = complaint(preset(), folder)
    assert "math_sft_pass.baseline: found 'ce', wanted one of what it compares: pass_n4, pass_n16" in sentence


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("alignment", "diagonal_diagnostic", "alignment: found 'diagonal_diagnostic', wanted one of scaling_factors"),
        ("objectives", ["ce", "pass_n3"], "'pass_n3' is no objective of its recipe"),
        ("alignment", REMOVED, "the key 'alignment' is missing: 'gain_matrix' is drawn over budgets N"),
        ("metric", "maj", "found metric 'maj' and baseline 'ce', wanted pass and ce"),
    ],
)
def test_budgets_without_alignment_are_refused(folder_with, key, value, said):
    folder = folder_with("experiments", f"experiments.alignment_matrix.{key}", value)
    assert said in complaint(preset(), folder)


def test_an_objective_or_k_whose_alignment_is_not_computed_is_refused(folder_with):
    without = [f"pass_n{n}" for n in (1, 2, 4, 8, 16, 64)] + ["majority_n16_k4"]
    folder = folder_with("experiments", "experiments.scaling_factors.alignment.strategies", without)
    sentence = complaint(preset(), folder)
    assert "alignment_matrix.objectives: 'pass_n32' has no alignment in 'scaling_factors', which knows" in sentence
    sentence = complaint(changed(("experiments.alignment_matrix.k", [1, 3])))
    assert "experiments.alignment_matrix.k: 3 has no alignment in 'scaling_factors': no 'pass_n3'" in sentence


def test_a_preset_with_the_alignment_matrix_needs_the_closed_forms():
    content = preset()
    del content["experiments"]["scaling_factors"]
    assert "experiments: 'alignment_matrix' needs 'scaling_factors' beside it" in complaint(content)


def test_every_mistake_gets_its_own_sentence():
    with pytest.raises(ConfigError) as error:
        load_settings(changed(("colour", "blue"), ("seeds", [])), "my.yaml", CONFIG)
    assert len(str(error.value).splitlines()) == 2


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("seeds", ["1", "2"], [1, 2]),
        ("seeds", "[3]", [3]),
        (f"{TINY_RECIPE}.epochs", "2", 2),
        (f"{TINY_RECIPE}.learning_rate", "0.001", 0.001),
        (f"{TINY_RECIPE}.learning_rate", "5e-4", 5e-4),  # text to YAML 1.1, also in a preset's own file
        ("models.math.adapter", "false", False),
        ("models.math.quantization", "null", None),
        ("models.math.source.seed", "7", 7),
        ("data.math.seed", "7", 7),
        ("data.math.sizes.train", "6000", 6000),
        ("experiments.math_sft_pass.k", ["1", "4"], [1, 4]),
    ],
)
def test_strings_from_the_command_line_become_what_the_key_wants(key, text, value):
    settings = load_settings(changed((key, text)), "my.yaml", CONFIG)["preset"]
    for part in key.split("."):
        settings = settings[part]
    assert settings == value and type(settings) is type(value)


def test_a_string_that_is_wanted_stays_a_string():
    settings = load_settings(changed(("preset", "007")), "my.yaml", CONFIG)
    assert settings["preset"]["preset"] == "007"


# --- what a job is told ----------------------------------------------------------------------------------------------

OBJECTIVES = ["ce", "pass_n4", "pass_n16", "pass_n64"]


@pytest.fixture
def settings():
    return load_settings(preset(), "tiny.yaml", CONFIG)


@pytest.mark.parametrize("name", PRESETS)
def test_settings_of_a_job_are_plain_values(name):
    settings = load_settings(preset(name), f"{name}.yaml", CONFIG)
    for resolved in (
        training_settings(settings, "math_sft_pass", "warmup", 1),
        training_settings(settings, "math_sft_pass", "pass_n4", 1),
        sampling_settings(settings, "math_sft_pass", 1),
        closed_form_settings(settings, "scaling_factors"),
        diagonal_settings(settings, "diagonal_diagnostic"),
    ):
        plain = resolved.plain()
        assert json.loads(json.dumps(plain)) == plain  # no tuple, no set, no object
        assert list(plain) == sorted(plain)
        assert type(resolved)(**plain) == resolved  # what a job reads back


def test_objectives_of_one_seed_differ_in_the_objective_alone(settings):
    resolved = [training_settings(settings, "math_sft_pass", objective, 3).plain() for objective in OBJECTIVES]
    assert [entry.pop("objective") for entry in resolved] == OBJECTIVES
    assert all(entry == resolved[0] for entry in resolved)


def test_seeds_differ_between_runs_and_between_training_warm_up_and_sampling(settings):
    seeds = [
        entry.seed
        for seed in (1, 2)
        for entry in (
            training_settings(settings, "math_sft_pass", "warmup", seed),
            training_settings(settings, "math_sft_pass", "ce", seed),
            sampling_settings(settings, "math_sft_pass", seed),
        )
    ]
    assert len(set(seeds)) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)
    problems = {training_settings(settings, "math_sft_pass", "ce", seed).selection_seed for seed in (1, 2)}
    assert len(problems) == 1  # seeds train on the same problems, so intervals cross seeds and problems


def test_the_warm_up_has_its_own_objective_and_length(settings):
    warmup = training_settings(settings, "math_sft_pass", "warmup", 1)
    run = training_settings(settings, "math_sft_pass", "pass_n4", 1)
    assert warmup.objective == "ce"
    assert (warmup.epochs, run.epochs) == (
        settings["preset"]["recipes"]["math_sft_pass"]["warmup_epochs"],
        settings["preset"]["recipes"]["math_sft_pass"]["epochs"],
    )


def test_a_changed_learning_rate_changes_its_recipe_alone(folder_with):
    folder = folder_with("recipes", "recipes.another", None)
    recipes = yaml.safe_load((folder / "recipes.yaml").read_text())
    recipes["recipes"]["another"] = copy.deepcopy(recipes["recipes"]["math_sft_pass"])
    (folder / "recipes.yaml").write_text(yaml.safe_dump(recipes, sort_keys=False))

    def resolved(*changes):
        content = changed(("recipes.another", preset()["recipes"]["math_sft_pass"]), *changes)
        settings = load_settings(content, "my.yaml", folder)
        return {
            name: (
                [training_settings(settings, name, objective, 1) for objective in ("warmup", "ce")],
                sampling_settings(settings, name, 1),
            )
            for name in ("math_sft_pass", "another")
        }

    before, after = resolved(), resolved(("recipes.another.learning_rate", 0.5))
    assert after["math_sft_pass"] == before["math_sft_pass"]
    assert after["another"][1] == before["another"][1]  # nothing is sampled for another reason than new weights
    for old, new in zip(before["another"][0], after["another"][0], strict=True):
        assert new == old | {"learning_rate": 0.5}


def test_a_closed_form_is_told_every_strategy_that_its_table_and_figures_show_once(folder_with):
    settings = load_settings(preset(), "tiny.yaml", CONFIG)
    entry = settings["experiments"]["scaling_factors"]
    shown = {*entry["values"]["strategies"], *entry["alignment"]["strategies"]}
    for figure in entry["figures"].values():
        shown |= {*figure["strategies"]}
    resolved = closed_form_settings(settings, "scaling_factors")
    assert resolved.strategies == sorted(shown)

    retitled = folder_with("experiments", "experiments.scaling_factors.figures.fig11.title", "Another title.")
    assert closed_form_settings(load_settings(preset(), "tiny.yaml", retitled), "scaling_factors") == resolved


def test_an_adapter_is_described_only_where_the_preset_trains_one():
    for name in PRESETS:
        settings = load_settings(preset(name), f"{name}.yaml", CONFIG)
        adapter = training_settings(settings, "math_sft_pass", "ce", 1).adapter
        assert (adapter is not None) == settings["preset"]["models"]["math"]["adapter"]


def test_reading_the_configuration_imports_no_model_library():
    code = (
        "import sys, yaml, pathlib\n"
        "from compute_aligned.config.loading import load_settings\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "load_settings(yaml.safe_load((folder / 'tiny.yaml').read_text()), 'tiny.yaml', folder)\n"
        "print(sorted({'transformers', 'trl', 'peft', 'datasets', 'pandas'} & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", code, str(CONFIG)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --- claims ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("C01.colour", "blue", ["C01: unknown key 'colour'", "allowed are statement, paper_item, experiment"]),
        ("C01.family", REMOVED, ["C01: the key 'family' is missing"]),
        ("C01.experiment", "poetry", ["C01.experiment: found 'poetry'", "wanted one of math_sft_pass, "]),
        ("C01.parts", [], ["C01.parts: found []", "at least 1 entries"]),
        ("C20.smallest_effect.value", 0, ["C20.smallest_effect.value: found 0", "more than 0"]),
        ("C20.smallest_effect.because", REMOVED, ["C20.smallest_effect: the key 'because' is missing"]),
        ("C01.parts.0.kind", "luck", ["C01.parts.0: found {", "wanted kind one of difference, slope_in_n, "]),
        ("C01.parts.0.kind", "rho_mean", ["C01.parts.0: unknown key", "allowed are kind, figure"]),
        ("C01.parts.0.direction", "up", ["C01.parts.0.direction: found 'up'", "one of greater, less, not_greater"]),
        ("C01.parts.0.k", "some", ["C01.parts.0.k: found 'some'", "a value of type array"]),
        ("C01.parts.0.k", [0], ["C01.parts.0.k.0: found 0", "at least 1"]),
        ("C01.parts.0.k", [256], ["C01.parts.0.k: found 256", "more than the 128 samples", "in my.yaml"]),
        ("C01.parts.0.objectives", ["pass_n8"], ["C01.parts.0.objectives: found 'pass_n8'", "math_sft_pass's: ce, "]),
        ("C01.parts.0.over", ["grpo"], ["C01.parts.0.over: found 'grpo'", "wanted one of math_sft_pass's: ce, "]),
        ("C04.parts.0.objectives", {"ce": 1, "bon": 2}, ["C04.parts.0.objectives: found 'bon'"]),
        ("C06.parts.0.k", [4], ["C06.parts.0.k: found [4]", "at least two"]),
        ("C20.parts.0.between", [0.5, 2], ["C20.parts.0.between.1: found 2", "at most 1"]),
        ("C20.parts.0.reported", {"gpro": 6}, ["C20.parts.0.reported: found 'gpro'"]),
        ("C24.parts.0.over", ["grpo"], ["C24.parts.0.over: found 'grpo'", "warmup_transfer_ce, warmup_transfer_pass"]),
        ("C25.experiment", "scaling_factors", ["C25.parts.0.kind: found 'rho_share'", "is a closed_form"]),
        ("C25.parts.0.figure", "fig11", ["C25.parts.0.figure: found 'fig11'", "diagonal_diagnostic's: fig9, fig10"]),
        ("C20.parts.1.below", 0, ["C20.parts.1.below: found 0", "more than 0"]),
        ("C29a.parts.0.test", ["pass_n4", "ce"], ["C29a.parts.0.test: found 'ce'", "scaling_factors's: pass_n1, "]),
        ("C29b.parts.0.alignment", "math_sft_pass", ["parts.0.alignment: found 'math_sft_pass'", "scaling_factors"]),
        ("C29b.parts.0.train", "ce", ["C29b.parts.0: found 'ce'", "scaling_factors's alignment: pass_n1, "]),
    ],
)
def test_a_claim_that_nothing_can_decide_is_refused_in_one_sentence(folder_with, key, value, said):
    folder = folder_with("claims", f"claims.{key}", value)
    sentence = complaint(preset(), folder)
    assert sentence.startswith(f"{folder / 'claims'}.yaml: claims.{key[:3]}")
    assert [word for word in said if word not in sentence] == [], sentence


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("scale.completions", {"math_stf": 5}, ["preconditions.scale.completions: found 'math_stf'", "math_sft_pass"]),
        ("headroom.ranges", {"proteins": [0, 1]}, ["preconditions.headroom.ranges: found 'proteins'", "protein_uncon"]),
        ("learned.level", 0.7, ["preconditions.learned.level: found 0.7", "less than 0.5"]),
    ],
)
def test_a_precondition_that_names_nothing_is_refused_in_one_sentence(folder_with, key, value, said):
    sentence = complaint(preset(), folder_with("claims", f"preconditions.{key}", value))
    assert [word for word in said if word not in sentence] == [], sentence


def test_proteins_alone_have_a_share_of_samples(folder_with):
    share = {"kind": "share", "between": [0.1, 0.2], "objectives": ["pass_n4"], "over": ["ce"], "direction": "less"}
    sentence = complaint(preset(), folder_with("claims", "claims.C01.parts", [share]))
    assert "claims.C01.parts.0.kind: found 'share', but 'math_sft_pass' samples no proteins" in sentence


def test_a_claim_about_an_experiment_that_the_preset_does_not_run_is_no_mistake(folder_with):
    content = preset()
    del content["experiments"]["math_sft_pass"]
    load_settings(content, "my.yaml", folder_with("claims", "claims.C01.parts.0.k", [256]))


def test_a_budget_that_the_paper_reports_may_be_beyond_the_pools_of_a_preset():
    fewer = [(f"experiments.{name}.k", [1]) for name in ("math_sft_pass", "alignment_matrix")]
    load_settings(changed((f"{TINY_RECIPE}.evaluation.samples", 8), *fewer), "", CONFIG)


def test_two_claims_of_one_name_are_refused_in_one_sentence(folder_with):
    folder = folder_with("claims", "level", 0.05)
    file = folder / "claims.yaml"
    file.write_text(file.read_text().replace("\n  C02:\n", "\n  C01:\n"))
    lines = [n for n, line in enumerate(file.read_text().splitlines(), start=1) if line == "  C01:"]
    assert complaint(preset(), folder) == f"{file}: C01: the key stands twice, in lines {lines[0]} and {lines[1]}"
