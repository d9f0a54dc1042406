"""The flow chart: where boxes and arrows go. Drawn by templates/journeys/flow.svg, from the top down."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.template.loader import render_to_string

from journeys.builder.drafts import described
from journeys.builder.funnel import Stage
from journeys.engine.run import describe
from journeys.messages.text import segments
from journeys.steps import Condition, Message, Plan, Step

WIDTH, HEIGHT, GAP = 300, 56, 34
_LANE = 16
_LONGEST = 44
KINDS = {
    "message": "Send a message",
    "wait": "Wait",
    "wait_until": "Wait until",
    "condition": "Condition",
    "set_field": "Set a field",
    "unsubscribe": "Unsubscribe",
    "exit": "Exit",
}


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


def chart(
    plan: Plan,
    names: dict[int, str],
    *,
    problems: set[str] | None = None,
    stages: Mapping[str, Stage] | None = None,
) -> Chart:
    """Lay a plan out: a row for each step, jumps in lanes beside them."""
    rows = {step.id: row for row, step in enumerate(plan.steps)}
    jumps: list[tuple[int, int, str]] = []
    drawn = Chart()
    for row, step in enumerate(plan.steps):
        stage = (stages or {}).get(step.id)
        drawn.boxes.append(
            Box(
                _top(row),
                f"{row + 1} · {title(step)}",
                _short(_text(step, names)),
                _kind(step),
                step.id in (problems or ()),
                stage,
            )
        )
        for label, to in plan.ways(step):
            target = rows[to.id] if to else len(plan.steps)
            jumps.append((row, target, label))
    drawn.boxes.append(Box(_top(len(plan.steps)), "End", "", "end"))
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
    drawn.width = drawn.x + WIDTH + _LANE * right + 150
    drawn.height = _top(len(plan.steps)) + HEIGHT + 10
    return drawn


def _beside(row: int, target: int, label: str, edge: int, lane: int) -> Arrow:
    start, end = _top(row) + HEIGHT // 2, _top(target) + HEIGHT // 2
    # Two ways on from one box must not begin at one point.
    start += 10 if label == "no" else 0
    return Arrow([(edge, start), (edge + lane, start), (edge + lane, end), (edge, end)], label)


def _top(row: int) -> int:
    return 10 + row * (HEIGHT + GAP)


def _kind(step: Step) -> str:
    return str(step.__struct_config__.tag)


def _text(step: Step, names: dict[int, str]) -> str:
    if isinstance(step, Condition):
        return described(step.test, names)
    if isinstance(step, Message):
        return f"{describe(step)}"
    return describe(step)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def svg(drawn: Chart) -> str:
    """The chart as SVG, to stand in a page."""
    return render_to_string("journeys/flow.svg", {"chart": drawn, "width": WIDTH, "height": HEIGHT})


def sizes(plan: Plan) -> dict[str, str]:
    """How many segments each message takes, as it stands, macros unfilled."""
    return {step.id: str(segments(step.text)) for step in plan.steps if isinstance(step, Message)}


def title(step: Step) -> str:
    """What a step does, in a few words."""
    return KINDS[_kind(step)]
