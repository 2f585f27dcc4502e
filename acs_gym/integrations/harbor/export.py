"""A problem as a task folder of Harbor."""

from __future__ import annotations

import json
import re
from pathlib import Path

import acs_gym
from acs_gym.tools.problem import Problem, solution
from acs_gym.tools.statement import statement

TEMPLATE = Path(__file__).parent / "template"
PACKAGE = f"acs-gym=={acs_gym.__version__}"
_HOW = """
# How
`sizing simulate '{{"designs": [{{...}}]}}'` simulates designs; each costs one of the budget of {budget}.
`sizing operating_point '{{"design": 1}}'` and `sizing history` are free. Every parameter has to be given.

Write the design that you are content with to `/app/answer.json`, one JSON object of parameters and
values; it is simulated again, and its score is yours. It need not be the last one that was simulated.
"""


def export(problem: Problem, folder: Path, *, package: str = PACKAGE) -> None:
    """Write the folder of a problem, with the sizing that is known to meet its targets as solution.

    Args:
        folder: made here.
        package: what the containers install, as pip has it.

    Raises FileExistsError where `folder` is there already, ValueError where no sizing is known.
    """
    answer = json.dumps(dict(solution(problem)), indent=2)
    if not re.fullmatch(r"[\w.@:/+~=\[\]-]+", package):
        raise ValueError(f"no package that pip installs: {package!r}; write for example {PACKAGE}")
    folder.mkdir(parents=True)
    values = {
        "{{package}}": package,
        "{{name}}": re.sub(r"[^a-z0-9-]+", "-", folder.name.lower()).strip("-") or "sizing",
        "{{title}}": problem.make().title.replace('"', "'"),
        "{{answer}}": answer,
    }
    for source in sorted(p for p in TEMPLATE.rglob("*") if p.is_file()):
        path = folder / source.relative_to(TEMPLATE)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        for written, value in values.items():
            text = text.replace(written, value)
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".sh" or path.name == "sizing":
            path.chmod(0o755)
    told = statement(problem.make(), problem.budget).strip()
    how = _HOW.format(budget=problem.budget)
    (folder / "instruction.md").write_text(f"{told}\n{how}", encoding="utf-8")
    for place in ("environment/simulator", "tests"):
        (folder / place / "problem.json").write_text(problem.to_json() + "\n", encoding="utf-8")
