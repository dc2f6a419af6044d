"""What all pages of a dashboard have: the app's admin, the templates, what may be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import jinja2
import orjson
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from streamq.admin import Admin, DeadLetter, Snapshot
from streamq.app import App
from streamq.errors import ConfigError
from streamq.offload import store_of
from streamq.text import printable, size
from streamq.ui.web import csrf, formats, live
from streamq.ui.web.masking import Mask
from streamq.ui.web.operations import Operations
from streamq.ui.web.pictures import Pictures
from streamq.ui.web.places import place_of
from streamq.version import __version__

FLASH = "streamq_flash"

HERE = Path(__file__).parent

HELD_FOR = {
    "key": "its key", "rate": "its turn by the rate", "room": "room in the group",
    "paused": "its type to be resumed",
}  # fmt: skip
"""What a held job waits for."""

_LARGEST_SHOWN = 200_000
"""Characters of a payload that a page shows."""


@dataclass(eq=False)
class Site:
    """One dashboard.

    Attributes:
        app: whose jobs are shown.
        read_only: whether it only shows.
        mask: what it does not show.
        trace_url: where traces are seen, with ``{trace_id}`` for a trace's.
        title: what the pages call themselves.
        lease: the workers' lease in seconds.
    """

    app: App
    read_only: bool
    mask: Mask
    trace_url: str | None
    title: str
    lease: float
    operations: Operations = field(default_factory=Operations)

    def __post_init__(self) -> None:
        self.pictures = Pictures(lambda: self.admin.watch(interval=0.01))
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True,
            undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
            enable_async=False,
        )  # fmt: skip
        self.templates.globals |= {
            "version": __version__, "site_title": self.title, "read_only": self.read_only,
            "plural": formats.plural, "charts": live.CHARTS, "key_of": live.key_of,
            "held_for": HELD_FOR,
        }  # fmt: skip
        self.templates.filters |= {
            "number": formats.number, "rate": formats.rate, "span": formats.span,
            "age": formats.age, "when": _when, "printable": printable, "pretty": self.pretty,
            "preview": self.preview, "size": size, "content": self.content,
            "oneline": lambda text: " ".join(text.split()),
        }  # fmt: skip

    @property
    def admin(self) -> Admin:
        """What answers and cures."""
        app = self.app
        return Admin(
            app.server, lease=self.lease, allowed=app.max_attempts, codec=app.codec,
            store=store_of(app.offload),
        )  # fmt: skip

    # -- answers --------------------------------------------------------------

    def page(
        self, request: Request, template: str, *, status: int = 200, **values: Any
    ) -> Response:
        """A page out of a template."""
        flash = request.cookies.get(FLASH, "")
        values = {"show": "", "shape": "", "values": {}, "picture": None} | values
        html = self.templates.get_template(template).render(
            url=Urls(request), csrf=csrf.token_of(request), flash=_flash(flash), here=here(request),
            **values,
        )  # fmt: skip
        response = HTMLResponse(html, status)
        csrf.remember(request, response)
        if flash:
            response.delete_cookie(FLASH, path=Urls(request).root or "/")
        return response

    def back(self, request: Request, to: str, told: str, *, bad: bool = False) -> Response:
        """Go to another page, which tells once what has happened.

        Args:
            to: an address of this dashboard.
        """
        response = RedirectResponse(to, 303)
        response.set_cookie(
            FLASH, quote(f"{'bad' if bad else 'good'}:{printable(told, 600)}", safe=""), max_age=60,
            path=Urls(request).root or "/", httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    def live_page(
        self, request: Request, template: str, picture: Snapshot, show: str, **values: Any
    ) -> Response:
        """A page whose numbers change while one looks.

        Args:
            show: which numbers it has; see :func:`streamq.ui.web.live.values_of`.
        """
        place = place_of(request)
        return self.page(
            request, template, place=place, picture=picture, show=show,
            values=live.values_of(picture, self.pictures.history, place, show),
            shape=live.shape(picture, place, show), **values,
        )  # fmt: skip

    # -- payloads -------------------------------------------------------------

    def pretty(self, data: Any) -> str:
        """Plain data for a person, indented, with what is masked left out."""
        try:
            raw = orjson.dumps(
                self.mask(data), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
            )
        except (TypeError, RecursionError):
            return printable(data)
        text = raw.decode()
        if len(text) > _LARGEST_SHOWN:
            text = text[:_LARGEST_SHOWN] + "\n… (cut: it is longer than that)"
        return text

    def content(self, plain: Mapping[str, Any]) -> Content:
        """The data of a job, as it may be shown.

        Args:
            plain: what ``to_dict`` says of a job or a dead letter.
        """
        if "offloaded" in plain:
            return Content(note=f"Kept outside the stream: {size(plain['offloaded'])}.")
        if "encrypted_with" in plain:
            key = printable(plain["encrypted_with"], 100)
            return Content(
                note=f"Encrypted with the key {key}. A dashboard with the App that has the key "
                "shows it."
            )
        if "raw" in plain:
            if self.mask:
                return Content(note="Not JSON, so it cannot be masked, and is not shown.")
            return Content(printable(plain["raw"], _LARGEST_SHOWN), "Not JSON.")
        if plain["data"] is None:
            return Content(note="Nothing is left of it.")
        return Content(self.pretty(plain["data"]))

    def searched(self, letter: DeadLetter) -> str:
        """The data of a dead letter as a search sees it: what a page would show of it."""
        raw = letter.raw
        if raw is None or (not self.mask and b"\\u" not in raw):
            return printable(raw or b"")  # as it was written, which takes no time
        return self.content(letter.to_dict()).text

    def preview(self, text: str) -> str:
        """The beginning of a job's data on one line, with what is masked left out."""
        if not self.mask or not text or text.startswith("("):
            return text
        try:
            return orjson.dumps(self.mask(orjson.loads(text))).decode()
        except (orjson.JSONDecodeError, RecursionError):
            return "(longer, and some fields are masked: open the job)"

    def trace_link(self, trace: str | None) -> tuple[str, str] | None:
        """A trace's ID, and where it is seen, empty for nowhere; ``None`` without a trace."""
        parts = (trace or "").split("-")
        if len(parts) != 4 or len(parts[1]) != 32 or not parts[1].isalnum():
            return None
        where = "" if self.trace_url is None else self.trace_url.replace("{trace_id}", parts[1])
        return parts[1], where


@dataclass(frozen=True, slots=True)
class Content:
    """A payload: what is shown of it, and what there is to say about it."""

    text: str = ""
    note: str = ""


def check_trace_url(given: str | None) -> str | None:
    """Return it if a trace's ID can be put into it.

    Raises:
        ConfigError: it cannot.
    """
    if given is None or (given.startswith(("https://", "http://")) and "{trace_id}" in given):
        return given
    raise ConfigError(
        f"the address of traces {printable(given, 200)!r} cannot be used: give "
        "https://…/{trace_id}"
    )


class Urls:
    """Addresses of a dashboard, wherever it is mounted: ``url("pending", stream="jobs")``."""

    def __init__(self, request: Request) -> None:
        self.root = request.scope.get("root_path", "").rstrip("/")

    def __call__(self, page: str, **values: Any) -> str:
        """The address of a page, without the values that are empty."""
        path = f"{self.root}/{page}"
        given = {name: value for name, value in values.items() if value not in (None, "")}
        return f"{path}?{urlencode(given)}" if given else path


def here(request: Request) -> str:
    """The address of the page that is asked for, with what it was asked with."""
    path = request.scope.get("root_path", "").rstrip("/") + _path(request)
    return f"{path}?{request.url.query}" if request.url.query else path


def _path(request: Request) -> str:
    # In a mounted app, `path` begins with `root_path`; in one that is served alone it does not.
    path, root = request.scope["path"], request.scope.get("root_path", "").rstrip("/")
    return quote(path.removeprefix(root) if root else path)


def local(request: Request, address: str) -> str:
    """An address to go back to, if it is one of this dashboard; else its first page."""
    root = Urls(request).root
    is_ours = address.startswith(f"{root}/") and not address.startswith(("//", "/\\"))
    return address if is_ours and address.isprintable() else f"{root}/"


def site_of(request: Request) -> Site:
    """The dashboard that a request is for."""
    site: Site = request.app.state.site
    return site


def some(values: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Those of the values that are given, for an address."""
    return {name: values[name] for name in names if values.get(name)}


def _flash(cookie: str) -> tuple[str, str] | None:
    kind, colon, told = unquote(cookie).partition(":")
    return (kind, told) if colon and kind in ("good", "bad") else None


def _when(at: float | None) -> Markup:
    """A time, which the page's script shows in the visitor's own zone."""
    if at is None:
        return Markup("—")
    return Markup('<time datetime="{}">{}</time>').format(formats.iso(at), formats.moment(at))
