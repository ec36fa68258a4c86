"""Tables and figures: drawn from an experiment's metrics alone, so that a redraw takes seconds. Claims: judged by them."""


localrules:
    table,
    figure,
    report,
    alignment_table,
    alignment_figure,
    pass_rate_figure,
    protein_figure,
    training_figure,
    weight_table,
    weight_figure,
    diagonal_figure,
    claims,


rule report:
    input:
        claims=LAYOUT.claims,
        shown=[file for item in PLAN.experiments_of for file in PLAN.item_files(item)],
        metrics=PLAN.page_metrics(),
        template=TEMPLATE,
        captions=CAPTIONS,
    output:
        report(
            LAYOUT.report,
            caption="../report/report.rst",
            category="Claims",
            labels={"item": "everything on one page", "kind": "page"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        preset={key: PRESET[key] for key in ("preset", "split", "seeds", "models", "data")},
        experiments=PLAN.page(),
        left_out=[name for name in SETTINGS["experiments"] if name not in EXPERIMENTS],
        command=command_of_this_preset(),
        results=lambda wildcards, input: str(Path(input.claims).parent),
        code=code_of("make_report.py"),
    message:
        "The page {output}"
    script:
        "../scripts/make_report.py"


rule table:
    input:
        summaries=metrics_of_table("summary.csv"),
        weights=metrics_of_table("weights.csv"),
    output:
        csv=report(
            LAYOUT.table("{item}", "csv"),
            caption="../report/table.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "table"},
        ),
        markdown=LAYOUT.table("{item}", "md"),
        latex=LAYOUT.table("{item}", "tex"),
    log:
        f"{RESULTS}/logs/table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.tables(PLAN.of_kind("comparison", aligned=False))),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        titles=lambda wildcards: [EXPERIMENTS[name]["title"] for name in PLAN.experiments_of[wildcards.item]],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("make_table.py"),
    message:
        "Table {wildcards.item}"
    script:
        "../scripts/make_table.py"


rule figure:
    input:
        summary=metrics_of_item("summary.csv"),
    output:
        pdf=LAYOUT.figure("{item}", "pdf"),
        png=report(
            LAYOUT.figure("{item}", "png"),
            caption="../report/figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.figures(COMPARISONS, "difference", "values", "matrix")),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        kind=lambda wildcards: entry_of(wildcards)["figures"][wildcards.item],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_figure.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_figure.py"


rule alignment_table:
    input:
        summary=metrics_of_item("summary.csv"),
        alignment=lambda wildcards: LAYOUT.metrics(entry_of(wildcards)["alignment"], "alignment.csv"),
    output:
        csv=report(
            LAYOUT.table("{item}", "csv"),
            caption="../report/alignment_table.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "table"},
        ),
        markdown=LAYOUT.table("{item}", "md"),
        latex=LAYOUT.table("{item}", "tex"),
    log:
        f"{RESULTS}/logs/alignment_table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/alignment_table/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.tables(PLAN.of_kind("comparison", aligned=True))),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        title=lambda wildcards: entry_of(wildcards)["title"],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("make_alignment_table.py"),
    message:
        "Table {wildcards.item}"
    script:
        "../scripts/make_alignment_table.py"


rule alignment_figure:
    input:
        summary=metrics_of_item("summary.csv"),
        alignment=lambda wildcards: LAYOUT.metrics(entry_of(wildcards)["alignment"], "alignment.csv"),
    output:
        pdf=LAYOUT.figure("{item}", "pdf"),
        png=report(
            LAYOUT.figure("{item}", "png"),
            caption="../report/alignment_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/alignment_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/alignment_figure/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.figures(COMPARISONS, "alignment")),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_alignment.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_alignment.py"


rule pass_rate_figure:
    input:
        pass_rates=metrics_of_item("pass_rates.csv"),
    output:
        pdf=LAYOUT.figure("{item}", "pdf"),
        png=report(
            LAYOUT.figure("{item}", "png"),
            caption="../report/pass_rate_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/pass_rate_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pass_rate_figure/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.figures(COMPARISONS, "pass_rates")),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_pass_rates.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_pass_rates.py"


rule protein_figure:
    input:
        scores=lambda wildcards: PLAN.files("scores", PLAN.runs_of(PLAN.of_item(wildcards.item))),
    output:
        pdf=LAYOUT.figure("{item}", "pdf"),
        png=report(
            LAYOUT.figure("{item}", "png"),
            caption="../report/protein_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/protein_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/protein_figure/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.figures(COMPARISONS, "hydrophobicity", "inversion")),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        runs=lambda wildcards: PLAN.labels_of_figure(wildcards.item),
        kind=lambda wildcards: entry_of(wildcards)["figures"][wildcards.item],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_proteins.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_proteins.py"


rule training_figure:
    input:
        records=lambda wildcards: PLAN.files("training", PLAN.runs_of(PLAN.of_item(wildcards.item))),
    output:
        pdf=LAYOUT.figure("{item}", "pdf"),
        png=report(
            LAYOUT.figure("{item}", "png"),
            caption="../report/training_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/training_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/training_figure/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.figures(COMPARISONS, "training")),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        runs=lambda wildcards: PLAN.labels_of_figure(wildcards.item),
        reward=lambda wildcards: PLAN.recipe(PLAN.baseline_of(PLAN.of_item(wildcards.item))["recipe"])["reward"],
        in_black=lambda wildcards: PLAN.baseline_in_black(wildcards.item),
        preset=PRESET["preset"],
        code=code_of("draw_training.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_training.py"


rule weight_table:
    input:
        curves=metrics_of_item("curves.parquet"),
        alignment=metrics_of_item("alignment.csv"),
        variance=metrics_of_item("variance.csv"),
        normalisation=metrics_of_item("normalisation.csv"),
        within_prompt=metrics_of_item("within_prompt.csv"),
    output:
        csv=report(
            LAYOUT.table("{item}", "csv"),
            caption="../report/weight_table.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "table"},
        ),
        markdown=LAYOUT.table("{item}", "md"),
        latex=LAYOUT.table("{item}", "tex"),
    log:
        f"{RESULTS}/logs/weight_table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weight_table/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.tables(CLOSED_FORMS)),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        title=lambda wildcards: entry_of(wildcards)["title"],
        values=lambda wildcards: entry_of(wildcards)["values"],
        code=code_of("make_weight_table.py"),
    message:
        "Table {wildcards.item}"
    script:
        "../scripts/make_weight_table.py"


rule weight_figure:
    input:
        curves=metrics_of_item("curves.parquet"),
        alignment=metrics_of_item("alignment.csv"),
    output:
        pdf=LAYOUT.figure("{item}", "pdf"),
        png=report(
            LAYOUT.figure("{item}", "png"),
            caption="../report/weight_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/weight_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weight_figure/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.figures(CLOSED_FORMS)),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        figure=lambda wildcards: entry_of(wildcards)["figures"][wildcards.item],
        code=code_of("draw_weights.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_weights.py"


rule diagonal_figure:
    input:
        ratios=metrics_of_item("ratios.parquet"),
        rho=metrics_of_item("rho.csv"),
    output:
        pdf=LAYOUT.figure("{item}", "pdf"),
        png=report(
            LAYOUT.figure("{item}", "png"),
            caption="../report/diagonal_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/diagonal_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/diagonal_figure/{{item}}.tsv"
    wildcard_constraints:
        item=one_of(PLAN.figures(DIAGONALS)),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        figure=lambda wildcards: wildcards.item,
        title=lambda wildcards: entry_of(wildcards)["figures"][wildcards.item]["title"],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_diagonal.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_diagonal.py"


rule claims:
    input:
        flattened(PLAN.deciding_files),
    output:
        report(
            LAYOUT.claims,
            caption="../report/claims.rst",
            category="Claims",
            labels={"item": "claims", "kind": "table"},
        ),
    log:
        f"{RESULTS}/logs/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        claims=SETTINGS["claims"],
        files=PLAN.deciding_files,
        baselines=PLAN.baseline_records(),
        preset=PRESET["preset"],
        code=code_of("judge_claims.py"),
    message:
        "Claims of the paper, judged"
    script:
        "../scripts/judge_claims.py"
