"""Scores of the samples, and an experiment's metrics: measured on runs, or computed in closed form."""


localrules:
    closed_forms,


rule grade:
    input:
        samples=of_runs("samples"),
        problems=problems_of(PRESET["split"]),
    output:
        of_runs("scores"),
    log:
        f"{RESULTS}/logs/grade/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/grade/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        recipe=one_of(PLAN.rewarded_for("answer")),
    priority: 20
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["evaluate"]["threads"]
    resources:
        mem_mb=RESOURCES["evaluate"]["mem_mb"],
        runtime=RESOURCES["evaluate"]["runtime"],
    params:
        target=lambda wildcards: PLAN.recipe(wildcards.recipe)["target"],
        code=code_of("grade.py"),
    message:
        f"Grading {{wildcards.recipe}}, {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/grade.py"


rule grade_by_task:
    input:
        samples=of_runs("samples"),
        problems=problems_of(PRESET["split"]),
    output:
        of_runs("scores"),
    log:
        f"{RESULTS}/logs/grade_by_task/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/grade_by_task/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        recipe=one_of(PLAN.scored_by_task),
    priority: 20
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    resources:
        mem_mb=RESOURCES["evaluate"]["mem_mb"],
        runtime=RESOURCES["evaluate"]["runtime"],
    params:
        target=lambda wildcards: PLAN.recipe(wildcards.recipe)["target"],
        questions=lambda wildcards: scorer_settings(SETTINGS, wildcards.recipe).plain(),
        code=code_of("grade_by_task.py"),
    message:
        f"Grading {{wildcards.recipe}}, {{wildcards.objective}}, {SEED_MESSAGE}, by the task's own scorer"
    script:
        "../scripts/grade_by_task.py"


rule score_proteins:
    input:
        samples=of_runs("samples"),
        problems=problems_of(PRESET["split"]),
    output:
        of_runs("scores"),
    log:
        f"{RESULTS}/logs/score_proteins/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_proteins/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        recipe=one_of(PLAN.rewarded_for("hydrophobicity", "inversion")),
    priority: 20
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    resources:
        mem_mb=RESOURCES["evaluate"]["mem_mb"],
        runtime=RESOURCES["evaluate"]["runtime"],
    params:
        code=code_of("score_proteins.py"),
    message:
        f"Scoring {{wildcards.recipe}}, {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/score_proteins.py"


rule measure:
    input:
        scores=lambda wildcards: PLAN.files("scores", PLAN.runs_of(wildcards.experiment)),
        records=lambda wildcards: PLAN.files("training", PLAN.runs_of(wildcards.experiment)),
        starts=lambda wildcards: PLAN.files("scores", PLAN.start_runs(wildcards.experiment)),
        reported=REPORTED,
    output:
        metrics=LAYOUT.metrics("{experiment}", "csv"),
        problem_metrics=LAYOUT.metrics("{experiment}", "problems.parquet"),
        start=LAYOUT.metrics("{experiment}", "start.parquet"),
        summary=LAYOUT.metrics("{experiment}", "summary.csv"),
        weights=LAYOUT.metrics("{experiment}", "weights.csv"),
    log:
        f"{RESULTS}/logs/measure/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(COMPARISONS),
    priority: 10
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["evaluate"]["threads"]
    resources:
        mem_mb=RESOURCES["evaluate"]["mem_mb"],
        runtime=RESOURCES["evaluate"]["runtime"],
    params:
        experiment=lambda wildcards: PLAN.measured(wildcards.experiment).plain(),
        runs=lambda wildcards: PLAN.runs_of(wildcards.experiment),
        starts=lambda wildcards: PLAN.start_runs(wildcards.experiment),
        code=code_of("measure.py"),
    message:
        "Metrics of {wildcards.experiment}"
    script:
        "../scripts/measure.py"


rule pass_rates:
    input:
        scores=lambda wildcards: PLAN.files("scores", PLAN.runs_of(wildcards.experiment)),
    output:
        LAYOUT.metrics("{experiment}", "pass_rates.csv"),
    log:
        f"{RESULTS}/logs/pass_rates/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pass_rates/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(name for name, entry in COMPARISONS.items() if "pass_rates" in entry["figures"].values()),
    priority: 10
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["evaluate"]["threads"]
    resources:
        mem_mb=RESOURCES["evaluate"]["mem_mb"],
        runtime=RESOURCES["evaluate"]["runtime"],
    params:
        runs=lambda wildcards: PLAN.labelled_runs(wildcards.experiment),
        code=code_of("compute_pass_rates.py"),
    message:
        "Pass rates of {wildcards.experiment}"
    script:
        "../scripts/compute_pass_rates.py"


rule token_costs:
    input:
        samples=lambda wildcards: PLAN.files("samples", PLAN.runs_of(wildcards.experiment)),
        problem_metrics=LAYOUT.metrics("{experiment}", "problems.parquet"),
        summary=LAYOUT.metrics("{experiment}", "summary.csv"),
    output:
        LAYOUT.metrics("{experiment}", "tokens.csv"),
    log:
        f"{RESULTS}/logs/token_costs/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/token_costs/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(COMPARISONS),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    resources:
        mem_mb=RESOURCES["evaluate"]["mem_mb"],
        runtime=RESOURCES["evaluate"]["runtime"],
    params:
        runs=lambda wildcards: PLAN.runs_of(wildcards.experiment),
        code=code_of("compute_token_costs.py"),
    message:
        "Tokens per answer of {wildcards.experiment}"
    script:
        "../scripts/compute_token_costs.py"


rule closed_forms:
    input:
        reported=REPORTED,
    output:
        curves=LAYOUT.metrics("{experiment}", "curves.parquet"),
        alignment=LAYOUT.metrics("{experiment}", "alignment.csv"),
        variance=LAYOUT.metrics("{experiment}", "variance.csv"),
        normalisation=LAYOUT.metrics("{experiment}", "normalisation.csv"),
        within_prompt=LAYOUT.metrics("{experiment}", "within_prompt.csv"),
    log:
        f"{RESULTS}/logs/closed_forms/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/closed_forms/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(CLOSED_FORMS),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        settings=lambda wildcards: closed_form_settings(SETTINGS, wildcards.experiment).plain(),
        code=code_of("compute_closed_forms.py"),
    message:
        "Closed forms of {wildcards.experiment}"
    script:
        "../scripts/compute_closed_forms.py"


rule measure_diagonal:
    input:
        scores=lambda wildcards: PLAN.files("scores", PLAN.diagnosed_runs(wildcards.experiment)),
        reported=REPORTED,
    output:
        ratios=LAYOUT.metrics("{experiment}", "ratios.parquet"),
        rho=LAYOUT.metrics("{experiment}", "rho.csv"),
        theorem3=LAYOUT.metrics("{experiment}", "theorem3.csv"),
    log:
        f"{RESULTS}/logs/measure_diagonal/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_diagonal/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(DIAGONALS),
    priority: 10
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["evaluate"]["threads"]
    resources:
        mem_mb=RESOURCES["evaluate"]["mem_mb"],
        runtime=RESOURCES["evaluate"]["runtime"],
    params:
        settings=lambda wildcards: diagonal_settings(SETTINGS, wildcards.experiment).plain(),
        runs=lambda wildcards: PLAN.diagnosed_runs(wildcards.experiment),
        code=code_of("measure_diagonal.py"),
    message:
        "Diagonal approximation of {wildcards.experiment}"
    script:
        "../scripts/measure_diagonal.py"
