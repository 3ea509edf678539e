"""The JSON Schema that is shipped, and who validates by it."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "packaging/qps-report.schema.json").read_text()
)


def validate(document: object, schema: dict[str, Any] = SCHEMA) -> None:
    """Raises jsonschema.ValidationError for what is no report."""
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(document)
