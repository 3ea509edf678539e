"""Answers for programs: JSON, and CSV (RFC 4180) of rows that all have the same columns."""

import io
from collections.abc import Mapping, Sequence

# Spreadsheets take what begins so for a formula (OWASP, "CSV Injection"); no path does. Tabs and line ends,
# which begin one too, are escaped before. The wide ones begin one in East Asia.
FORMULA = tuple("'=+-@\uff1d\uff0b\uff0d\uff20")


def as_json(document: object) -> str:
    """With an indent, for people who look at it."""
    import json  # here as below: most answers are tables

    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def as_csv(columns: Sequence[str], rows: Sequence[Mapping[str, object]], *, has_head: bool = True) -> str:
    """A line with the columns, and one for each row; what is None is empty."""
    import csv

    text = io.StringIO()
    writer = csv.writer(text)
    if has_head:
        writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return text.getvalue()


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula. What begins with an apostrophe gets one more: who takes
    one away has what was there."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return harmless(value) if isinstance(value, str) else value
