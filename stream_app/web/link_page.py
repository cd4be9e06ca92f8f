"""The small pages behind links in messages: one that asks, and one that says what happened. No script, no pictures."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from stream_app.alerts.flag_acts import REASON_MAX, FlagAct
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.links import PARAMETER

#: Characters of the name that somebody may give.
NAME_MAX = 100

_STYLE = """
:root { color-scheme: light dark; --line: #6b7280; --act: #1d4ed8; --on: #fff; }
@media (prefers-color-scheme: dark) { :root { --act: #93c5fd; --on: #111827; } }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 0 auto; padding: 1.5rem 1rem; }
h1 { font-size: 1.35rem; line-height: 1.3; }
p, h1, dd { overflow-wrap: anywhere; }
dt { font-weight: 600; } dd { margin: 0 0 .6rem; }
label { display: block; font-weight: 600; margin-top: 1rem; }
.hint { font-weight: 400; }
textarea, input { width: 100%; font: inherit; padding: .5rem; border: 1px solid var(--line); border-radius: .3rem; }
button { font: inherit; font-weight: 600; margin-top: 1.25rem; padding: .65rem 1.1rem; min-height: 2.75rem;
  border: 0; border-radius: .3rem; background: var(--act); color: var(--on); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
#: Nothing is loaded, run, framed, cached or told to others.
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}

_ASKS = {
    FlagAct.KEEP: ("Keep this run?", "Keep the run", "It is not stopped, whatever is predicted of it."),
    FlagAct.PROLONG: (
        "Prolong this run by a day?",
        "Prolong by a day",
        "It is not stopped within a day from now, or from when it might have been.",
    ),
    FlagAct.WRONG: (
        "Is this flag wrong?",
        "The flag is wrong",
        "The run is not stopped, and the flag counts as wrong.",
    ),
}
_DONE = {
    FlagAct.KEEP: ("The run is kept", "It is not stopped, whatever is predicted of it."),
    FlagAct.PROLONG: ("The run is prolonged", "It is not stopped within a day from now."),
    FlagAct.WRONG: ("The flag is called wrong", "The run is not stopped."),
}


def asking_page(act: FlagAct, record: FlagRecord, token: str, title: str, fault: str = "", name: str = "") -> str:
    """The page that asks whether somebody means it.

    Parameters
    ----------
    act
        What the link does.
    record
        The last record of the flag.
    token
        The token in the link.
    title
        The flag in a line.
    fault
        What was wrong with what was sent before; "" for nothing.
    name
        The name that was sent before.
    """
    question, button, follows = _ASKS[act]
    wrong = f'<p id="fault" role="alert"><strong>{escape(fault)}</strong></p>' if fault else ""
    described = ' aria-invalid="true" aria-describedby="fault"' if fault else ""
    return _page(
        question,
        f"""<h1>{escape(question)}</h1>
<p>{escape(title)}. {follows}</p>
<dl><dt>Pipeline</dt><dd>{escape(record.pipeline)}</dd>{_named("Run", record.run)}{_named("Owner", record.owner)}</dl>
{wrong}<form method="post" action="act">
<input type="hidden" name="{PARAMETER}" value="{escape(token)}">
<label for="reason">Why?</label>
<textarea id="reason" name="reason" rows="3" maxlength="{REASON_MAX}" required{described}></textarea>
<label for="name">Your name <span class="hint">(optional)</span></label>
<input id="name" name="name" maxlength="{NAME_MAX}" autocomplete="name" value="{escape(name)}">
<button type="submit">{escape(button)}</button>
</form>""",
    )


def done_page(act: FlagAct, title: str) -> str:
    """The page that says that it is done; parameters as of `asking_page`."""
    happened, follows = _DONE[act]
    return _page(
        happened, f"<h1>{escape(happened)}</h1>\n<p>{escape(title)}. {follows}</p>\n<p>You may close this page.</p>"
    )


def refused_page(title: str, detail: str) -> str:
    """The page that says why nothing was done, and what to do.

    Parameters
    ----------
    title, detail
        As of `LinkRefusedError`.
    """
    return _page(title, f"<h1>{escape(title)}</h1>\n<p>{escape(detail)}</p>")


def _named(name: str, value: str | None) -> str:
    return f"<dt>{name}</dt><dd>{escape(value)}</dd>" if value else ""


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - stream-app</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
