"""The deciding lines of a failure among the lines around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_autoremed.airflow.ui.visible import visible
from airflow_autoremed.types import EvidenceLine

_AROUND = 4
"""Lines shown before and after a deciding one."""


@dataclass(frozen=True)
class ShownLine:
    """One line of evidence, as it may be shown."""

    text: str
    decided: bool = False
    gap: bool = False
    """Whether it stands for lines that are left out."""


@dataclass(frozen=True)
class EvidenceView:
    """What is shown of a failure's evidence."""

    lines: tuple[ShownLine, ...]
    """The deciding lines, with what stands around them."""
    more: str
    """The whole excerpt, where :attr:`lines` leave some of it out."""


def of(decided: Sequence[EvidenceLine], excerpt: str) -> EvidenceView:
    """The deciding lines in context. One that is not in the excerpt stands before it, by itself."""
    texts = visible(excerpt).splitlines()
    wanted = {visible(line.text).strip(): line for line in decided if line.text.strip()}
    hits = {number for number, text in enumerate(texts) if text.strip() in wanted}
    found = {texts[number].strip() for number in hits}
    shown = [ShownLine(text, decided=True) for text in wanted if text not in found]
    near = sorted({n for hit in hits for n in range(hit - _AROUND, hit + _AROUND + 1) if 0 <= n < len(texts)})
    before = -1 if not shown else None
    for number in near:
        if before is None or number > before + 1:
            shown.append(ShownLine("...", gap=True))
        shown.append(ShownLine(texts[number], decided=number in hits))
        before = number
    if near and near[-1] < len(texts) - 1:
        shown.append(ShownLine("...", gap=True))
    return EvidenceView(tuple(shown), "\n".join(texts) if len(near) < len(texts) else "")
