"""What all settings are made of: frozen, closed, documented models of plain values."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field
from pydantic_core import PydanticCustomError

LARGEST_NUMBER = 2**53  # up to it a float tells whole numbers apart, and no size or count of a run comes near it


def _bounded(value):
    if abs(value) > LARGEST_NUMBER:
        raise PydanticCustomError("too_large", "larger than 2^53")
    return value


def _different(values: list) -> list:
    if any(value in values[:place] for place, value in enumerate(values)):
        raise PydanticCustomError("not_unique", "entries are equal")
    return values


# No text, no boolean and no 2.0 is a whole number; a whole number is a number, too, and is kept as a float.
Whole = Annotated[int, Field(ge=0), AfterValidator(_bounded)]
Number = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_bounded)]
Count = Annotated[int, Field(ge=1), AfterValidator(_bounded)]
Seed = Whole
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_bounded)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_bounded)]
Text = Annotated[str, Field(min_length=1)]
# Names become files, rules and patterns. \Z: `$` alone would let a newline follow.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
Different = AfterValidator(_different)  # of a list: no entry stands twice


def _form(value) -> str:
    return "list" if isinstance(value, list) else "text"


# Of ``Annotated[..., Tag("text")] | Annotated[..., Tag("list")]``: a complaint is about the form that was given.
TextOrList = Discriminator(_form)


class Settings(BaseModel):
    """A frozen record of settings; an unknown or missing field, or a value of another type, is refused.

    The text below each field says what it means, its unit, and, of the paper's settings, where the paper has it.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)

    def plain(self) -> dict[str, Any]:
        """The same as Snakemake's `params` want it: plain values, fields in the order of their names.

        What was not given is left out. Names that a user chose stay in their order, which tables keep.
        """
        return {name: _plain(getattr(self, name)) for name in sorted(self.model_fields_set)}

    def __or__(self, changes: dict[str, Any]):
        """The same with other values of some fields, as of dicts."""
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | changes)


def _plain(value):
    if isinstance(value, Settings):
        return value.plain()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list) else value
