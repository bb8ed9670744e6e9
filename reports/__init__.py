"""Compile runs into one `Comparison` document and render it: PDF, one-file HTML, JSON, ten lines of terminal text.

::

    runs ──► compile ──► Comparison ──► story ──► blocks (headings, tables …) ──► pdf, html
             judge        │   │         evidence
             contest      │   │         appendix
             gather       │   └──► json, summary
                          └──► figures (SVG)

Imports ``harness.runs``, what the checks wrote (``checks.results``, ``checks.statistics``), ``metrics.histogram`` and
``config``; nothing of the runner. Start reading at ``comparison`` (what a report can say), then ``judge`` and
``contest`` (what it may say).
"""

from crep.reports.comparison import Comparison
from crep.reports.compile import compile_comparison
from crep.reports.render import render
from crep.reports.summary import summary_lines

__all__ = ["Comparison", "compile_comparison", "render", "summary_lines"]
