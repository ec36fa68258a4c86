"""Make or fetch a base model and its tokenizer."""

from transformers import AutoConfig, GenerationConfig

from compute_aligned.artifacts import whole
from compute_aligned.base_models import make_base_model
from compute_aligned.hub import resolve_revision
from compute_aligned.models import end_tokens, load_tokenizer
from compute_aligned.provenance import job


def write_base_model(source: dict, folder: str) -> dict:
    """Write the model that ``source`` describes and check its tokenizer.

    Raises:
        ValueError: a tokenizer that prompts cannot be encoded with, or with more tokens than the model has.

    Returns:
        for the manifest: the source with the commit that was read, the tokenizer's special tokens and chat template,
        and the tokens that end a completion.
    """
    if source["kind"] == "hub":
        source = source | {"revision": resolve_revision(source["id"], source["revision"], "model")}
    with whole(folder) as partial:
        make_base_model(source, partial)
        tokenizer = load_tokenizer(partial)
        ends = end_tokens(GenerationConfig.from_pretrained(partial))
        n_rows = AutoConfig.from_pretrained(partial).vocab_size
        if len(tokenizer) > n_rows:  # on a GPU an index beyond the embedding ends in a message about the device
            raise ValueError(f"the tokenizer has {len(tokenizer)} tokens and the model embeddings for {n_rows}")
    return {
        "source": source,
        "tokenizer": type(tokenizer).__name__,
        "eos_token_id": tokenizer.eos_token_id,
        "end_token_ids": ends,
        "pad_token_id": tokenizer.pad_token_id,
        "chat_template": tokenizer.chat_template,
    }


if __name__ == "__main__":
    with job(snakemake) as facts:  # noqa: F821
        facts |= write_base_model(
            source=snakemake.params.source,  # noqa: F821
            folder=snakemake.output[0],  # noqa: F821
        )
