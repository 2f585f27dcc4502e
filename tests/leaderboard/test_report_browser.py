"""The report as a browser has it: sorting, filters, themes, widths, and no request whatever it holds."""

from __future__ import annotations

import re

import pytest

import acs_gym
from leaderboard.board.chosen import Chosen, choose
from leaderboard.board.standings import standings
from leaderboard.cells.runner import run_cell
from leaderboard.cells.store import Store, StoredCell
from leaderboard.reporting.page import render
from leaderboard.reporting.report import best_waveforms
from tests.conftest import ALL_TASKS
from tests.leaderboard.browser import browse, framed, needs_chromium
from tests.leaderboard.conftest import plan

pytestmark = needs_chromium
PHONE = 360
TASKS = ("ACS-OTA5T-v0", "ACS-Other-v0")
SCORES = {"alpha": 0.71, "beta": 0.93, "gamma": 0.82, "a-name-that-is-rather-long-" * 4: 0.4}
RANKED = ["beta", "gamma", "alpha", *list(SCORES)[3:]]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The choice of a folder with one cell."""
    store = Store(tmp_path_factory.mktemp("runs"))
    planned = plan("sobol")[0]
    store.finish(run_cell(planned.spec, planned.key, store, lambda _n, _best: None))
    return choose(store.folder)


@pytest.fixture(scope="module")
def board_of(one):
    """A board of the given agents on two tasks or those of `titles`, two seeds: copies of one cell."""

    (cell,) = one.cells

    def _board(scores, titles=None):
        copies = []
        titles = titles or dict.fromkeys(TASKS, cell.result.task.title)
        for agent, score in scores.items():
            track = "metrics" if agent == "beta" else "score"
            for task, title in titles.items():
                card = cell.result.task.model_copy(update={"title": title})
                for repetition in (0, 1):
                    changes = {"agent": agent, "task": task, "repetition": repetition}
                    spec = cell.result.spec.model_copy(update=changes)
                    own = {
                        "spec": spec, "score": score - 0.01 * repetition, "track": track, "task": card,
                    }  # fmt: skip
                    copies.append(StoredCell(cell.result.model_copy(update=own), cell.trace))
        board = standings(copies)
        return board, best_waveforms(board, Chosen(one.store, tuple(copies), (), {}, {}))

    return _board


@pytest.fixture(scope="module")
def page(board_of):
    return render(*board_of(SCORES))


@pytest.fixture(scope="module")
def static_page(board_of):
    return render(*board_of(SCORES), static=True)


@pytest.fixture(scope="module")
def seen(page, tmp_path_factory):
    """What one visit saw, and what the browser complained about."""
    return browse(
        page,
        tmp_path_factory.mktemp("visit"),
        """
        const $ = (q) => document.querySelector(q), all = (q) => [...document.querySelectorAll(q)];
        const shown = (e) => e.offsetParent !== null;
        const names = () => all('#ranking-rows > tr').filter(shown).map((tr) => tr.dataset.name);
        const curves = (id) => ($(`[data-chart=${id}]`).data ?? []).length;
        const head = (name) => all('.sortable thead th').find((th) => th.textContent === name);
        const press = (name) => head(name).querySelector('button').click();
        const set = (id, value) => {
          const e = document.getElementById(id);
          e.value = value; e.dispatchEvent(new Event('input', { bubbles: true }));
        };
        const facts = { start: names(), sorted: head('Score').getAttribute('aria-sort') };
        press('Score'); facts.descending = [names(), head('Score').getAttribute('aria-sort')];
        press('Score'); facts.ascending = [names(), head('Score').getAttribute('aria-sort')];
        press('Agent'); facts.byName = [names(), head('Score').getAttribute('aria-sort')];
        press('Rank'); facts.byRank = names();

        dispatchEvent(new Event('beforeprint')); // Draws what would be drawn when scrolled to.
        facts.curves = curves('curve');
        all('[data-toggle="0"]')[0].click();
        facts.toggled = [curves('curve'), all('[data-toggle="0"]').map((b) => b.ariaPressed)];
        all('[data-toggle="0"]')[1].click();
        facts.back = curves('curve');

        set('filter-text', 'ALPHA');
        facts.filtered = [names(), $('#shown').textContent, curves('curve')];
        facts.elsewhere = all('#costs ~ * tbody tr, #heat ~ * tbody tr').filter(shown).length;
        set('filter-text', ''); set('filter-track', 'metrics'); facts.track = names();
        set('filter-track', ''); set('filter-standing', 'ranked'); facts.ranked = names();
        set('filter-standing', ''); set('filter-task', '1');
        facts.tasks = all('details[data-task]').filter(shown).map((e) => [e.dataset.task, e.open]);
        set('filter-task', '');
        facts.allTasks = all('details[data-task]').filter(shown).length;

        const ground = () => getComputedStyle(document.body).backgroundColor;
        facts.themes = [];
        for (let k = 0; k < 3; k++) {
          facts.themes.push([$('#theme').textContent, ground()]);
          $('#theme').click();
        }
        facts.waves = all('[data-chart^=wave]').filter((e) => e.querySelector('svg')).length;
        facts.waveCharts = all('[data-chart^=wave]').length;
        return facts;
        """,
    )


def test_the_browser_has_nothing_to_complain_about(seen):
    assert seen[1] == ""


def test_columns_sort_both_ways_and_say_so(seen):
    facts = seen[0]
    assert facts["start"] == RANKED and facts["sorted"] is None
    assert facts["descending"] == [RANKED, "descending"]
    assert facts["ascending"] == [RANKED[::-1], "ascending"]
    assert facts["byName"] == [sorted(SCORES), None]
    assert facts["byRank"] == RANKED


def test_a_legend_hides_an_agent_in_every_chart(seen):
    facts = seen[0]
    agents = len(SCORES)
    assert facts["curves"] in (agents, 3 * agents)  # With intervals, three traces each.
    shown, pressed = facts["toggled"]
    assert shown == facts["curves"] * (agents - 1) / agents
    assert len(pressed) > 4 and set(pressed) == {"false"}
    assert facts["back"] == facts["curves"]


def test_filters_choose_agents_in_tables_and_charts(seen):
    facts = seen[0]
    names, said, curves = facts["filtered"]
    assert (names, said) == (["alpha"], f"1 of {len(SCORES)} agents shown")
    assert curves == facts["curves"] / len(SCORES)
    assert facts["elsewhere"] == 2  # Its row in the heat map and in the costs.
    assert facts["track"] == ["beta"]
    assert facts["ranked"] == []  # Two seeds each.


def test_a_task_can_be_chosen(seen):
    assert seen[0]["tasks"] == [["1", True]] and seen[0]["allTasks"] == len(TASKS)


def test_the_theme_follows_the_system_until_it_is_chosen(seen):
    light, dark = "rgb(255, 255, 255)", "rgb(19, 22, 26)"
    assert seen[0]["themes"] == [
        ["Theme: system", light], ["Theme: light", light], ["Theme: dark", dark]
    ]  # fmt: skip


def test_waveforms_are_drawn(seen):
    assert seen[0]["waves"] == seen[0]["waveCharts"] > 2


def test_a_dark_system_has_a_dark_page(static_page, tmp_path):
    ground, complaints = browse(
        framed(static_page, width=800),
        tmp_path,
        """const page = document.querySelector('iframe').contentDocument;
        const style = (q) => getComputedStyle(page.querySelector(q));
        return [style('body').backgroundColor, style('.drawn svg text').fill];""",
        dark=True,
    )
    assert ground[0] == "rgb(19, 22, 26)" and complaints == ""
    ink = [int(v) for v in re.findall(r"\d+", ground[1])]
    assert min(ink) > 150


def test_the_ranking_is_read_without_scrolling_sideways(board_of, tmp_path):
    scores = {f"an-agent-{k}": 0.9 - 0.01 * k for k in range(15)} | {
        "my_lab.agents:" + "Name" * 9: 0.3
    }
    titles = {t: acs_gym.make_task(t, pdk="generic").circuit.file.title for t in ALL_TASKS}
    assert len(titles) == 16
    seen, _ = browse(
        framed(render(*board_of(scores, titles), static=True), width=1280),
        tmp_path,
        """const frame = document.querySelector('iframe'), page = frame.contentDocument;
        const shown = (e) => e.offsetParent !== null;
        const hidden = (e) => e.scrollWidth - e.clientWidth;
        return [1280, 390, 360].map((width) => {
          frame.width = width;
          const table = page.querySelector('.ranking'), card = page.querySelector('.card');
          const pairs = page.querySelector('.pairs');
          return {
            heat: hidden(page.querySelector('.heat').closest('.scroll')),
            pairs: hidden(pairs.closest('.scroll')), compared: pairs.tBodies[0].rows.length,
            heads: [...table.tHead.rows[0].cells].filter(shown).map((e) => e.textContent),
            ranking: hidden(table.closest('.scroll')), card: hidden(card.querySelector('.scroll')),
            top: card.getBoundingClientRect().top,
          };
        });""",
        width=1400,
    )
    desktop, *phones = seen
    assert [view["ranking"] for view in seen] == [0, 0, 0]
    assert (desktop["compared"], desktop["pairs"], desktop["heat"]) == (16, 0, 0)
    for phone in phones:
        assert phone["heads"] == ["Rank", "Agent", "Score", "All specs met", "Verified"]
    assert set(phones[0]["heads"]) < set(desktop["heads"]) and "Notes" in desktop["heads"]
    # The sized circuit is on the first screen of a desktop, and fits most phones.
    assert desktop["top"] < 800
    assert (desktop["card"], phones[0]["card"]) == (0, 0)


def test_a_phone_scrolls_tables_and_never_the_page(page, static_page, tmp_path):
    widths, _ = browse(
        framed(page, static_page, width=PHONE),
        tmp_path,
        """return [...document.querySelectorAll('iframe')].map((f) => {
          const d = f.contentDocument;
          d.querySelectorAll('details').forEach((e) => { e.open = true; });
          const table = d.querySelector('.pairs').closest('.scroll');
          const whole = d.documentElement;
          return [whole.scrollWidth - whole.clientWidth, table.scrollWidth > table.clientWidth];
        });""",
    )
    assert widths == [[0, True]] * 2


@pytest.mark.parametrize("static", [False, True])
def test_nothing_foreign_is_obeyed_or_loaded(board_of, listener, tmp_path, static):
    url, asked = listener
    evil = (
        f'</script></style></title><script>fetch("{url}/a")</script><img src="{url}/b">'
        f'<a href="{url}/c">x</a>%{{y}}'
    )
    board, waves = board_of({evil: 0.5, "sobol": 0.4})
    (first, *_) = waves.values()
    axes = first.panels[0].axes[0].model_copy(update={"y_label": evil, "x_label": evil})
    panel = first.panels[0].model_copy(update={"title": evil, "axes": (axes,)})
    waves = dict.fromkeys(waves, first.model_copy(update={"panels": (panel,)}))
    facts, complaints = browse(
        framed(render(board, waves, static=static), width=800),
        tmp_path,
        """const page = document.querySelector('iframe').contentDocument;
        const all = (q) => [...page.querySelectorAll(q)];
        page.defaultView.dispatchEvent(new Event('beforeprint'));
        return { loading: all('img, link, iframe, script[src]').length,
          links: all('a, use').filter((e) => !e.href.baseVal && !e.hash).length,
          text: page.body.textContent.includes('</scr' + 'ipt></style>'),
          scripts: all('script').length };""",
    )
    assert asked == [] and complaints == ""
    assert facts == {"loading": 0, "links": 0, "text": True, "scripts": 0 if static else 3}


def _luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, two):
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_curves_stand_out_from_their_ground(static_page, scheme):
    """WCAG 2.2, level AA: 4.5 for text, 3 for curves and the edges of controls."""
    palettes = re.findall(r":root[^{]*\{(\s*color-scheme.*?)\}", static_page, flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", palettes[scheme]))
    texts = [(t, g) for t in ("ink", "soft", "accent") for g in ("page", "panel")]
    texts += [(n, f"{n}-back") for n in ("good", "bad", "warn")]
    texts += [("ahead-ink", "ahead"), ("behind-ink", "behind"), ("heat-middle", "h4")]
    texts += [("heat-low", f"h{k}") for k in range(4)] + [("heat-high", f"h{k}") for k in (5, 6)]
    for ink, ground in texts:
        assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for name in ("edge", *(f"c{k}" for k in range(8))):
        assert _contrast(colours[name], colours["page"]) >= 3.0, name
