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
        claims=f"{RESULTS}/claims.csv",
        shown=[file for files in ITEM_FILES.values() for file in files],
        metrics=page_metrics(),
        # Relative, so that a moved or cloned folder does not look like another input.
        template=os.path.relpath(f"{workflow.basedir}/workflow/report/report.html.j2"),
        captions=sorted(os.path.relpath(file) for file in Path(workflow.basedir, "workflow/report").glob("*.rst")),
    output:
        report(
            f"{RESULTS}/report.html",
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
        experiments={name: page_of(name) for name in EXPERIMENTS},
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
            f"{RESULTS}/tables/{{item}}.csv",
            caption="../report/table.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "table"},
        ),
        markdown=f"{RESULTS}/tables/{{item}}.md",
        latex=f"{RESULTS}/tables/{{item}}.tex",
    log:
        f"{RESULTS}/logs/table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{item}}.tsv"
    wildcard_constraints:
        item=tables_of({name: entry for name, entry in COMPARISONS.items() if name not in ALIGNED}),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        titles=lambda wildcards: [EXPERIMENTS[name]["title"] for name in EXPERIMENTS_OF[wildcards.item]],
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
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{item}}.png",
            caption="../report/figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["difference", "values", "matrix"]),
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
        alignment=alignment_of_item,
    output:
        csv=report(
            f"{RESULTS}/tables/{{item}}.csv",
            caption="../report/alignment_table.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "table"},
        ),
        markdown=f"{RESULTS}/tables/{{item}}.md",
        latex=f"{RESULTS}/tables/{{item}}.tex",
    log:
        f"{RESULTS}/logs/alignment_table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/alignment_table/{{item}}.tsv"
    wildcard_constraints:
        item=tables_of(ALIGNED),
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
        alignment=alignment_of_item,
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{item}}.png",
            caption="../report/alignment_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/alignment_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/alignment_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["alignment"]),
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
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{item}}.png",
            caption="../report/pass_rate_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/pass_rate_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pass_rate_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["pass_rates"]),
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
        scores=files_of_figure("scores"),
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{item}}.png",
            caption="../report/protein_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/protein_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/protein_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["hydrophobicity", "inversion"]),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        runs=labels_of_figure,
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
        records=files_of_figure("training"),
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{item}}.png",
            caption="../report/training_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/training_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/training_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["training"]),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        runs=labels_of_figure,
        reward=reward_of,
        in_black=baseline_in_black,
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
            f"{RESULTS}/tables/{{item}}.csv",
            caption="../report/weight_table.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "table"},
        ),
        markdown=f"{RESULTS}/tables/{{item}}.md",
        latex=f"{RESULTS}/tables/{{item}}.tex",
    log:
        f"{RESULTS}/logs/weight_table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weight_table/{{item}}.tsv"
    wildcard_constraints:
        item=tables_of(CLOSED_FORMS),
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
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{item}}.png",
            caption="../report/weight_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/weight_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weight_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(CLOSED_FORMS),
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
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=report(
            f"{RESULTS}/figures/{{item}}.png",
            caption="../report/diagonal_figure.rst",
            category=category_of,
            labels={"item": "{item}", "kind": "figure"},
        ),
    log:
        f"{RESULTS}/logs/diagonal_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/diagonal_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(DIAGONALS),
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
        flattened(DECISIVE_FILES),
    output:
        report(
            f"{RESULTS}/claims.csv",
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
        files=DECISIVE_FILES,
        baselines={name: baseline_record(name) for name in DECISIVE_FILES if name in COMPARISONS},
        preset=PRESET["preset"],
        code=code_of("judge_claims.py"),
    message:
        "Claims of the paper, judged"
    script:
        "../scripts/judge_claims.py"
