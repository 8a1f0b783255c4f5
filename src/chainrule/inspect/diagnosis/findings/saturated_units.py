"""Units on the flat parts of their activation."""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.inspect.diagnosis.evidence import Evidence
from chainrule.inspect.diagnosis.finding import Finding
from chainrule.inspect.diagnosis.slopes import dead, saturated_share

# Where half of the places let less than a hundredth of the gradient through, the layers below see the
# gradient of the other half only.
SHARE = 0.5


def find(e: Evidence) -> Iterator[Finding]:
    """A bounded activation whose derivative is below 1% of its largest in more than half of all places."""
    if e.fitted:
        return
    for reading in e.readings:
        if (
            reading.slope is None
            or not reading.layer.bounded
            or reading.layer.kind in {"Step", "Sign", "sign"}
        ):
            continue
        share = saturated_share(reading)
        if share > SHARE:
            yield Finding(
                "saturated units",
                "Most units sit where their activation is flat, so that hardly any gradient passes through them.",
                reading.layer.name,
                {
                    "saturated places": share,
                    "units saturated on every row": int(dead(reading).sum()),
                    "units": reading.values.shape[1],
                    **e.since("saturated", reading.layer.name, SHARE),
                },
                "severe" if share > 0.9 else "warning",
                "smaller first weights (Glorot's), scaled columns, batch normalisation, or ReLU",
                ("A13", "C14", "E30"),
            )
