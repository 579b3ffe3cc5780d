"""What one publisher could do to the charts of another."""

from __future__ import annotations

import pytest

from pitrix.errors import Conflict, NotFound
from pitrix.identity.model import ANONYMOUS
from pitrix.packages.model import Signature
from pitrix.table import MemoryTable
from tests.unit.catalog.kit import RIVAL, VENDOR
from tests.unit.catalog.test_catalog_charts import REPO, Shop

ARCHIVE = b"the same bytes"


def test_a_copy_of_a_chart_elsewhere_does_not_replace_its_provenance() -> None:
    """Archives are named by their digest, which everybody may publish; provenance is each version's own."""
    shop = Shop(MemoryTable())
    shop.publish(VENDOR, signed=(Signature(), b"by the vendor"), archive=ARCHIVE)
    shop.publish(RIVAL, repo="repo_rival", signed=(Signature(), b"by the rival"), archive=ARCHIVE)
    shop.publish(RIVAL, repo="repo_rival", signed=(Signature(), b"by the rival again"), archive=ARCHIVE)
    assert shop.provenance_at(shop.catalog.chart_file(ANONYMOUS, REPO, "shop-1.0.0.tgz.prov").url) == (
        b"by the vendor"
    )
    assert shop.provenance_at(shop.catalog.chart_file(RIVAL, "repo_rival", "shop-1.0.0.tgz.prov").url) == (
        b"by the rival again"
    )


@pytest.mark.parametrize("squatted", [False, True])
def test_two_charts_never_share_the_name_of_a_file(squatted: bool) -> None:
    """``python-3.11-1.0.0.tgz`` is ``python-3.11`` in version 1.0.0, and ``python`` in version 3.11-1.0.0."""
    shop = Shop(MemoryTable())
    mine, other = ("python-3.11", "1.0.0"), ("python", "3.11-1.0.0")
    first = shop.publish(VENDOR, *(other if squatted else mine))
    with pytest.raises(Conflict, match=r"python-3\.11-1\.0\.0\.tgz"):
        shop.publish(RIVAL, *(mine if squatted else other))
    found = shop.catalog.chart_file(ANONYMOUS, REPO, "python-3.11-1.0.0.tgz")
    assert found.digest == first.version.digest
    shop.publish(RIVAL, *(mine if squatted else other), repo="repo_rival")  # elsewhere it may be
    with pytest.raises(NotFound):
        shop.catalog.chart_file(ANONYMOUS, REPO, "python-3.11-1.0.1.tgz")
