"""HTML: one file that needs no network; static SVG, accessible tables, no script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crep.reports.blocks import Block, Group
from crep.reports.comparison import Comparison
from crep.reports.wording import counted_line

_IDENTITIES = re.compile(r'(\bid="|href="#|url\(#)')


def render_html(comparison: Comparison, blocks: Sequence[Block], figures: Mapping[str, str]) -> str:
    """The report as one HTML document. All text is escaped; only our own SVG is trusted."""
    environment = Environment(
        loader=PackageLoader("crep.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    moment = datetime.fromisoformat(comparison.as_of).astimezone(UTC)
    inline = {name: Markup(_own(svg, f"f{number}-")) for number, (name, svg) in enumerate(sorted(figures.items()))}  # noqa: S704
    return environment.get_template("report.html.j2").render(
        comparison=comparison,
        moment=f"{moment:%Y-%m-%d %H:%M} UTC",
        blocks=blocks,
        figures=inline,
        is_group=lambda row: isinstance(row, Group),
        counted=counted_line(comparison),
    )


def _own(svg: str, prefix: str) -> str:
    """Identities in an SVG made its own: several figures in one document must not share them."""
    return _IDENTITIES.sub(lambda match: match.group(1) + prefix, svg)
