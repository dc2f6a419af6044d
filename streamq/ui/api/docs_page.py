"""The page at ``/docs``: the operations for people, as plain HTML."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from typing import Any

from streamq.ui.api.openapi import REFUSALS, document
from streamq.ui.api.table import EVERYWHERE

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
section { border-top: 1px solid #8886; padding: 0.5rem 0 1rem; }
h3 code { font-weight: 600; }
h4 { margin: 0.8rem 0 0.2rem; font-size: 0.9rem; }
dl { margin: 0; display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: 0 1rem; }
dd { margin: 0; }
@media (max-width: 32rem) { dl { display: block; } dd { margin-left: 1rem; } }
"""

POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)
"""The page's Content-Security-Policy."""


@cache
def docs_page() -> str:
    """The page; all of it is in the OpenAPI document, too."""
    told = document("/")
    schemas = told["components"]["schemas"]
    refused = {str(status): REFUSALS[status] for status in EVERYWHERE}
    parts = []
    section = ""
    for path, methods in told["paths"].items():
        for method, one in methods.items():
            if one["tags"] != [section]:
                [section] = one["tags"]
                parts.append(f"<h2>{escape(section)}</h2>")
            parts.append(_operation(method.upper(), path, one, schemas))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>The HTTP API of streamq</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>The HTTP API of streamq</h1><p>{escape(told['info']['description'])}</p>"
        '<p>For programs there is the same as <a href="openapi.json">OpenAPI</a>. With a token, '
        "each request has the header <code>Authorization: Bearer TOKEN</code>. What is refused "
        "comes as <code>application/problem+json</code>; its <code>detail</code> says what to do."
        f"</p>{_list('Any request may be refused with', refused)}{''.join(parts)}"
        "</main></body></html>\n"
    )


def _operation(method: str, path: str, one: dict[str, Any], schemas: dict[str, Any]) -> str:
    parts = [
        f'<section id="{escape(one["operationId"])}">'
        f"<h3><code>{method} {escape(path)}</code></h3><p>{_words(one['summary'])}.</p>"
    ]
    for text in one.get("description", "").split("\n\n"):
        parts.append(f"<p>{_words(text)}</p>" if text else "")
    for where, title in (("path", "In the path"), ("query", "Query"), ("header", "Headers")):
        given = {p["name"]: p["description"] for p in one["parameters"] if p["in"] == where}
        parts.append(_list(title, given))
    if "requestBody" in one:
        fields = _fields(one["requestBody"]["content"]["application/json"]["schema"], schemas)
        parts.append(_list("Body, as JSON", fields))
    answers = {
        status: answer["description"]
        for status, answer in one["responses"].items()
        if int(status) not in EVERYWHERE
    }
    parts.append(_list("Answers", answers))
    return "".join(parts) + "</section>"


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, str]:
    """The fields of an object; of a choice, those of the first."""
    if "oneOf" in schema:
        return _fields(schema["oneOf"][0], schemas)
    named = schemas[schema["$ref"].rpartition("/")[2]]
    needed = named.get("required", [])
    return {
        name: one.get("description", "") + (" Needed." if name in needed else "")
        for name, one in named["properties"].items()
    }


def _list(title: str, lines: dict[str, str]) -> str:
    if not lines:
        return ""
    rows = "".join(
        f"<dt><code>{escape(name)}</code></dt><dd>{_words(words)}</dd>"
        for name, words in lines.items()
    )
    return f"<h4>{title}</h4><dl>{rows}</dl>"


def _words(text: str) -> str:
    """Text with ```code```, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text.replace("\n", " ")))
