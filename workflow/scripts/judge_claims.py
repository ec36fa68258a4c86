"""Judge the paper's claims by what the preset's experiments found."""

from compute_aligned.analysis.evidence import judge_claims
from compute_aligned.provenance.job import job

if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts |= judge_claims(
            claims=snakemake.params.claims,  # noqa: F821
            files=snakemake.params.files,  # noqa: F821
            baselines=snakemake.params.baselines,  # noqa: F821
            preset=snakemake.params.preset,  # noqa: F821
            path_to_claims=snakemake.output[0],  # noqa: F821
        )
