"""The tables of the bench kits in `docs/circuits.md`, from the kits themselves.

python -m docs.kit_tables            writes them
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acs_gym.kits import Kit, get_kit, kit_names

PAGE = Path(__file__).parent / "circuits.md"
_PLACE = re.compile(r"<([^<>:]+)(?::[^<>]*)?>")
_IN_WORDS, _IN_CODE = r"`\1`", r"<\1>"
BEGIN, END = "<!-- kits: python -m docs.kit_tables -->\n", "<!-- end of kits -->\n"


def tables() -> str:
    """The section of every kit."""
    return "\n".join(line for name in kit_names() for line in _section(get_kit(name))) + "\n"


def page() -> str:
    """`docs/circuits.md` with the tables as they are now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _section(kit: Kit) -> Iterator[str]:
    yield f"### `{kit.name}`: {kit.title}\n"
    yield "| port | what it is |\n|---|---|"
    yield from (f"| `{name}` | {what} |" for name, what in kit.ports.items())
    yield "\n| condition | unit | unless given | what it is |\n|---|---|---|---|"
    for name, about in kit.conditions.items():
        default = f"{about['default']:g}" if "default" in about else "must be given"
        yield f"| `{name}` | {about['unit']} | {default} | {about['description']} |"
    yield "\n| value | unless given | what it is |\n|---|---|---|"
    for name, about in kit.values.items():
        default = f"`{about['default']}`" if about.get("default") else "—"
        yield f"| `{name}` | {default} | {about['description']} |"
    yield "\n| metric | unit | a spec is | what it is | how it is measured |\n|---|---|---|---|---|"
    commands = {a["name"]: a for bench in kit.bench for a in bench["analysis"]}
    for metric in kit.metric:
        asked = f"`{metric['direction']}`" if "direction" in metric else "—"
        if "tolerance" in metric:
            asked += f", tolerance {metric['tolerance']:g}"
        yield (
            f"| `{metric['name']}` | {metric.get('unit', '')} | {asked} "
            f"| {_cell(_PLACE.sub(_IN_WORDS, metric['description']))} "
            f"| {_cell(_PLACE.sub(_IN_CODE, _measured(metric, commands)))} |"
        )
    yield ""


def _measured(metric: dict[str, Any], commands: dict[str, Any]) -> str:
    if "formula" in metric:
        return f"`{metric['formula']}`"
    analysis = commands[metric["analysis"]]
    of = metric.get("signal") or "Vds/Vdsat"
    excited = f", {' and '.join(analysis['excite'])} at 1" if analysis.get("excite") else ""
    return f"`{metric.get('measure', 'value')}` of `{of}` in `{analysis['command']}`{excited}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
