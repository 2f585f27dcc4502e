"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const charts = JSON.parse($("charts").textContent);
  const dashes = {{ dashes | tojson }}, mostBands = {{ most_bands }};
  const rows = all("#ranking-rows > tr").map((tr) => ({
    agent: tr.dataset.agent, name: tr.dataset.name.toLowerCase(),
    track: tr.dataset.track, standing: tr.dataset.standing.split(" "),
  }));
  const off = new Set(); // Agents hidden with a legend.
  let matching = new Set(rows.map((r) => r.agent));

  // --- theme ---
  const root = document.documentElement, themes = ["system", "light", "dark"];
  const stored = (value) => {
    // A browser may forbid storage to a file; the page then forgets.
    try { if (value) localStorage.setItem("acs-gym-theme", value); return localStorage.getItem("acs-gym-theme"); }
    catch { return value; }
  };
  function setTheme(theme) {
    root.dataset.theme = theme;
    $("theme").textContent = `Theme: ${theme}`;
  }
  $("theme").addEventListener("click", () => {
    setTheme(themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length]);
    stored(root.dataset.theme);
    redraw();
  });
  setTheme(themes.includes(stored()) ? stored() : "system");
  $("theme").hidden = false;

  // --- tables ---
  function sort(th) {
    const table = th.closest("table"), body = table.tBodies[0];
    const column = [...th.parentNode.children].indexOf(th);
    const before = th.getAttribute("aria-sort");
    const rising = before ? before !== "ascending" : th.dataset.first === "ascending";
    const key = (tr) => tr.children[column].dataset.value;
    const numeric = [...body.rows].every((tr) => key(tr) === "" || !isNaN(key(tr)));
    const compare = (a, b) => numeric ? a - b : a.localeCompare(b);
    const ordered = [...body.rows].sort((a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
      return (rising ? 1 : -1) * compare(key(a), key(b));
    });
    all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", rising ? "ascending" : "descending");
    body.append(...ordered);
  }
  document.addEventListener("click", (event) => {
    const th = event.target.closest(".sortable thead th[data-first]");
    if (th && event.target.closest("button")) sort(th);
    const toggle = event.target.closest("[data-toggle]");
    if (toggle) {
      const agent = toggle.dataset.toggle;
      if (!off.delete(agent)) off.add(agent);
      all(`[data-toggle="${agent}"]`).forEach((b) => b.setAttribute("aria-pressed", !off.has(agent)));
      redraw();
    }
  });

  // --- filters ---
  function filter() {
    const text = $("filter-text").value.trim().toLowerCase();
    const track = $("filter-track").value, standing = $("filter-standing").value, task = $("filter-task").value;
    matching = new Set(rows.filter((r) => r.name.includes(text) && (!track || r.track === track)
      && (!standing || r.standing.includes(standing))).map((r) => r.agent));
    all("[data-agent]").forEach((e) => {
      e.hidden = !matching.has(e.dataset.agent) || ("other" in e.dataset && !matching.has(e.dataset.other));
    });
    all("[data-task]").forEach((e) => {
      e.hidden = task !== "" && e.dataset.task !== task;
      if (task !== "" && e.dataset.task === task && e.tagName === "DETAILS") e.open = true;
    });
    $("shown").textContent = matching.size === rows.length ? "" : `${matching.size} of ${rows.length} agents shown`;
    redraw();
  }
  all(".filters input, .filters select").forEach((e) => e.addEventListener("input", filter));
  all(".filters").forEach((e) => { e.hidden = false; });

  // --- charts ---
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const clear = (hex, a) => `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${a})`;
  const dash = (k) => dashes[k] ? dashes[k].split(" ").map((n) => `${n}px`).join(",") : "solid";
  // Plotly reads some HTML, and this page believes no text.
  const plain = (text) => (text ?? "").replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
  function traces(chart) {
    const shown = chart.series.filter((s) => s.agent === undefined || (matching.has(`${s.agent}`) && !off.has(`${s.agent}`)));
    const shape = chart.step ? "hv" : "linear", bands = shown.length <= mostBands;
    return shown.flatMap((s) => {
      const colour = css(`--c${s.colour}`), x = s.x ?? s.y.map((_, i) => i + 1);
      const unit = (axis) => plain(chart[`${axis}_unit`]);
      const curve = { x, y: s.y, mode: "lines", line: { color: colour, width: 2.2, dash: dash(s.dash), shape },
        hovertemplate: `%{y:${unit("y") ? ".4s" : ".4~f"}}${unit("y")} at %{x:${unit("x") ? ".4s" : ".4~f"}}${unit("x")}<extra>${plain(s.name)}</extra>` };
      if (!s.low || !bands) return [curve];
      const edge = { x, mode: "lines", hoverinfo: "skip", line: { width: 0, shape, color: colour } };
      return [{ ...edge, y: s.low }, { ...edge, y: s.high, fill: "tonexty", fillcolor: clear(colour, 0.14) }, curve];
    });
  }
  function decades(chart, name) {
    const values = chart.series.flatMap((s) => s[name] ?? []);
    return Math.log10(Math.max(...values) / Math.min(...values));
  }
  function draw(box) {
    const chart = charts[box.dataset.chart], narrow = innerWidth < 600;
    const axis = (name) => {
      const log = chart[`${name}_log`], unit = plain(chart[`${name}_unit`]);
      return {
        gridcolor: css("--line"), linecolor: css("--line"), zeroline: false, automargin: true, fixedrange: narrow,
        title: { text: plain(chart[`${name}_title`]), standoff: 8, font: { size: 12 } }, type: log ? "log" : "linear",
        // Whole decades, unless there are so few that none may be in sight.
        ...(log && decades(chart, name) >= 2 ? { dtick: 1 } : { nticks: chart.small || narrow ? 5 : 8 }),
        ...(unit ? { exponentformat: "SI", ticksuffix: unit, minexponent: 0 } : {}),
      };
    };
    const range = chart.y_range && chart.y_range.map((v) => chart.y_log ? Math.log10(v) : v);
    const shapes = (chart.marks ?? []).map((m) => {
      const at = m.at;
      const ends = m.axis === "x" ? { x0: at, x1: at, y0: 0, y1: 1, yref: "paper" } : { y0: at, y1: at, x0: 0, x1: 1, xref: "paper" };
      return { type: "line", ...ends, line: { color: css("--soft"), width: m.spec ? 1.4 : 0.8, dash: m.spec ? "6px,4px" : "solid" } };
    });
    Plotly.react(box, traces(chart), {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest", shapes,
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow || chart.small ? 11 : 13, color: css("--ink") },
      hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--edge"), font: { color: css("--ink") } },
      margin: { l: 44, r: 12, t: 10, b: 40 },
      xaxis: axis("x"),
      yaxis: { ...axis("y"), ...(range ? { range: chart.small ? range : [range[0] - 0.02, range[1] + 0.02] } : {}) },
    }, { responsive: true, displayModeBar: false });
  }
  const drawn = new Set();
  function redraw() { drawn.forEach(draw); }
  // Dozens of charts: each is drawn when it comes near the window, which those in closed parts do not.
  const near = new IntersectionObserver((entries) => {
    entries.filter((e) => e.isIntersecting && !drawn.has(e.target)).forEach((e) => { drawn.add(e.target); draw(e.target); });
  }, { rootMargin: "400px" });
  all("[data-chart]").forEach((box) => near.observe(box));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => all("[data-chart]").forEach((box) => { if (box.offsetParent) { drawn.add(box); draw(box); } }));
  filter();
})();
