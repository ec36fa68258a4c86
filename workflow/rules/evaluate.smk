"""Scores of the samples, and an experiment's metrics: measured on runs, or computed in closed form."""


localrules:
    closed_forms,


rule grade:
    input:
        samples=of_seeds(f"{RESULTS}/samples/{{recipe}}/{{objective}}/seed{{seed}}.parquet"),
        problems=lambda wildcards: f"{RESULTS}/data/{task_of(wildcards)}/{PRESET['split']}.parquet",
    output:
        of_seeds(f"{RESULTS}/scores/{{recipe}}/{{objective}}/seed{{seed}}.parquet"),
    log:
        f"{RESULTS}/logs/grade/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/grade/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        recipe=one_of(recipes_with("reward", ["answer"])),
    priority: 20
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["evaluate"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["evaluate"]["mem_mb"],
        runtime=PRESET["resources"]["evaluate"]["runtime"],
    params:
        target=lambda wildcards: SETTINGS["recipes"][wildcards.recipe]["target"],
        code=code_of("grade.py"),
    message:
        f"Grading {{wildcards.recipe}}, {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/grade.py"


rule score_proteins:
    input:
        samples=of_seeds(f"{RESULTS}/samples/{{recipe}}/{{objective}}/seed{{seed}}.parquet"),
        problems=lambda wildcards: f"{RESULTS}/data/{task_of(wildcards)}/{PRESET['split']}.parquet",
    output:
        of_seeds(f"{RESULTS}/scores/{{recipe}}/{{objective}}/seed{{seed}}.parquet"),
    log:
        f"{RESULTS}/logs/score_proteins/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_proteins/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        recipe=one_of(recipes_with("reward", ["hydrophobicity", "inversion"])),
    priority: 20
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    resources:
        mem_mb=PRESET["resources"]["evaluate"]["mem_mb"],
        runtime=PRESET["resources"]["evaluate"]["runtime"],
    params:
        code=code_of("score_proteins.py"),
    message:
        f"Scoring {{wildcards.recipe}}, {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/score_proteins.py"


rule measure:
    input:
        scores=run_files("scores"),
        records=run_files("training"),
        starts=run_files("scores", start_runs),
        # Relative, so that a moved or cloned folder does not look like another input.
        reported=os.path.relpath(f"{workflow.basedir}/config/reported.csv"),
    output:
        metrics=f"{RESULTS}/metrics/{{experiment}}.csv",
        problem_metrics=f"{RESULTS}/metrics/{{experiment}}.problems.parquet",
        start=f"{RESULTS}/metrics/{{experiment}}.start.parquet",
        summary=f"{RESULTS}/metrics/{{experiment}}.summary.csv",
        weights=f"{RESULTS}/metrics/{{experiment}}.weights.csv",
    log:
        f"{RESULTS}/logs/measure/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(COMPARISONS),
    priority: 10
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["evaluate"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["evaluate"]["mem_mb"],
        runtime=PRESET["resources"]["evaluate"]["runtime"],
    params:
        experiment=experiment_settings,
        runs=lambda wildcards: runs_of(wildcards.experiment),
        starts=lambda wildcards: start_runs(wildcards.experiment),
        code=code_of("measure.py"),
    message:
        "Metrics of {wildcards.experiment}"
    script:
        "../scripts/measure.py"


rule pass_rates:
    input:
        scores=run_files("scores"),
    output:
        f"{RESULTS}/metrics/{{experiment}}.pass_rates.csv",
    log:
        f"{RESULTS}/logs/pass_rates/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pass_rates/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(name for name, entry in COMPARISONS.items() if "pass_rates" in entry["figures"].values()),
    priority: 10
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["evaluate"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["evaluate"]["mem_mb"],
        runtime=PRESET["resources"]["evaluate"]["runtime"],
    params:
        runs=lambda wildcards: labelled_runs(wildcards.experiment),
        code=code_of("compute_pass_rates.py"),
    message:
        "Pass rates of {wildcards.experiment}"
    script:
        "../scripts/compute_pass_rates.py"


rule closed_forms:
    input:
        reported=os.path.relpath(f"{workflow.basedir}/config/reported.csv"),
    output:
        curves=f"{RESULTS}/metrics/{{experiment}}.curves.parquet",
        alignment=f"{RESULTS}/metrics/{{experiment}}.alignment.csv",
        variance=f"{RESULTS}/metrics/{{experiment}}.variance.csv",
        normalisation=f"{RESULTS}/metrics/{{experiment}}.normalisation.csv",
        within_prompt=f"{RESULTS}/metrics/{{experiment}}.within_prompt.csv",
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
        settings=lambda wildcards: closed_form_settings(SETTINGS, wildcards.experiment),
        code=code_of("compute_closed_forms.py"),
    message:
        "Closed forms of {wildcards.experiment}"
    script:
        "../scripts/compute_closed_forms.py"


rule measure_diagonal:
    input:
        scores=diagnosed_scores,
        reported=os.path.relpath(f"{workflow.basedir}/config/reported.csv"),
    output:
        ratios=f"{RESULTS}/metrics/{{experiment}}.ratios.parquet",
        rho=f"{RESULTS}/metrics/{{experiment}}.rho.csv",
        theorem3=f"{RESULTS}/metrics/{{experiment}}.theorem3.csv",
    log:
        f"{RESULTS}/logs/measure_diagonal/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/measure_diagonal/{{experiment}}.tsv"
    wildcard_constraints:
        experiment=one_of(DIAGONALS),
    priority: 10
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["evaluate"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["evaluate"]["mem_mb"],
        runtime=PRESET["resources"]["evaluate"]["runtime"],
    params:
        settings=lambda wildcards: diagonal_settings(SETTINGS, wildcards.experiment),
        runs=lambda wildcards: diagnosed_runs(wildcards.experiment),
        code=code_of("measure_diagonal.py"),
    message:
        "Diagonal approximation of {wildcards.experiment}"
    script:
        "../scripts/measure_diagonal.py"
