"""What a preset comes to: its runs and their files, the items of its experiments, and what is expected of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..advantages import rl_objective
from ..analysis.metrics_files import METRICS_FILES
from ..config.resolving import START, WARMUP, compared_arms, overrides_of, recipes_and_objectives, scorer_settings
from ..config.settings.measuring import MeasuringSettings
from ..objectives import sft_objective
from ..presentation.registry import FIGURES, TABLES, Item
from ..presentation.wording import sentences
from .layout import Layout

PASS_RATES = (None, "pass_rates.csv", "pass_rates")  # as in METRICS_FILES: of experiments that draw them
TOKENS = (None, "tokens.csv", "tokens")  # of experiments that compare runs
SHOWN_ON_THE_PAGE = ("summary", "weights", "tokens", "diagonal_rho", "theorem3")


@dataclass(frozen=True)
class Plan:
    """What a preset's settings come to.

    A run is a dict of its ``recipe``, ``objective`` and ``seed``, and ``name``, that of its arm, where experiments
    compare it.

    Attributes:
        settings: ``config.loading.load_settings``.
        layout: where the files lie.
    """

    settings: dict
    layout: Layout

    @property
    def preset(self) -> dict:
        return self.settings["preset"]

    @property
    def seeds(self) -> list[int]:
        return self.preset["seeds"]

    @cached_property
    def experiments(self) -> dict[str, dict]:
        """Those that the preset runs: name -> entry of experiments.yaml with the preset's."""
        return {name: self.settings["experiments"][name] | entry for name, entry in self.preset["experiments"].items()}

    def seeds_of(self, experiment: str) -> list[int]:
        """The seeds of the runs that an experiment compares."""
        return self.experiments[experiment].get("seeds", self.seeds)

    def seeds_of_runs(self, recipe: str, objective: str) -> list[int]:
        """The seeds of a recipe's runs of an objective, in all experiments that look at them or start from them."""

        def looks_at(experiment: str) -> bool:
            pairs = recipes_and_objectives(self.experiments[experiment])
            if objective == WARMUP:
                return any(self.warmup_recipe(of) == recipe for of, _ in pairs)
            if objective == START:
                return experiment in self.of_kind("comparison") and self.baseline_of(experiment)["recipe"] == recipe
            return (recipe, objective) in pairs

        found = {seed for experiment in self.experiments if looks_at(experiment) for seed in self.seeds_of(experiment)}
        return [seed for seed in self.seeds if seed in found]

    def of_kind(self, kind: str) -> dict[str, dict]:
        """The experiments of a kind."""
        return {name: entry for name, entry in self.experiments.items() if entry["kind"] == kind}

    def recipe(self, name: str) -> dict:
        return self.settings["recipes"][name]

    # --- data ---

    def local_data_files(self, task: str) -> list[str]:
        """Local files that a task is read from, so that a changed file is read again."""
        source = self.preset["data"][task].get("source", {})
        return [source[name] for name in ("train_file", "test_file") if name in source]

    def held_out_problems(self, model: str) -> list[str]:
        """The problems that the corpus of a generated base model must not hold: validation first, then test."""
        task = self.preset["models"][model]["source"].get("held_out")
        return [] if task is None else [self.layout.data(task, split) for split in ("validation", "test")]

    # --- runs ---

    @cached_property
    def models(self) -> list[str]:
        """The base models that its recipes start from."""
        return list(dict.fromkeys(self.recipe(recipe)["model"] for recipe in self.objectives))

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks whose problems its recipes read."""
        return list(dict.fromkeys(self.recipe(recipe)["task"] for recipe in self.objectives))

    def warmup_recipe(self, recipe: str) -> str | None:
        """The recipe whose warm-up the objectives of a recipe start from: its own, another's, or None."""
        content = self.recipe(recipe)
        return recipe if content["warmup"] is not None else content.get("warmup_recipe")

    @cached_property
    def objectives(self) -> dict[str, list[str]]:
        """Recipe -> its objectives that experiments look at, and the warm-ups they start from."""
        found: dict[str, list[str]] = {}
        for experiment in self.experiments.values():
            for recipe, objective in recipes_and_objectives(experiment):
                warmup = self.warmup_recipe(recipe)
                if warmup is not None:
                    found.setdefault(warmup, [WARMUP])
                objectives = found.setdefault(recipe, [])
                if objective not in objectives:
                    objectives.append(objective)
        return found

    def trained_by(self, trainer: str) -> list[str]:
        """The objectives whose runs a trainer makes; all warm-ups are SFT."""
        names = {
            name
            for recipe, objectives in self.objectives.items()
            for name in objectives
            if ("sft" if name == WARMUP else self.recipe(recipe)["trainer"]) == trainer
        }
        return sorted(names)

    def rewarded_for(self, *rewards: str) -> list[str]:
        """The recipes in use that have one of some rewards, without those whose task has a scorer of its own."""
        return [
            recipe
            for recipe in self.objectives
            if self.recipe(recipe)["reward"] in rewards and recipe not in self.scored_by_task
        ]

    @cached_property
    def scored_by_task(self) -> list[str]:
        """The recipes in use whose task has a scorer of its own."""
        return [recipe for recipe in self.objectives if scorer_settings(self.settings, recipe) is not None]

    def runs_of(self, experiment: str) -> list[dict]:
        """The runs that an experiment compares, arm by arm."""
        arms, seeds = compared_arms(self.experiments[experiment]), self.seeds_of(experiment)
        return [arm | {"seed": seed} for arm in arms for seed in seeds]

    def diagnosed_runs(self, experiment: str) -> list[dict]:
        """The runs whose pools an experiment's figures show, each once."""
        return [
            {"recipe": recipe, "objective": objective, "seed": seed}
            for recipe, objective in recipes_and_objectives(self.experiments[experiment])
            for seed in self.seeds_of(experiment)
        ]

    def start_runs(self, experiment: str) -> list[dict]:
        """The pools of what the baseline's runs start from."""
        recipe = self.baseline_of(experiment)["recipe"]
        seeds = self.seeds_of(experiment)
        return [{"name": START, "recipe": recipe, "objective": START, "seed": seed} for seed in seeds]

    def baseline_of(self, experiment: str) -> dict:
        """The baseline of an experiment that compares runs: name of the arm, recipe and objective."""
        content = self.experiments[experiment]
        return next(arm for arm in compared_arms(content) if arm["name"] == content["baseline"])

    def starts_of(self, recipe: str, objective: str, seeds: Iterable[int]) -> list[str]:
        """The model that each of a recipe's runs of an objective starts from."""
        warmup = self.warmup_recipe(recipe)
        if objective == WARMUP or warmup is None:
            return [self.layout.base_model(self.recipe(recipe)["model"]) for _ in seeds]
        return [self.layout.model(warmup, WARMUP, seed) for seed in seeds]

    def files(self, stage: str, runs: Iterable[dict]) -> list[str]:
        """The tables of a stage of some runs."""
        return [self.layout.of_run(stage, run["recipe"], run["objective"], run["seed"]) for run in runs]

    def labels_of(self, experiment: str) -> dict[str, str]:
        """Arm of an experiment -> its name in tables and figures."""
        content, make = self.experiments[experiment], {"sft": sft_objective, "grpo": rl_objective}
        return {
            arm["name"]: content.get("labels", {}).get(arm["name"])
            or make[self.recipe(arm["recipe"])["trainer"]](arm["objective"]).label
            for arm in compared_arms(content)
        }

    def labelled_runs(self, experiment: str) -> list[dict]:
        """Arm, label and seed of each of runs_of."""
        labels = self.labels_of(experiment)
        return [
            {"arm": run["name"], "label": labels[run["name"]], "seed": run["seed"]} for run in self.runs_of(experiment)
        ]

    def overrides_in(self, experiment: str) -> str:
        """A sentence on the arms of an experiment that the preset trains otherwise than the others of their recipe."""
        content, said = self.experiments[experiment], []
        labels = self.labels_of(experiment) if content["kind"] == "comparison" else {}
        names = {(arm["recipe"], arm["objective"]): arm["name"] for arm in compared_arms(content)} if labels else {}
        for recipe, objective in recipes_and_objectives(content):
            scale = self.preset["recipes"][recipe]
            others = scale | scale.get("rl", {})
            own = [
                f"{key} {value:g} instead of {others[key]:g}"
                for key, value in overrides_of(self.settings, recipe, objective).items()
            ]
            if own:
                label = labels.get(names.get((recipe, objective)), f"{recipe}/{objective}")
                said.append(f"{label} with {', '.join(own)}")
        return f"Trained otherwise than the others: {'; '.join(said)}." if said else ""

    def titled(self, experiment: str) -> str:
        """An experiment's title, and what its arms differ in besides what it compares."""
        return sentences(self.experiments[experiment]["title"], self.overrides_in(experiment))

    def measured(self, experiment: str) -> MeasuringSettings:
        """What measuring an experiment that compares runs needs to know."""
        content = self.experiments[experiment]
        (trainer,) = {self.recipe(arm["recipe"])["trainer"] for arm in compared_arms(content)}
        return MeasuringSettings(
            name=experiment,
            trainer=trainer,
            labels=self.labels_of(experiment),
            beyond_paper=content.get("beyond_paper", []),
            reported_as=content.get("reported_as", {}),
            reported_from=content.get("reported_from", experiment),
            gain=content.get("gain", False),
            ks=content["k"],
            **{key: content[key] for key in ("baseline", "metric", "paper_item")},
        )

    # --- items: tables and figures ---

    @cached_property
    def experiments_of(self) -> dict[str, list[str]]:
        """Table or figure -> the experiments that it shows; the two halves of Table 6 are two."""
        found: dict[str, list[str]] = {}
        for name, experiment in self.experiments.items():
            for item in (*([experiment["table"]] if "table" in experiment else []), *experiment["figures"]):
                found.setdefault(item, []).append(name)
        return found

    def item_files(self, item: str) -> list[str]:
        if self._figure(item):
            return [self.layout.figure(item, ending) for ending in ("pdf", "png", "caption.md")]
        return [self.layout.table(item, ending) for ending in ("csv", "md", "tex")]

    def items(self, experiment: str) -> list[str]:
        """All files of an experiment's table, if it has one, and figures."""
        return [
            file for item, names in self.experiments_of.items() if experiment in names for file in self.item_files(item)
        ]

    def everything(self) -> list[str]:
        """All tables, figures and the claims."""
        return [*(file for experiment in self.experiments for file in self.items(experiment)), self.layout.claims]

    def of_item(self, item: str) -> str:
        """The one experiment that an item shows."""
        (experiment,) = self.experiments_of[item]
        return experiment

    @property
    def tables(self) -> list[str]:
        return [item for item in self.experiments_of if not self._figure(item)]

    @property
    def figures(self) -> list[str]:
        return [item for item in self.experiments_of if self._figure(item)]

    def made_by(self, item: str) -> Item:
        """What the registry says of a table or figure."""
        figure, entry = self._figure(item), self._entry(item)
        if not figure:
            return TABLES["alignment" if _over_budgets(entry) else entry["kind"]]
        return FIGURES[figure if isinstance(figure, str) else figure.get("draw", "rho")]

    def read_for(self, item: str) -> dict[str, str | list[str]]:
        """Kind of artifact that a table or figure is made from -> its file, or files where it may show several."""
        files: dict[str, str | list[str]] = {}
        for kind in self.made_by(item).reads:
            if kind in ("protein_scores", "rl_training"):  # of every run
                stage = "scores" if kind == "protein_scores" else "training"
                files[kind] = self.files(stage, self.runs_of(self.of_item(item)))
                continue
            names, entry = self.experiments_of[item], self._entry(item)
            if kind == "alignment" and _over_budgets(entry):  # that of the closed forms
                names = [entry["alignment"]]
            found = [self._metrics_file(name, kind) for name in names]
            files[kind] = found if self.made_by(item) == TABLES["comparison"] else found[0]
        return files

    def told(self, item: str) -> dict:
        """What the function that makes a table or figure is told besides."""
        figure, entry, names = self._figure(item), self._entry(item), self.experiments_of[item]
        known = {"item": item, "titles": [self.titled(name) for name in names]}
        known |= {key: self.preset[key] for key in ("preset", "split")} | entry
        known |= figure if isinstance(figure, dict) else {}
        known["title"] = sentences(known["title"], *map(self.overrides_in, names))
        if entry["kind"] == "comparison":
            known["runs"] = [{key: run[key] for key in ("label", "seed")} for run in self.labelled_runs(names[0])]
            known["reward"] = self.recipe(self.baseline_of(names[0])["recipe"])["reward"]
            known["baseline"] = self.labels_of(names[0])[entry["baseline"]]  # by its label
        return {name: known[name] for name in self.made_by(item).told}

    def _entry(self, item: str) -> dict:
        """The first experiment that an item shows."""
        return self.experiments[self.experiments_of[item][0]]

    def _figure(self, item: str) -> str | dict | None:
        """A figure's kind, or settings; None of a table."""
        return self._entry(item)["figures"].get(item)

    def _metrics_file(self, experiment: str, kind: str) -> str:
        """The file of a kind of artifact under metrics/."""
        endings = {artifact: ending for _, ending, artifact in self._metrics_files(experiment)}
        return self.layout.metrics(experiment, endings[kind])

    def _metrics_files(self, experiment: str) -> list[tuple[str | None, str, str]]:
        """All files of an experiment under metrics/: those of METRICS_FILES, and what other jobs add to them."""
        entry = self.settings["experiments"][experiment]
        files = METRICS_FILES[entry["kind"]].copy()
        if entry["kind"] == "comparison":
            files.append(TOKENS)
        if "pass_rates" in entry["figures"].values():
            files.append(PASS_RATES)
        return files

    def page(self) -> dict[str, dict]:
        """What the report page needs to know: name -> entry of each experiment with its items, tables first.

        One that compares runs has ``records``, their training records: kind, and label and file of each run, those of
        the baseline first.
        """
        pages = {}
        for name, entry in self.experiments.items():
            kinds = [("table", entry.get("table")), *(("figure", figure) for figure in entry["figures"])]
            pages[name] = entry | {
                "title": self.titled(name),
                "items": [[kind, item] for kind, item in kinds if item is not None],
            }
            if entry["kind"] == "comparison":
                pages[name]["records"] = self._records_of(name)
        return pages

    def _records_of(self, experiment: str) -> dict:
        baseline, labels = self.baseline_of(experiment), self.labels_of(experiment)
        runs = sorted(self.runs_of(experiment), key=lambda run: run["name"] != baseline["name"])
        files = self.files("training", runs)
        return {
            "kind": "training" if self.recipe(baseline["recipe"])["trainer"] == "sft" else "rl_training",
            "runs": [[labels[run["name"]], file] for run, file in zip(runs, files, strict=True)],
        }

    def page_records(self) -> list[str]:
        """The training records that the report page shows, each once."""
        found = [file for entry in self.page().values() for _, file in entry.get("records", {"runs": []})["runs"]]
        return list(dict.fromkeys(found))

    def page_metrics(self) -> list[str]:
        """The metrics files that the report page shows."""
        return [
            self.layout.metrics(name, ending)
            for name in self.experiments
            for _, ending, kind in self._metrics_files(name)
            if kind in SHOWN_ON_THE_PAGE
        ]

    # --- claims ---

    def claims_about(self, experiment: str) -> list[dict]:
        return [claim for claim in self.settings["claims"]["claims"].values() if claim["experiment"] == experiment]

    @cached_property
    def deciding_files(self) -> dict[str, dict]:
        """Experiment that claims are about -> the files that decide them, by their names in METRICS_FILES."""
        return {name: self._deciding(name) for name in self.experiments if self.claims_about(name)}

    def _deciding(self, name: str) -> dict:
        experiment = self.experiments[name]
        named = METRICS_FILES[experiment["kind"]]
        files: dict = {key: self.layout.metrics(name, ending) for key, ending, _ in named if key is not None}
        arms = compared_arms(experiment) if experiment["kind"] == "comparison" else []

        def of_each_arm(stage, objective=None):
            return {
                arm["name"]: [
                    self.layout.of_run(stage, arm["recipe"], objective or arm["objective"], seed)
                    for seed in self.seeds_of(name)
                ]
                for arm in arms
            }

        if arms:
            files["baseline"] = of_each_arm("training")[experiment["baseline"]]
        if len({arm["recipe"] for arm in arms}) > 1:  # under one objective: it is their warm-ups that are compared
            files["warmups"] = of_each_arm("training", WARMUP)
        parts = [part for claim in self.claims_about(name) for part in claim["parts"]]
        if any(part["kind"] in ("share", "share_below") for part in parts):
            files["proteins"] = of_each_arm("scores")
        return files

    def baseline_records(self) -> dict[str, dict]:
        """Experiment -> what its baseline's training records are: their kind, and completions per row."""
        records = {}
        for name in self.deciding_files:
            if self.experiments[name]["kind"] != "comparison":
                continue
            recipe = self.baseline_of(name)["recipe"]
            method = self.recipe(recipe)
            if method["trainer"] == "sft":  # a row per sequence
                records[name] = {"kind": "training", "completions_per_row": 1}
            else:
                per_step = self.preset["recipes"][recipe]["rl"]["prompts_per_step"] * method["rl"]["group_size"]
                records[name] = {"kind": "rl_training", "completions_per_row": per_step}
        return records

    # --- what `check` is to find ---

    def expected(self) -> dict:
        """Runs, experiments that compare them, and the kinds of all other artifacts."""
        pairs = dict.fromkeys(
            pair for experiment in self.experiments.values() for pair in recipes_and_objectives(experiment)
        )
        runs = [self._expected_run(*pair, seed) for pair in pairs for seed in self.seeds_of_runs(*pair)]
        artifacts = {self.layout.claims: "claims"}
        for run in runs:
            artifacts |= {run["problems"]: "problems", run["training"]: run["training_kind"]}
        for name in self.experiments:
            artifacts |= {self.layout.metrics(name, ending): kind for _, ending, kind in self._metrics_files(name)}
        for item in self.tables:
            in_closed_form = self._entry(item)["kind"] == "closed_form"
            artifacts[self.layout.table(item, "csv")] = "closed_form_table" if in_closed_form else "table"
        return {
            "folders": [self.layout.root],
            "runs": runs,
            "experiments": [self._expected_experiment(name) for name in self.of_kind("comparison")],
            "artifacts": [{"kind": kind, "path": path} for path, kind in artifacts.items()],
        }

    def _expected_experiment(self, name: str) -> dict:
        entry = self.experiments[name]
        return {
            "name": name,
            "metric": entry["metric"],
            "ks": entry["k"],
            "seeds": self.seeds_of(name),
            "arms": [arm["name"] for arm in compared_arms(entry)],
            **{
                kind: self.layout.metrics(name, ending)
                for key, ending, kind in self._metrics_files(name)
                if key != "start"
            },
        }

    def _expected_run(self, recipe: str, objective: str, seed: int) -> dict:
        """Files of a run, their kinds, and the size of its pools."""
        entry, evaluation = self.recipe(recipe), self.preset["recipes"][recipe]["evaluation"]
        samples, scores, training = (
            self.layout.of_run(s, recipe, objective, seed) for s in ("samples", "scores", "training")
        )
        return {
            "recipe": recipe,
            "objective": objective,
            "seed": seed,
            "samples": samples,
            "scores": scores,
            "scores_kind": "scores" if entry["reward"] == "answer" else "protein_scores",
            "training": training,
            "training_kind": "training" if entry["trainer"] == "sft" else "rl_training",
            "problems": self.layout.data(entry["task"], self.preset["split"]),
            "n_problems": evaluation["problems"],
            "n_samples": evaluation["samples"],
            # Where its value at k = 1 stands, which is the mean reward of its pools (of a vote it need not be).
            "measured": [
                {"arm": arm["name"], "metrics": self.layout.metrics(name, "csv")}
                for name, experiment in self.of_kind("comparison").items()
                if experiment["metric"] != "maj" and 1 in experiment["k"]
                for arm in compared_arms(experiment)
                if (arm["recipe"], arm["objective"]) == (recipe, objective)
            ],
        }


def _over_budgets(entry: dict) -> bool:
    """Whether an experiment compares budgets N, and its gains stand beside the alignment of a closed form."""
    return entry["kind"] == "comparison" and "alignment" in entry


def flattened(files: str | list | dict) -> list[str]:
    """All paths of nested dicts and lists."""
    if isinstance(files, str):
        return [files]
    return [path for entry in (files.values() if isinstance(files, dict) else files) for path in flattened(entry)]
