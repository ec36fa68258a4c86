"""The LoRA adapter that a run trains where its preset trains adapters."""

from typing import Annotated

from pydantic import Field

from ..settings import Count, Different, Settings, Text


class Adapter(Settings):
    """LoRA (Hu et al. 2021); paper Apps. H to J give one per recipe."""

    r: Count
    """rank"""
    alpha: Count
    """scale: the product of the two matrices is multiplied by alpha / r"""
    dropout: Annotated[float, Field(ge=0, le=1)]
    """chance that an input of the adapter is set to 0 in training; the paper has none"""
    target_modules: Annotated[list[Text], Field(min_length=1), Different]
    """names of the linear modules that get one, such as q_proj"""
