"""What the OpenAPI description says of its operations, as tests ask for it."""

from typing import Any, NamedTuple

from core import codec
from trackly.api.docs import document


class Operation(NamedTuple):
    method: str
    path: str
    about: dict[str, Any]

    @property
    def path_with_nothing(self) -> str:
        """The path, with ids of what no account has."""
        ids = {"job_id": "00000000-0000-0000-0000-000000000000", "phone_number": "+14155550000"}
        return self.path.format(**ids, list_id=10**17)


def operations() -> dict[str, Operation]:
    """All operations, by operationId."""
    served = codec.loads(codec.encode(document()))
    return {
        about["operationId"]: Operation(method.upper(), path, about)
        for path, methods in served["paths"].items()
        for method, about in methods.items()
    }


def error_examples() -> dict[tuple[str, str], tuple[int, dict[str, Any]]]:
    """Status and body of each error's example, by operationId and code."""
    return {
        (name, example["value"]["code"]): (int(status), example["value"])
        for name, operation in operations().items()
        for status, response in operation.about["responses"].items()
        if int(status) >= 400
        for example in response["content"]["application/json"].get("examples", {}).values()
    }
