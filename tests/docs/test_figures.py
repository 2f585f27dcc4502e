"""Pages quote the figures of the committed results, and a study goes on where it stopped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import resumable

import acs_gym
from leaderboard.board.statistics import interquartile_mean

ROOT = Path(__file__).parents[2]


def result(name):
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())


def page(name):
    """The text of a page, its lines joined."""
    return re.sub(r"\s+", " ", (ROOT / f"docs/{name}.md").read_text())


def rows(name, heading):
    """The cells of each row of the table under a row of headings that starts so."""
    text = (ROOT / f"docs/{name}.md").read_text()
    table = text[text.index(f"| {heading} |") :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def digits(seconds):
    """Milliseconds with three digits, as the table of the ways has them."""
    milliseconds = 1e3 * seconds
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def test_the_table_of_the_ways_to_simulate():
    seconds = result("simulation")["seconds_per_evaluation"]
    ways = ("a", "b", "c", "d", "e", "f1", "f2", "floor")
    for way, (_, *cells) in zip(ways, rows("simulation", "way"), strict=True):
        measured = [
            seconds[pdk][stream].get(way)
            for pdk in ("sky130", "generic")
            for stream in ("local", "random")
        ]
        assert cells == ["-" if s is None else digits(s) for s in measured], way


def test_what_the_page_says_of_the_ways():
    text, ratios = page("simulation"), result("simulation")["ratios"]
    faster = [round(ratios[f"sky130 {way}/e (local)"]) for way in "abd"]
    for said in (
        "{} times faster than the whole library with a process per analysis, {} times faster than the "
        "trimmed one, and {} times faster than PySpice's".format(*faster),
        f"{100 * ratios['sky130 floor/e (local)']:.0f} % of the time in process",
        f"SKY130 and {100 * ratios['generic floor/e (local)']:.0f} % with `generic`",
        f"SKY130 ran at {ratios['rate sky130/generic (local)']:.2f} of the rate",
        f"at {ratios['rate sky130/generic (random)']:.2f} over the whole box",
    ):
        assert said in text
    two = [v for k, v in ratios.items() if "f1/f2" in k]
    assert f"Two workers did {min(two):.1f} to {max(two):.1f} times what one did" in text


def test_what_the_page_says_of_robustness():
    text = page("simulation")
    found = {k: v for k, v in result("robustness").items() if k.startswith("ACS-")}
    ok = {name: study["random"]["statuses"]["ok"] for name, study in found.items()}
    least, most = min(ok, key=ok.get), max(ok, key=ok.get)
    assert (least, most) == ("ACS-Telescopic-v0", "ACS-CommonSource-v0")
    assert f"in {ok[least]:,} (telescopic) to {ok[most]:,} (common source) of them" in text
    assert len(found) == 8 and "each of the eight circuits of the training split" in text
    for study in found.values():
        assert study["random"]["sizings"] == 10_000 and study["pathological"]["designs"] == 2_000
        assert set(study["random"]["statuses"]) == {"ok", "measure_failed"}
    opamp = found["ACS-OpAmp-v0"]
    assert f"{opamp['killed']['workers_killed']} workers killed at random during 1,000" in text
    assert (
        f"grew by {100 * opamp['memory']['growth_after_first_tenth']:.1f} % after the first" in text
    )


def _late(study: dict[str, Any]) -> int:
    return sum(study[part]["statuses"].get("timeout", 0) for part in ("random", "pathological"))


def test_what_the_page_says_that_each_circuit_costs():
    text, made = page("simulation"), result("cost")
    assert made["command"] in text
    assert made["milliseconds"].keys() == set(acs_gym.task_ids())
    for name, cost in made["milliseconds"].items():
        title = acs_gym.make_task(name).title
        assert f"| {title} | {cost['near']:.0f} | {cost['random']:.0f} |" in text


def test_what_the_page_says_of_robustness_of_circuits_held_out():
    text = " ".join(page("simulation").split())
    made = result("robustness_held_out")
    assert made["command"] in text
    studies = [v for k, v in made.items() if k.startswith("ACS-")]
    sizings = sum(s["random"]["sizings"] for s in studies)
    assert all(s["random"]["feasible"] == 0 for s in studies)
    assert f"none of the {sizings:,} uniform sizings meets every spec" in text
    late = sum(map(_late, studies))
    assert _late(made["ACS-CCIA-v0"]) > late / 2
    designs = sizings + sum(s["pathological"]["designs"] for s in studies)
    assert f"{late} of all {designs:,} designs ran out of time steps" in text
    fewer = result("robustness_classab")
    class_ab = fewer["ACS-ClassAB-v0"]
    assert fewer["command"] in text
    sizings, strange = class_ab["random"]["sizings"], class_ab["pathological"]["designs"]
    assert f"went through {sizings:,} and {strange:,}" in text
    assert f"without a violation, {_late(class_ab)} of them out of time steps" in text


def test_what_the_page_says_of_reading_and_recording():
    text, made = page("long-runs"), result("report")
    read = made["seconds"]["read and check"]["wall"]
    assert made["cells"] == 1000
    assert f"Reading 1,000 such cells takes {read:.1f} s" in text
    assert f"their whole report {made['report']['wall']:.1f} s" in text
    added = {(r["task"], r["pdk"]): r["added"] for r in result("harness_overhead")["rows"]}
    sky130 = {task: share for (task, pdk), share in added.items() if pdk == "sky130"}
    assert min(sky130, key=sky130.get) == "ACS-LDO-v0"
    assert max(sky130, key=sky130.get) == "ACS-OTA5T-v0"
    least, most = (100 * f(sky130.values()) for f in (min, max))
    assert f"between {least:.1f} % of a simulation of the LDO and {most:.1f} % of one" in text
    assert f"up to {100 * max(added.values()):.1f} % with the bundled models" in text


def test_what_the_page_says_of_killed_runs():
    killed = result("kill_and_resume")
    assert sum(killed["kills"].values()) == len(killed["trials"]) == 50
    assert killed["violations"] == 0 and "kills a run 50 times" in page("long-runs")


def test_what_the_page_says_of_the_wire():
    overhead = {1: [], 8: []}
    for row in result("wire_overhead")["rows"]:
        overhead[row["designs_per_call"]].append(row["overhead_ms"])
    one = {f"{ms:.1f}" for ms in overhead[1]}
    assert len(one) == 1
    said = f"{one.pop()} ms a call of one design and {min(overhead[8]):.1f} to {max(overhead[8]):.1f} ms"
    assert f"The wire costs {said} a call of eight" in page("wire-protocol")


def test_the_table_of_what_a_turn_of_an_agent_costs():
    for found, cells in zip(
        result("agent_turn")["rows"],
        rows("agents", "task | agent's own work, ms a turn (95 %)"),
        strict=True,
    ):
        assert cells[:3] == [
            found["task"],
            f"{found['agent_ms_median']} ({found['agent_ms_p95']})",
            f"{found['wire_ms_median']}",
        ]
        same, runs, faults = (
            found[k] for k in ("same_history_and_score", "faulty_runs", "faults_injected")
        )
        assert cells[3] == f"{same} of {runs} ({faults} faults)"


def test_the_table_of_what_the_scripted_designer_reaches():
    found = {(r["task"], r["pdk"]): r for r in result("scripted_designer")["rows"]}

    def both(task, text):
        return " / ".join(text(found[f"ACS-{task}-v0", pdk]) for pdk in ("generic", "sky130"))

    table = rows("agents", "task | score, generic / SKY130")
    for task, score, met, middle, best in table:
        assert score == both(task, lambda r: f"{r['scripted']:.4g}")
        assert met == both(task, lambda r: f"{r['scripted_met_after'] or 'never'}")
        assert middle == both(task, lambda r: f"{interquartile_mean(np.array(r['random'])):.3f}")
        assert best == both(task, lambda r: f"{max(r['random']):.3f}")
    assert len(table) == len(found) / 2


# A study that was stopped


def test_a_study_measures_no_part_twice(tmp_path):
    path, measured = tmp_path / "study.json", []

    def study(parts):
        return [
            parts.get(f"part {k}", lambda k=k: measured.append(k) or {"k": k}) for k in range(3)
        ]

    interrupted = resumable.Parts(path, {"rounds": 2})
    interrupted.get("part 0", lambda: measured.append(0) or {"k": 0})
    with interrupted.file.open("a") as file:
        file.write('{"of": {"rounds": 2}, "part": "part 1", "fou')  # The machine went down.
    parts = resumable.Parts(path, {"rounds": 2})
    found = study(parts)
    assert measured == [0, 1, 2] and found == [{"k": 0}, {"k": 1}, {"k": 2}]
    assert study(resumable.Parts(path, {"rounds": 2})) == found and measured == [0, 1, 2]
    parts.finish(found)
    assert json.loads(path.read_text()) == found
    assert [p.name for p in tmp_path.iterdir()] == ["study.json"]


def test_parts_of_other_options_or_tasks_are_not_taken(tmp_path):
    path = tmp_path / "study.json"
    resumable.Parts(path, {"tasks": ["digest"]}).get("part", lambda: 1)
    assert resumable.Parts(path, {"tasks": ["another"]}).get("part", lambda: 2) == 2
    assert resumable.Parts(path, {"tasks": ["digest"]}).get("part", lambda: 3) == 1


def test_a_study_without_a_document_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = resumable.Parts(None, {})
    assert parts.get("part", lambda: (1, 2)) == [1, 2], "as from a file"
    parts.finish({})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "study", ["simulation", "harness_overhead", "robustness", "kill_and_resume"]
)
def test_what_takes_minutes_of_make_bench_goes_on_where_it_stopped(study):
    makefile = (ROOT / "Makefile").read_text()
    studies = re.search(r"^STUDIES := (.*)$", makefile, flags=re.MULTILINE)[1].split()
    assert study in studies
    source = (ROOT / f"benchmarks/{study}.py").read_text()
    assert "parts.get(" in source and "parts.finish(" in source


def test_what_a_training_step_on_a_cpu_costs_without_blocks_and_parts():
    step = result("tlgrpo_step")
    memory = step["peak_mib"]["whole"] / step["peak_mib"]["parts"]
    assert (
        f"it takes {step['whole_over']['parts']:.1f} times as long and {memory:.1f} times the memory"
        in page("tlgrpo")
    )
