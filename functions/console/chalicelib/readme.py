"""A package's README as HTML that is safe to show.

Markdown is read by markdown-it-py; what comes out is cleaned by nh3 (ammonia), which keeps a short list of
elements and attributes. Both load on first use. Pictures are left out: the site's Content-Security-Policy
lets none in from elsewhere.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markupsafe import Markup

#: Characters of a README that are shown; the rest is cut.
MAX_CHARS = 60_000

_TAGS = {
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "dd",
    "dl",
    "dt",
    "em",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "th": {"scope"}}


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def to_html(markdown: str, *, title: str = "") -> Markup:
    """Render a README. Its headings become one level lower: the page's own is the first.

    Args:
        title: What the page is called already; a README that opens with the same words loses that heading.
    """
    import nh3
    from markupsafe import Markup

    tokens = _parser().parse(markdown[:MAX_CHARS])
    opens_with_heading = [token.type for token in tokens[:2]] == ["heading_open", "inline"]
    if opens_with_heading and tokens[1].content.strip() == title:
        del tokens[:3]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    html = _parser().renderer.render(tokens, _parser().options, {})
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )
    return Markup(clean)  # noqa: S704 - cleaned right above
