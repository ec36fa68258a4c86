"""Make or fetch a base model and its tokenizer."""

from collections.abc import Sequence

from transformers import AutoConfig, GenerationConfig

from compute_aligned.models.hub import resolve_revision
from compute_aligned.models.loading import end_tokens, load_model, load_tokenizer
from compute_aligned.models.making import make_base_model
from compute_aligned.models.sources import Hub, Source, read_source
from compute_aligned.provenance.artifacts import read_artifact, whole
from compute_aligned.provenance.job import job
from compute_aligned.tasks import Problem
from compute_aligned.training.success_rates import base_success_rate


def write_base_model(source: Source, folder: str, path_to_held_out: Sequence[str] = ()) -> dict:
    """Write the model that ``source``, the preset's entry, describes into a folder, and check its tokenizer.

    Returns for the manifest the source with the commit that was read, the tokenizer's special tokens and chat template,
    what ends a completion, and, of generated models, the loss of pre-training and the success rate on validation.

    Args:
        path_to_held_out: problems that its corpus must not hold; on the first, validation, it is sampled.

    Raises:
        ValueError: a tokenizer that prompts cannot be encoded with, or with more tokens than the model has.
    """
    tables = [read_artifact("problems", path) for path in path_to_held_out]
    held_out = [[Problem(**row) for row in table.to_dict("records")] for table in tables]
    if isinstance(source, Hub):
        source |= {"revision": resolve_revision(source.id, source.revision, "model")}
    with whole(folder) as partial:
        facts = make_base_model(source, partial, [problem for split in held_out for problem in split])
        tokenizer = load_tokenizer(partial)
        ends = end_tokens(GenerationConfig.from_pretrained(partial))
        n_rows = AutoConfig.from_pretrained(partial).vocab_size
        if len(tokenizer) > n_rows:  # on a GPU an index beyond the embedding ends in a message about the device
            raise ValueError(f"the tokenizer has {len(tokenizer)} tokens and the model embeddings for {n_rows}")
        if held_out:
            model = load_model(partial, partial, "fp32", None, trainable=False)
            facts["validation_success_rate"] = base_success_rate(model, tokenizer, held_out[0], source.row_length)
    return {
        "source": source.plain(),
        **facts,
        "tokenizer": type(tokenizer).__name__,
        "eos_token_id": tokenizer.eos_token_id,
        "end_token_ids": ends,
        "pad_token_id": tokenizer.pad_token_id,
        "chat_template": tokenizer.chat_template,
    }


if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts |= write_base_model(
            source=read_source(snakemake.params.source),  # noqa: F821
            folder=snakemake.output[0],  # noqa: F821
            path_to_held_out=list(snakemake.input),  # noqa: F821
        )
