"""What one line of the table of hostile inputs is; the table is `hostile`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One hostile input: a function that makes its bytes, or its folder; and words of what it is told."""

    group: str
    told: str
    made: Callable[[], bytes] = bytes
    folder: Callable[[Path], None] | None = None

    def leave(self, place: Path) -> None:
        """Write the input to a path, as a file or as a folder."""
        if self.folder is None:
            place.write_bytes(self.made())
        else:
            place.mkdir()
            self.folder(place)


#: Why inputs are harmless that are taken without a word, by name.
HARMLESS = {
    "zip bomb in a zip archive in a zip archive": "an archive in the payload is a file; nothing opens it",
    "config.json: 1,500 fields": "a form may be that long; it is bounded",
    "config.json: a choice of long texts": "the form stays below what an answer may weigh",
    "config.json: keys of Python": "keys are looked up in mappings, never as attributes",
    "config.json: step of nought": "any number is a multiple of it",
    "config.json: step that is tiny": "the check allows for the rounding of numbers",
    "config.json: separator of 100,000 characters": "it joins at most the choices that there are",
    "config.json: empty separator": "the choices are joined without one",
    "locale: texts of 900,000 characters": "a text is shown once",
    "locale: texts that cannot be seen": "labels are data; pages and terminals escape them",
    "locale: a page with a script": "labels are data; pages escape them",
    "locale: 1,900 languages": "one language is read at a time",
    "template: statement": "{% %} means nothing in either dialect: it stays text",
    "template: statement import": "{% %} means nothing in either dialect: it stays text",
    "template: statement include": "{% %} means nothing in either dialect: it stays text",
    "template: statement extends": "{% %} means nothing in either dialect: it stays text",
    "template: statement set": "{% %} means nothing in either dialect: it stays text",
    "template: comment of Jinja": "{# #} means nothing in either dialect: it stays text",
    "template: answer that closes its text": "an answer is written as the inside of a JSON string",
    "template: answer that is a template": "an answer is data, and is not rendered again",
    "YAML: a number of 900,000 digits": "it becomes text, as for Helm",
    "YAML: a line of 1,000,000 blanks": "it is below the limit of a file",
    "YAML: 60,000 anchors": "nothing refers to them",
    "YAML: texts that cannot be seen": "values are data; pages and terminals escape them",
    "chart: values of 20,000 keys": "the form asks for the first 2,000 of them",
    "chart: values 90 levels deep": "the form asks for what is too deep as one piece of JSON",
    "chart: template that asks the network": "Helm resolves no names unless it is told to: it gives nothing",
    "chart: template that reads files outside": "Helm has the chart's own files only: it gives nothing",
    "schema: a tree of itself": "the form stops at its depth",
    "schema: doubled 60 times": "the form stops at its number of fields",
    "schema: 25 levels": "it is below the limits",
    "schema: a slow pattern of keys": "patterns are matched within a time limit",
    "schema: a slow pattern of long keys": "patterns are matched within a time limit",
    "schema: a slow pattern in a branch": "patterns are matched within a time limit",
    "schema: a list of uniqueItems": "it is checked within its time",
    "serverless: Python that would run when imported": "the platform parses code and never imports it",
    "SAM: functions in each other": "CloudFormation refuses it when it is deployed",
    "SAM: a circle of references": "CloudFormation refuses it when it is deployed",
    "SAM: a pattern of parameters that is slow": "patterns are matched within a time limit",
}
