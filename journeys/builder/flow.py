"""The flow chart: where boxes and arrows go. Drawn by templates/journeys/flow.svg, from the top down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.template.loader import render_to_string

from journeys.builder.drafts import Entry, Fault, described
from journeys.builder.funnel import Stage
from journeys.engine.run import describe
from journeys.steps import END, Condition, Message, Step
from journeys.text import LONGEST_TEMPLATE, segments

WIDTH, HEIGHT, GAP = 300, 56, 34
_LANE = 16
_LONGEST = 44


@dataclass
class Box:
    """A step, and the corner at its top left."""

    y: int
    title: str
    text: str
    kind: str
    has_problem: bool = False
    stage: Stage | None = None


@dataclass
class Arrow:
    """A way on, as the points of a line."""

    points: list[tuple[int, int]]
    label: str = ""

    @property
    def path(self) -> str:
        return "M" + " L".join(f"{x} {y}" for x, y in self.points)

    @property
    def label_at(self) -> tuple[int, int]:
        (x, y), (next_x, _) = self.points[0], self.points[1]
        return (x + 6, y + 16) if x == next_x else (x + 4, y - 5)


@dataclass
class Chart:
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    x: int = 0
    """Of the boxes' left sides."""
    width: int = 0
    height: int = 0

    @property
    def label(self) -> str:
        """For screen readers: the steps themselves are the text of it."""
        wrong = [box.title for box in self.boxes if box.has_problem]
        return f"Flow chart; steps with a problem: {', '.join(wrong)}" if wrong else "Flow chart"


def chart(
    entries: Sequence[Entry],
    names: dict[int, str],
    *,
    faults: Iterable[Fault] = (),
    stages: Mapping[str, Stage] | None = None,
) -> Chart:
    """Lay steps out: a row for each, faulty ones too, jumps in lanes beside them."""
    wrong: dict[int, str] = {}
    for fault in faults:
        wrong.setdefault(fault.place, fault.message)
    end = len(entries)
    targets = {entry.id: entry.place - 1 for entry in reversed(entries)} | {END: end}
    jumps: list[tuple[int, int, str]] = []
    drawn = Chart()
    for row, entry in enumerate(entries):
        problem = wrong.get(entry.place, "")
        text = _text(entry.step, names) if entry.step else problem
        stage = (stages or {}).get(entry.id)
        title = f"{entry.place} · {entry.title}"
        drawn.boxes.append(Box(_top(row), title, _short(text), entry.kind or "unknown", bool(problem), stage))
        for label, way in entry.ways:
            if (target := targets.get(way) if way else row + 1) is not None:
                jumps.append((row, target, label))
    drawn.boxes.append(Box(_top(end), "End", "", "end"))
    lanes_left = sum(target <= row for row, target, _ in jumps)
    drawn.x = 20 + _LANE * lanes_left
    left = right = 0
    for row, target, label in jumps:
        if target == row + 1:
            middle = drawn.x + WIDTH // 2 + (40 if label == "no" else 0)
            drawn.arrows.append(Arrow([(middle, _top(row) + HEIGHT), (middle, _top(target))], label))
        elif target > row:
            right += 1
            drawn.arrows.append(_beside(row, target, label, drawn.x + WIDTH, _LANE * right))
        else:
            left += 1
            drawn.arrows.append(_beside(row, target, label, drawn.x, -_LANE * left))
    drawn.width = drawn.x + WIDTH + _LANE * right + 30
    drawn.height = _top(end) + HEIGHT + 10
    return drawn


def _beside(row: int, target: int, label: str, edge: int, lane: int) -> Arrow:
    start, end = _top(row) + HEIGHT // 2, _top(target) + HEIGHT // 2
    # Two ways on from one box must not begin at one point.
    start += 10 if label == "no" else 0
    return Arrow([(edge, start), (edge + lane, start), (edge + lane, end), (edge, end)], label)


def _top(row: int) -> int:
    return 10 + row * (HEIGHT + GAP)


def _text(step: Step, names: dict[int, str]) -> str:
    return described(step.test, names) if isinstance(step, Condition) else describe(step)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def svg(drawn: Chart) -> str:
    """The chart as SVG, to stand in a page."""
    tip = "jb-tip-funnel" if any(box.stage for box in drawn.boxes) else "jb-tip"  # ids of one page differ
    context = {"chart": drawn, "width": WIDTH, "height": HEIGHT, "tip": tip}
    return render_to_string("journeys/flow.svg", context)


def sizes(entries: Iterable[Entry]) -> dict[int, str]:
    """How many segments each message takes, by its place, as it stands, merge tags unfilled."""
    return {
        entry.place: str(segments(entry.step.text[:LONGEST_TEMPLATE]))
        for entry in entries
        if isinstance(entry.step, Message)
    }
