# django-unfold ships no types. Its decorators leave a method's signature as it is.

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

def action(
    *,
    permissions: Iterable[str] | None = ...,
    description: str | None = ...,
    url_path: str | None = ...,
    attrs: Mapping[str, Any] | None = ...,
    icon: str | None = ...,
    variant: str | None = ...,
    dialog: Mapping[str, Any] | None = ...,
) -> Callable[[_F], _F]: ...
def display(
    *,
    boolean: bool | None = ...,
    image: bool | None = ...,
    ordering: str | None = ...,
    description: str | None = ...,
    empty_value: str | None = ...,
    dropdown: bool | None = ...,
    label: bool | str | Mapping[Any, str] | None = ...,
    header: bool | None = ...,
) -> Callable[[_F], _F]: ...
