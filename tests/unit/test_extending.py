"""docs/extending.md, followed to the letter in a copy of the repository: its changes, its numbers, its commands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import warm
import yaml
from conftest import REPO
from procedural import write_package

pytestmark = pytest.mark.slow
PAGE = REPO / "docs" / "extending.md"
# A fenced block and the paragraph above it, whose first words say which file it belongs to and where.
BLOCK = re.compile(r"(?:^(`[^\n]+):\n\n)?^```(python|yaml|sh)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
PLACE = re.compile(
    r"`(?P<file>[^`]+)`, (?P<how>[a-z ]+?)(?: `(?P<what>.+)`)?(?P<rest> with these lines in place of its own)?"
)


def apply(folder, place, block):
    """Make one of the page's changes."""
    found = PLACE.fullmatch(place)
    assert found, place
    path, how, what = folder / found["file"], found["how"], found["what"]
    if how == "new":
        assert not path.exists()
        path.write_text(block)
    elif how == "at the end":
        path.write_text(f"{path.read_text()}\n\n{block}")
    elif how in ("after", "before", "in place of"):
        text = path.read_text()
        assert text.count(f"\n{what}\n") == 1, f"{path} holds the line {what!r} {text.count(what)} times"
        lines = {"after": f"{what}\n{block}", "before": f"{block}\n\n{what}\n", "in place of": block}
        path.write_text(text.replace(f"\n{what}\n", f"\n{lines[how]}"))
    elif how == "added to":
        content = yaml.safe_load(path.read_text())
        *parents, last = what.split(".")
        holder = content
        for parent in parents:
            holder = holder[parent]
        holder[last] = holder.get(last, []) + yaml.safe_load(block)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    elif how in ("a copy of", "with these lines in place of its own"):
        content = yaml.safe_load((folder / (what or found["file"])).read_text())
        path.write_text(yaml.safe_dump(replaced(content, yaml.safe_load(block)), sort_keys=False))
    else:
        raise AssertionError(place)


def replaced(content, lines):
    """A preset with some lines replaced; a source or a loader is replaced whole."""
    if not isinstance(lines, dict) or {"kind", "loader"} & set(lines):
        return lines
    return content | {key: replaced(content.get(key), value) for key, value in lines.items()}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """The copy with all changes made, and what each of the page's commands printed, by the heading it stands under."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("workflow", "config", "docs", "profiles"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "pyproject.toml"):
        shutil.copy(REPO / name, folder)
    (folder / "gsm8k").mkdir()
    for split, questions in {"train": range(200, 1200), "test": range(1200, 1400)}.items():
        rows = [
            {"question": f"What is {n}+1?", "answer": f"{n}+1=<<{n}+1={n + 1}>>{n + 1:,}\n#### {n + 1:,}"}
            for n in questions
        ]
        (folder / "gsm8k" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "my-model").mkdir()
    for file in ("config.json", "tokenizer.json", "model.safetensors"):  # looked for before the first job
        (folder / "my-model" / file).touch()
    write_package(folder / "site")
    printed = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        heading = section.splitlines()[0]
        for place, language, block in BLOCK.findall(section):
            if language != "sh":
                apply(folder, place, block)
                continue
            assert not place
            for command in block.splitlines():
                code, printed[heading] = shell(folder, command)
                assert code == 0, printed[heading]
    return folder, printed


def shell(folder, command):
    """Exit code and output of one of the page's commands, with this interpreter and the copy's package."""
    # With a stand-in of reasoning-gym, which is optional.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(folder / name) for name in ("workflow", "site"))}
    environment.pop("SNAKEMAKE_PROFILE", None)
    program, *arguments = shlex.split(command)
    if program == "snakemake":
        return warm.run(program, arguments, folder, environment)
    command = re.sub("^python", re.escape(sys.executable), command)
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def in_the_copy(folder, code):
    """What a few lines of Python print that import the copy's package, as JSON."""
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(folder / "workflow")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_block_of_the_page_belongs_to_a_file_or_is_a_command():
    text = PAGE.read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("\n```") / 2 and len(blocks) > 15
    assert [block for place, language, block in blocks if (language == "sh") == bool(place)] == []


@pytest.mark.parametrize(
    ("heading", "planned"),
    [
        ("Another budget", ["models/math_sft_pass/pass_n24/seed1"]),
        ("A strategy", ["models/math_sft_pass/verified_n16_c50/", "models/math_rl_pass/verified_n16_c50_log/"]),
        ("An objective that is no strategy", ["models/math_sft_pass/focal_g2/"]),
        ("A model", ["results/mine/models/base/math", "results/mine/tables/table2.csv"]),
        ("A data set", ["results/mine/data/math/train.parquet", "results/mine/tables/table2.csv"]),
        ("Endless problems", ["results/endless/data/math/train.parquet", "by the task's own scorer"]),
    ],
)
def test_the_commands_plan_the_new_runs(extended, heading, planned):
    _, printed = extended
    assert [file for file in planned if file not in printed[heading]] == []


def test_the_changed_files_pass_the_linter(extended):
    folder, _ = extended
    for command in ("check", "format --check"):
        code, output = shell(folder, f"python -m ruff {command} workflow")
        assert code == 0, output


def test_the_strategy_is_what_its_formula_says(extended):
    folder, _ = extended
    found = in_the_copy(
        folder,
        """
import json, torch
from compute_aligned.advantages import Rollouts, rl_objective
from compute_aligned.objectives import GoldCompletions, sft_objective
log_p = torch.tensor([-1e4, -20.0, -2.0, -0.1, 0.0], dtype=torch.float64, requires_grad=True)
objective = sft_objective("verified_n16_c50")
gold = GoldCompletions(log_p, None, None, None)
loss = objective.loss(gold)
(gradient,) = torch.autograd.grad(loss.sum(), log_p)
rl = rl_objective("verified_n16_c50_log").weight(Rollouts(torch.zeros(1, 5), log_p=log_p.detach()[None]))
print(json.dumps([loss.tolist(), gradient.tolist(), objective.weight(gold).tolist(), rl[0].tolist(), objective.label]))
""",
    )
    import mpmath

    mpmath.mp.dps = 50
    loss, gradient, weight, rl_weight, label = found
    assert label == "Verified@16, 50 %"
    for i, log_p in enumerate([-1e4, -20.0, -2.0, -0.1, 0.0]):
        p = mpmath.exp(log_p)
        success = -mpmath.expm1(16 * mpmath.log1p(-p / 2)) if log_p > -100 else 8 * p
        w = p * 8 * (1 - p / 2) ** 15 / success
        assert loss[i] == pytest.approx(float(-mpmath.log(success)), rel=1e-9)
        assert weight[i] == pytest.approx(float(w), rel=1e-9)
        assert gradient[i] == pytest.approx(-float(w), rel=1e-9)
        if log_p in (-20.0, -2.0, -0.1):  # beyond, P's cut of p
            assert rl_weight[i] == pytest.approx(float(w), rel=1e-9)


def test_the_objective_without_a_strategy_weighs_as_it_says(extended):
    folder, _ = extended
    weight, gradient = in_the_copy(
        folder,
        """
import json, torch
from compute_aligned.objectives import GoldCompletions, sft_objective
log_p = torch.tensor([-5.0, -0.5], requires_grad=True)
objective, gold = sft_objective("focal_g2"), GoldCompletions(log_p, None, None, None)
(gradient,) = torch.autograd.grad(objective.loss(gold).sum(), log_p)
print(json.dumps([objective.weight(gold).tolist(), gradient.tolist()]))
""",
    )
    wanted = [(1 - 2.718281828459045**log_p) ** 2 for log_p in (-5.0, -0.5)]
    assert weight == pytest.approx(wanted, rel=1e-6)
    assert gradient == pytest.approx([-w for w in wanted], rel=1e-6)


def test_the_data_set_is_read(extended):
    folder, _ = extended
    splits = in_the_copy(
        folder,
        """
import dataclasses, json, yaml
from compute_aligned.tasks.loading import load_task
from compute_aligned.tasks.sources import read_task
splits, _ = load_task(read_task(yaml.safe_load(open("config/mine.yaml"))["data"]["math"]))
print(json.dumps({split: [dataclasses.asdict(problem) for problem in problems] for split, problems in splits.items()}))
""",
    )
    assert {split: len(problems) for split, problems in splits.items()} == {
        "validation": 200,
        "train": 800,
        "test": 200,
    }
    assert splits["test"][0] == {
        "problem_id": "test/00000",
        "prompt": "Problem:\nWhat is 1200+1?",
        "target": "1200+1=1201\n\\boxed{1201}",
        "answer": "1201",
        "subject": "none",
        "level": 1,
    }


def test_the_data_set_takes_some_twelve_lines_of_a_preset_and_no_code():
    section = PAGE.read_text().split("\n## A data set\n")[1].split("\n## ")[0]
    blocks = [(language, block) for _, language, block in BLOCK.findall(section)]
    assert [language for language, _ in blocks] == ["yaml", "sh"]
    assert len(blocks[0][1].splitlines()) <= 12
