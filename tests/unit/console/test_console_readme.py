"""READMEs come from strangers."""

from __future__ import annotations

import pytest

from chalicelib import readme


def test_markdown_becomes_html_below_the_pages_heading() -> None:
    html = readme.to_html("# Top\n\n## Next\n\nA **word** and `code`.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert "<h2>Top</h2>" in html
    assert "<h3>Next</h3>" in html
    assert "<strong>word</strong>" in html
    assert "<td>1</td>" in html


def test_a_heading_that_repeats_the_title_is_left_out() -> None:
    assert readme.to_html("# Guestbook\n\nText", title="Guestbook") == "<p>Text</p>\n"
    assert "<h2>Guestbook</h2>" in readme.to_html("Text\n\n# Guestbook", title="Guestbook")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](https://evil.test/x.png)",
        "<img src=x onerror=alert(1)>",
        "<a href='#' onclick='alert(1)'>x</a>",
        "<style>body{display:none}</style>",
        "<iframe src='//evil.test'></iframe>",
        "[x](java&#115;cript:alert(1))",
    ],
)
def test_nothing_that_runs_or_loads_gets_through(text: str) -> None:
    html = readme.to_html(text)
    for piece in ("<script", 'href="javascript', 'href="data', "<img", "<style", "<iframe"):
        assert piece not in html.lower()
    assert "<a " not in html or "onclick" not in html.partition("<a ")[2].partition(">")[0]


def test_links_do_not_lend_the_sites_name() -> None:
    assert 'rel="noopener nofollow"' in readme.to_html("[x](https://example.test/)")


def test_a_huge_readme_is_cut() -> None:
    assert len(readme.to_html("word " * 100_000)) < 100_000
