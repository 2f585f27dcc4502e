"""The page in a real browser, and the conversation on a terminal: all there, and nothing obeyed."""

import html
import itertools
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner

from acs_gym.units import format_si
from agents.transcript.__main__ import app
from agents.transcript.page import chart, render, seconds_text
from agents.transcript.records import read_transcript
from agents.transcript.turns import read_turns
from tests.agents.recorded import (
    Designer,
    edited,
    of_type,
    record_llm,
    record_mcp,
    record_opro,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH")
PHONE, DESKTOP = 390, 1200
KINDS = ("tools", "text", "opro", "mcp", "cut off")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def files(task, folder):
    tools = record_llm(folder / "tools.jsonl", task)
    cut = folder / "cut.jsonl"
    cut.write_bytes(b"".join(tools.read_bytes().splitlines(keepends=True)[:8]))
    return {
        "tools": tools,
        "text": record_llm(folder / "text.jsonl", task, tool_format="text"),
        "opro": record_opro(folder / "opro.jsonl", task),
        "mcp": record_mcp(folder / "mcp.jsonl", task),
        "cut off": cut,
    }


def page_of(path):
    return render(read_turns(read_transcript(path)))


def with_reply(path, copy, **fields):
    """A copy whose first reply holds other fields."""
    return edited(path, copy, lambda lines: of_type(lines, "reply")[0].update(fields))


class Parsed(HTMLParser):
    """Elements and text of a page; what is in style is no text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words, self._open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self._open:
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def browse(page, path: Path, width: int = DESKTOP) -> tuple[str, str]:
    """(the document as the browser has it, what it complained about)."""
    path.write_text(page, encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={path.parent / 'browser'}", f"--window-size={width},1000", "--dump-dom",
        path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, "\n".join(re.findall(r".*CONSOLE.*", done.stderr))


@pytest.mark.parametrize("kind", KINDS)
def test_it_holds_the_run_from_the_first_prompt_to_the_end(files, kind):
    conversation = read_turns(read_transcript(files[kind]))
    seen = Parsed(render(conversation))
    start, best = conversation.start, conversation.best
    for word in (start.task, start.pdk, f"{start.budget} simulations", conversation.reason):
        assert word in seen.text
    assert len(seen.all("article")) == len(conversation.turns)
    ids = [a["id"] for _, a in seen.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert [i for i in ids if i.startswith("design-")] == [
        f"design-{s.number}" for s in conversation.evaluations
    ]
    links = [a["href"] for a in seen.all("a")]
    assert f"#design-{best.number}" in links
    assert {link[1:] for link in links} <= set(ids)
    for name, value in best.evaluation["design"].items():
        assert name in seen.text
        if name.startswith(("w_", "l_")):
            assert format_si(value, "m", 5) in seen.text
    assert ("Cut off." in seen.text) == (kind == "cut off")


def test_every_spec_has_a_verdict_in_words_beside_its_colour(files):
    conversation = read_turns(read_transcript(files["tools"]))
    page = render(conversation)
    met = page.count('✓</span><span class="unseen">met</span>')
    missed = page.count('✗</span><span class="unseen">missed</span>')
    shown = [*conversation.evaluations, conversation.best]
    assert met == sum(v == 1 for s in shown for v in s.evaluation["satisfaction"].values())
    assert missed == sum(v < 1 for s in shown for v in s.evaluation["satisfaction"].values())


def test_refusals_faults_attempts_and_cut_off_replies_are_said(files, tmp_path):
    def change(lines):
        reply = of_type(lines, "reply")[1]
        reply |= {"attempts": 3, "finish_reason": "length", "tokens_estimated": True}
        place = lines.index(reply)
        lines[place] = reply
        lines.insert(place, {"type": "fault", "kind": "context", "message": "8193 tokens"})
        lines.insert(
            place, {"type": "note", "kind": "request", "message": "shorter <b>replies</b>"}
        )

    text = Parsed(page_of(edited(files["tools"], tmp_path / "t.jsonl", change))).text
    for said in (
        "w_pair = 1 km is not allowed", "Asked for, not simulated", "✗ refused", "3 attempts",
        "Note. shorter <b>replies</b>", "cut off at the length limit",
        "about ", "Too long for the model. 8193 tokens", "DC operating point",
        "saturation margin", "Start with gm/Id.",
    ):  # fmt: skip
        assert said in text


def test_a_model_that_never_answered_is_shown(files, tmp_path):
    def change(lines):
        del lines[3:]
        lines.append({"type": "fault", "kind": "model", "message": "HTTP 500: <b>no</b>"})

    text = Parsed(page_of(edited(files["tools"], tmp_path / "t.jsonl", change))).text
    assert "No reply. HTTP 500: <b>no</b>" in text and "nothing simulated" in text


def test_a_circuit_that_is_not_known_here_is_shown_in_plain_numbers(files, tmp_path):
    def change(lines):
        lines[0]["task"] = "ACS-Mine-v0"

    seen = Parsed(page_of(edited(files["tools"], tmp_path / "t.jsonl", change)))
    assert "Circuit not known here." in seen.text and "target 39" in seen.text
    assert "ACS-Mine-v0" in seen.text


def test_the_same_transcript_gives_the_same_bytes(files):
    assert page_of(files["tools"]) == page_of(files["tools"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_screen_reader_finds_its_way(files, kind):
    page = page_of(files[kind])
    seen = Parsed(page)
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert len(seen.all("table")) == len(seen.all("caption")) == len(seen.all("thead"))
    assert all(a.get("scope") in ("col", "row") for a in seen.all("th"))
    assert all(a.get("aria-label") for a in seen.all("svg") if a.get("role") == "img")
    assert all(
        a.get("tabindex") == "0" and a.get("aria-label")
        for a in seen.all("div")
        if "scroll" in a.get("class", "").split()
    )
    assert seen.all("html") == [{"lang": "en"}] and not seen.all("script")


def _luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [("ink", "page"), ("ink", "panel"), ("soft", "page"), ("soft", "panel"), ("accent", "page"),
     ("accent", "panel"), ("good", "page"), ("bad", "page"), ("good", "good-back"),
     ("bad", "bad-back"), ("warn", "warn-back"), ("warn", "page")],
)  # fmt: skip
def test_text_stands_out_from_its_ground(ink, ground, scheme):
    """A contrast of 4.5, WCAG 2.2's level AA."""
    css = resources.files("agents.transcript").joinpath("templates/transcript.css").read_text()
    palette = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", palette))
    light, dark = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_the_chart_has_every_design_and_only_ever_rises(files):
    conversation = read_turns(read_transcript(files["mcp"]))
    found = chart(conversation, 960, 300)
    assert [p.number for p in found.points] == list(range(1, 8))
    heights = [float(v) for v in re.findall(r"(?:V|M\S+ )([\d.]+)", found.path)]
    assert heights == sorted(heights, reverse=True)
    assert min(p.y for p in found.points) == heights[-1] >= found.top
    assert all(found.left <= p.x <= found.right for p in found.points)
    assert [label for _, label in found.x_ticks] == ["0", "5", "10", "15", "20"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (0.25, "250 ms"), (12.34, "12.3 s"), (200, "3 min 20 s")]
)
def test_times_are_written_as_a_person_reads_them(seconds, said):
    assert seconds_text(seconds) == said


@needs_chromium
@pytest.mark.parametrize("kind", ["tools", "opro", "mcp"])
def test_a_browser_shows_it_without_a_complaint(files, kind, tmp_path):
    page = page_of(files[kind])
    document, complaints = browse(page, tmp_path / "page.html")
    assert complaints == ""
    assert Parsed(document).text == Parsed(page).text


@needs_chromium
def test_nothing_that_a_model_wrote_is_obeyed_or_loaded(task, tmp_path, listener):
    url, asked = listener
    hostile = (
        f'</div></pre></details><script>document.title="owned";fetch("{url}/fetch")</script>'
        f'<img src="{url}/img" onerror="document.title=1"><link rel=stylesheet href="{url}/css">'
        f'<iframe src="{url}/frame"></iframe><style>@import "{url}/style";</style>{{{{ 7 * 6 }}}}'
    )
    path = record_llm(tmp_path / "t.jsonl", task, Designer(task, hostile))
    path = with_reply(path, tmp_path / "all.jsonl", reasoning=hostile, finish_reason=hostile)
    path = edited(path, tmp_path / "more.jsonl", lambda lines: lines[0].update(agent=hostile))
    page = page_of(path)
    document, complaints = browse(page, tmp_path / "page.html")
    seen = Parsed(document)
    assert asked == [] and complaints == ""
    assert not any(seen.all(tag) for tag in ("script", "img", "link", "iframe"))
    assert len(seen.all("style")) == 1 and "owned" not in seen.all("title")
    assert seen.text.count("{{ 7 * 6 }}") >= 4 and hostile in html.unescape(page)


@needs_chromium
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_it_fits_the_width_of_its_window(files, width, tmp_path):
    frame = html.escape(page_of(files["tools"]), quote=True)
    measure = (
        f'<body style="margin:0"><iframe id="f" width="{width}" height="900" srcdoc="{frame}" '
        "onload=\"const d = document.getElementById('f').contentDocument.documentElement;"
        'document.body.innerHTML = `<p>${d.scrollWidth} of ${d.clientWidth}</p>`"></iframe>'
    )
    document, _ = browse(measure, tmp_path / "frame.html", 1400)
    wide, room = map(int, re.search(r"<p>(\d+) of (\d+)</p>", document).groups())
    assert wide <= room and width - 30 <= room <= width


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_writes_the_page_beside_the_file_and_sums_up(files):
    done = run(files["tools"])
    page = files["tools"].with_suffix(".html")
    assert done.exit_code == 0 and f"Page: {page}" in done.stdout
    assert page.read_text("utf-8") == page_of(files["tools"])
    for name, value in {
        "task": "ACS-OTA5T-v0 on generic, tt",
        "agent": "llm",
        "model": "gpt-4.1-mini",
        "replies": "5",
        "simulations": "5 of 6",
        "best score": "1.0000 with design 4, all specs met",
        "ended": "the model finished",
    }.items():
        assert re.search(rf"^{name} +{re.escape(value)}", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^dollars +0\.0\d+", done.stdout, flags=re.MULTILINE)


def test_the_page_goes_where_it_is_told(files, tmp_path):
    done = run(files["mcp"], "--out", tmp_path / "mine.html")
    assert done.exit_code == 0 and (tmp_path / "mine.html").is_file()
    assert not files["mcp"].with_suffix(".html").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_conversation_is_printed_as_text_and_steers_no_terminal(files, kind):
    done = run(files[kind], "--text")
    assert done.exit_code == 0 and "\x1b" not in done.stdout
    conversation = read_turns(read_transcript(files[kind]))
    for turn in conversation.turns:
        assert f"Turn {turn.number}" in done.stdout
    for simulated in conversation.evaluations:
        assert f"#{simulated.number} {simulated.evaluation['score']:.4f}" in done.stdout
    if kind in ("tools", "text"):
        assert '<script>document.title = "owned"</script>' in done.stdout
        assert "[bold]markup[/bold]" in done.stdout
        assert "refused: w_pair = 1 km is not allowed" in done.stdout
    assert conversation.reason in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{none}"], "none.jsonl: cannot be read: No such file"),
        (["{file}", "--text", "--replay"], "give one of --text, --replay and --out"),
        (["{file}", "--text", "--out", "{none}"], "give one of --text, --replay and --out"),
        (["{file}", "--out", "{file}"], "is the transcript itself"),
        (["{file}", "--out", "{none}/page.html"], "cannot write"),
    ],
)
def test_wrong_use_is_said_in_a_line(files, tmp_path, arguments, said):
    places = {"{none}": str(tmp_path / "none.jsonl"), "{file}": str(files["tools"])}
    for name, place in places.items():
        arguments = [a.replace(name, place) for a in arguments]
    before = files["tools"].read_bytes()
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ") and said in done.stderr
    assert len(done.stderr.splitlines()) == 1 and files["tools"].read_bytes() == before


def test_help_says_what_it_does_and_how_it_ends():
    done = run("--help")
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stdout).split())
    assert done.exit_code == 0
    for word in ("--out", "--text", "--replay", "exit code 0", "FILE"):
        assert word in text
