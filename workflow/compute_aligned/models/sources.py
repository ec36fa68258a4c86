"""Where a base model comes from: what a preset says under `models.<name>.source`."""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from ..settings import Count, Positive, Seed, Settings, Text

Dropout = Annotated[float, Field(ge=0, lt=1)]


class Llama(Settings):
    """A small Llama, by the names of transformers' ``LlamaConfig``; what is left out is as its defaults say."""

    model_type: Literal["llama"]
    """LlamaConfig"""
    hidden_size: Count = None
    """width"""
    intermediate_size: Count = None
    """width inside the feed-forward blocks"""
    num_hidden_layers: Count = None
    """layers"""
    num_attention_heads: Count = None
    """attention heads"""
    num_key_value_heads: Count = None
    """heads of keys and values"""
    max_position_embeddings: Count = None
    """longest sequence in tokens"""
    tie_word_embeddings: bool = None
    """one matrix for input and output tokens"""
    initializer_range: Positive = None
    """standard deviation of the random weights"""


class Gpt2(Settings):
    """A small GPT-2, by the names of transformers' ``GPT2Config``; what is left out is as its defaults say."""

    model_type: Literal["gpt2"]
    """GPT2Config"""
    n_embd: Count = None
    """width"""
    n_inner: Count = None
    """width inside the feed-forward blocks"""
    n_layer: Count = None
    """layers"""
    n_head: Count = None
    """attention heads"""
    n_positions: Count = None
    """longest sequence in tokens"""
    activation_function: Text = None
    """of the feed-forward blocks"""
    attn_pdrop: Dropout = None
    """dropout of attention"""
    embd_pdrop: Dropout = None
    """dropout of embeddings"""
    resid_pdrop: Dropout = None
    """dropout of each block's output"""
    initializer_range: Positive = None
    """standard deviation of the random weights"""


# Closed, too: the classes of transformers take any keyword in silence.
Architecture = Annotated[Llama | Gpt2, Field(discriminator="model_type")]


class Scratch(Settings):
    """Random weights, untrained: for tests."""

    kind: Literal["scratch"]
    """random weights of the given architecture"""
    seed: Seed
    """seed of the random weights"""
    architecture: Architecture
    """arguments of the transformers config class; those left out are its own defaults"""


class ArithmeticScratch(Settings):
    """A model made here: random weights, pre-trained on generated chains of equations and worked solutions."""

    kind: Literal["arithmetic_scratch"]
    """random weights of the given architecture, pre-trained on generated arithmetic"""
    seed: Seed
    """seed of weights, texts and data order"""
    architecture: Architecture
    """arguments of the transformers config class; those left out are its own defaults"""
    held_out: Text
    """entry of `data` whose validation and test problems no text may hold"""
    corpus_size: Count
    """texts"""
    row_length: Count
    """tokens of a row of whole texts"""
    steps: Count
    """optimiser steps"""
    batch_size: Count
    """rows per step"""
    learning_rate: Positive
    """peak learning rate of AdamW"""


class ProteinScratch(Settings):
    """A model made here: random weights, pre-trained on generated protein sequences."""

    kind: Literal["protein_scratch"]
    """random weights of the given architecture, pre-trained on generated protein sequences"""
    seed: Seed
    """seed of weights, sequences and data order"""
    architecture: Architecture
    """arguments of the transformers config class; those left out are its own defaults"""
    corpus_size: Count
    """sequences"""
    sd_fraction: Annotated[float, Field(gt=0, le=0.4)]
    """standard deviation of the hydrophobic fraction between sequences: 0.045 in nature, 0.17 gives samples that vary
    as the paper's baseline does"""
    steps: Count
    """optimiser steps"""
    batch_size: Count
    """sequences per step"""
    learning_rate: Positive
    """peak learning rate of AdamW"""


class Gguf(Settings):
    """A file of quantised weights, in an installed package or in a folder."""

    kind: Literal["gguf"]
    """a GGUF file, de-quantised once"""
    package: Text = None
    """installed package that carries the file"""
    path: Text = None
    """folder of the file, in place of a package"""
    file: Text
    """name of the GGUF file"""
    plain_prompts: bool = False
    """prompts are plain text, for a model without chat turns"""

    @model_validator(mode="after")
    def in_one_place(self) -> Self:
        if (self.package is None) == (self.path is None):
            raise PydanticCustomError("choice", "package or path")
        return self


class Hub(Settings):
    """A repository of the Hugging Face hub."""

    kind: Literal["hub"]
    """a Hugging Face repository"""
    id: Text
    """repository"""
    revision: Text
    """commit hash or branch"""
    plain_prompts: bool = False
    """prompts are plain text, for a model without chat turns"""


class Folder(Settings):
    """A copy that lies on this machine."""

    kind: Literal["folder"]
    """a local copy in the transformers format"""
    path: Text
    """the folder"""
    plain_prompts: bool = False
    """prompts are plain text, for a model without chat turns"""


Source = Annotated[
    Scratch | ArithmeticScratch | ProteinScratch | Gguf | Hub | Folder,
    Field(discriminator="kind"),
]


def read_source(content: dict) -> Source:
    """The source that a rule's `params` or a preset describe."""
    return TypeAdapter(Source).validate_python(content)
