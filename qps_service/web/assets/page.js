"use strict";
/* The page. What comes from a log (routes, names, texts of events) becomes text nodes and nothing else; dygraphs
   is told numbers alone, since its own labels are HTML. All addresses are relative: the page may stand below a path. */

const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
const RANGES = ["15m", "1h", "3h", "6h", "12h", "1d", "2d", "7d"];
const KEYS = ["range", "since", "until", "log", "route", "sort", "filter"];
const LEAST = 20; // seconds that can be zoomed to
const DASHES = [null, [6, 3], [2, 2]]; // so that no line is told from another by its colour alone
const $ = (id) => document.getElementById(id);

// --- what numbers look like

const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

function rate(number) { // two decimals, or two digits that count: as the reports have it
  if (!number) return "0";
  const exponent = Number(number.toExponential(1).split("e")[1]);
  return trimmed(number.toFixed(Math.max(2, 1 - exponent)));
}

const percent = (share) => (share ? `${rate(100 * share)} %` : "0 %");

function bytes(number) { // three digits, in the largest unit of 1000 of which there is one
  const [digits, exponent] = number.toExponential(2).split("e").map(Number);
  const unit = Math.min(4, Math.max(0, Math.floor(exponent / 3)));
  return trimmed((digits * 10 ** (exponent - 3 * unit)).toPrecision(3)) + ["", "k", "M", "G", "T"][unit];
}

function when(seconds, isExact = true) { // by the clock of who looks
  const at = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}${isExact ? `:${two(at.getSeconds())}` : ""}`;
}

function duration(seconds) { // two digits, as they are kept
  if (seconds === null) return "-";
  if (seconds < 0) return ">1000s";
  const [unit, size] = [["s", 1], ["ms", 1e-3], ["us", 1e-6]].find(([, each]) => seconds >= 0.999 * each) || ["", 1];
  return `${Number((seconds / size).toPrecision(2))}${unit}`;
}

const span = (seconds) => (seconds < 60 ? `${seconds} s` : `${seconds / 60} min`);
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

// --- making elements: text is text

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function drawing(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// --- the view, which is the page's address

let view = {};
const here = () => new URL(location.pathname, location.origin); // without a password that stands in the address

function readView() {
  const given = new URLSearchParams(location.search);
  view = {};
  for (const key of KEYS) if (given.has(key)) view[key] = given.get(key);
}

function address(changed = {}, path = "") {
  const url = new URL(path || ".", here());
  for (const [key, value] of Object.entries({ ...view, ...changed })) {
    if (value !== null && value !== undefined && (value !== "" || key === "route")) url.searchParams.set(key, value);
  }
  return url;
}

function go(changed, { keeps = false } = {}) {
  const { pathname, search } = address(changed); // relative: a password in the address would be another origin
  history[keeps ? "replaceState" : "pushState"](null, "", search || pathname);
  readView();
  load();
}

// --- asking, once a report, while somebody looks

let told = {}; // the last answers
let asked = 0;
let timer = 0;
let drawnAt = 0; // when the slower answers were asked for

async function ask(name) {
  const answer = await fetch(address({}, name), { cache: "no-cache", credentials: "same-origin" });
  const document = await answer.json().catch(() => {
    throw new Error(`The page's server, or a proxy before it, answers with status ${answer.status}.`);
  });
  if (!answer.ok) throw new Error(document.sentence);
  return document;
}

async function load(isAgain = false) {
  clearTimeout(timer);
  const number = ++asked;
  let every = 10;
  try {
    const state = await ask("state.json");
    if (number !== asked) return;
    told.state = state;
    every = Math.max(2, state.every);
    showState();
    const step = isAgain && told.series ? told.series.step : 0;
    if (performance.now() - drawnAt >= 1000 * Math.max(step, every) - 500 || !isAgain) {
      drawnAt = performance.now();
      if (state.charts) await charting();
      const series = await ask("series.json");
      if (number !== asked) return;
      told.series = series;
      showSeries();
      const routes = await ask("routes.json");
      if (number !== asked) return;
      told.routes = routes;
      showRoutes();
    }
    $("trouble").textContent = "";
  } catch (error) {
    if (number !== asked) return;
    showTrouble(error instanceof TypeError ? "The page's server does not answer." : error.message);
  }
  document.body.dataset.shown = number;
  if (!document.hidden) timer = setTimeout(() => load(true), every * 1000);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) load(true);
});

function showTrouble(sentence) {
  $("trouble").textContent = sentence;
  if (!told.state) say("health", "", "");
}

function say(id, text, kind) { // live regions speak only of what changes
  const place = $(id);
  if (place.textContent !== text) place.textContent = text;
  if (kind !== undefined) place.className = kind;
}

// --- the state

function showState() {
  const { state } = told;
  // The time that passed is no news: it is not to be read out each ten seconds.
  $("health").setAttribute("aria-live", state.counting ? "off" : "polite");
  say("health", state.sentence, state.counting ? "good" : "bad");
  const last = state.last;
  const cells = [
    ["Requests/s", last ? rate(last.rate) : "-"],
    ["Errors (5xx)", last ? percent(last.share) : "-", last && last.share],
    ["Rejected lines", String(state.rejected)],
    ["Losses", state.losses ? `${state.losses} possible, the last ${state.lost_ago} ago` : "none", state.losses],
    ["Requests in all", String(state.requests)],
  ];
  if (last && last.latency) cells.splice(2, 0, ["p95", duration(last.latency[1])]);
  $("state").replaceChildren(...cells.map(([name, value, isBad]) => element("div", {},
    element("dt", {}, name), element("dd", { class: isBad ? "bad" : null }, value))));
  const logs = [["", "all"], ...state.logs.map((name) => [name, name])];
  const chosen = view.log || "";
  const listed = [...$("log").options].map(({ value }) => value);
  if (listed.join("\n") !== logs.map(([value]) => value).join("\n") || $("log").value !== chosen) {
    $("log").replaceChildren(...logs.map(([value, name]) => element("option", { value }, name)));
    $("log").value = chosen;
  }
  for (const button of $("ranges").children) {
    button.setAttribute("aria-pressed", String(!view.since && button.value === (view.range || "1h")));
  }
  $("back").hidden = !view.since;
  if (document.activeElement !== $("filter")) $("filter").value = view.filter || "";
  document.title = `${state.counting ? "" : "NOT COUNTING "}${last ? `${rate(last.rate)} req/s ` : ""}qps-reporter`;
}

// --- charts

let library = null;

function charting() {
  library ??= new Promise((resolve) => {
    document.head.append(element("link", { rel: "stylesheet", href: "dygraph.css" }),
      element("script", { src: "dygraph.js", onload: resolve, onerror: resolve }));
  }).then(() => {
    // Its legend writes HTML, and style attributes even where it is off.
    if (window.Dygraph) Dygraph.PLUGINS = Dygraph.PLUGINS.filter((each) => each !== Dygraph.Plugins.Legend);
  });
  return library;
}

const CHARTS = [
  { id: "errors", title: "Errors: share of 5xx", show: percent, series: [["5xx", "c4", (row) => row.share]], fill: true },
  { id: "rates", title: "Requests/s by class of status, stacked", show: rate, stacked: true,
    series: [5, 4, 3, 2, 1, 0].map((each) => [CLASSES[each], `c${each}`, (row) => row.rates[each]]) },
  { id: "latency", title: "Latency: p50, p95, p99", show: duration, is: (row) => row.latency,
    series: ["p50", "p95", "p99"].map((each, i) => [each, each, (row) => (row.latency ? row.latency[i] : null)]) },
];
const drawn = new Map(); // id -> { graph, figure, values, legend, series }
let points = []; // a row of the answer, or null where there is a gap
let cursor = -1;

function showSeries() {
  const { series } = told;
  $("span").textContent = series.rows.length
    ? `${when(series.since)} to ${when(series.until)}, by ${span(series.step)}`
    : `Nothing between ${when(series.since)} and ${when(series.until)}.`
      + (series.begins === null ? " There is no history yet." : ` History begins at ${when(series.begins)}.`);
  if (series.rows.length && series.begins !== null && series.begins > series.since) {
    $("span").textContent += `. History begins at ${when(series.begins)}`;
  }
  points = [];
  const gaps = [...series.gaps];
  let last = 0; // where the row before ends: a gap within it is no place without a value
  for (const row of series.rows) {
    while (gaps.length && row.from >= gaps[0][1]) {
      const [begin] = gaps.shift();
      if (begin >= last) points.push({ at: begin + 0.001, row: null });
    }
    points.push({ at: (row.from + row.until) / 2, row });
    last = row.until;
  }
  cursor = -1;
  $("no-charts").hidden = Boolean(window.Dygraph);
  for (const chart of CHARTS) showChart(chart);
  showCursor();
  $("notes").replaceChildren(...series.notes.map((note) => element("li", {}, note)));
  showOne();
  showNumbers();
  showEvents();
}

function showChart(chart) {
  const isThere = points.length && (!chart.is || points.some(({ row }) => row && chart.is(row)));
  const before = drawn.get(chart.id);
  const seen = chart.series.filter(([name, , value]) => !chart.stacked || /[2-5]xx/.test(name)
    || points.some(({ row }) => row && value(row)));
  if (before && (!isThere || before.seen !== seen.map(([name]) => name).join())) {
    if (before.graph) before.graph.destroy();
    before.figure.remove();
    drawn.delete(chart.id);
  }
  if (!isThere) return;
  if (!drawn.has(chart.id)) makeChart(chart, seen);
  const made = drawn.get(chart.id);
  if (!window.Dygraph) return;
  const data = points.map(({ at, row }) => [new Date(at * 1000), ...seen.map(([, , value]) => (row ? value(row) : null))]);
  const { since, until } = told.series;
  const first = Math.min(since, points[0].at) * 1000;
  const last = Math.max(until, points[points.length - 1].at) * 1000;
  const most = Math.max(0, ...data.map((row) => (chart.stacked ? sum(row.slice(1)) : Math.max(...row.slice(1)))));
  const options = { file: data, dateWindow: [first, last], valueRange: [0, 1.1 * most || 0.01], ...looks(seen) };
  if (made.graph) made.graph.updateOptions(options);
  else made.graph = new Dygraph(made.place, data, { ...options, ...fixed(chart, seen) });
}

const looks = (series) => ({ colors: series.map(([, name]) => colour(name)), gridLineColor: colour("grid"),
  axisLineColor: colour("line") });

function fixed(chart, series) {
  return {
    labels: ["time", ...series.map((_, number) => String(number))],
    legend: "never",
    stackedGraph: Boolean(chart.stacked), stackedGraphNaNFill: "none", fillGraph: Boolean(chart.fill),
    fillAlpha: chart.stacked ? 0.45 : 0.15,
    strokeWidth: 1.5, drawGapEdgePoints: true, highlightCircleSize: 3, rightGap: 8,
    series: Object.fromEntries(series.map((_, i) => [String(i), { strokePattern: chart.stacked ? null : DASHES[i] }])),
    axes: { y: { axisLabelFormatter: (value) => chart.show(value), axisLabelWidth: 64, pixelsPerLabel: 28 },
      x: { pixelsPerLabel: 80 } },
    interactionModel: { ...Dygraph.defaultInteractionModel, dblclick: back },
    zoomCallback: (since, until) => zoom(since / 1000, until / 1000),
    highlightCallback: (event, x, found, row) => { cursor = row; showCursor(chart.id); },
    unhighlightCallback: () => { cursor = -1; showCursor(chart.id); },
    underlayCallback: (canvas, area, graph) => {
      canvas.strokeStyle = colour("event");
      canvas.lineWidth = 1;
      for (const event of told.series.events) {
        const x = Math.round(graph.toDomXCoord(event.at * 1000)) + 0.5;
        canvas.beginPath();
        canvas.moveTo(x, area.y);
        canvas.lineTo(x, area.y + area.h);
        canvas.stroke();
      }
    },
  };
}

function makeChart(chart, series) {
  const place = element("div", { class: "chart", tabindex: 0, role: "img", id: chart.id, hidden: !window.Dygraph,
    "aria-label": `${chart.title}. Arrow keys move the cursor, plus and minus zoom, Escape goes back. `
      + "All numbers stand in the table below.", onkeydown: steer });
  const values = series.map(() => element("span"));
  const legend = element("ul", { class: "legend" }, ...series.map(([name, tone], i) => {
    const line = drawing("path", { d: "M0 5h16", "stroke-width": "3", stroke: `var(--${tone})` });
    if (!chart.stacked && DASHES[i]) line.setAttribute("stroke-dasharray", DASHES[i].join(" "));
    return element("li", {}, drawing("svg", { viewBox: "0 0 16 10", "aria-hidden": "true" }, line), `${name} `, values[i]);
  }));
  const figure = element("div", { class: chart.stacked ? "figure stacked" : "figure" },
    element("h3", {}, chart.title), place, legend);
  const later = CHARTS.slice(CHARTS.indexOf(chart) + 1).map(({ id }) => drawn.get(id)).find(Boolean);
  $("charts").insertBefore(figure, later ? later.figure : null);
  drawn.set(chart.id, { place, figure, values, chart, series, seen: series.map(([name]) => name).join() });
}

function showCursor(source) { // in all charts; without a cursor the legends tell the last row
  let row = cursor >= 0 && points[cursor] ? points[cursor].row : null;
  say("cursor", row ? `${when(row.from)} to ${when(row.until)}: ${sum(row.requests)} requests, ${rate(row.rate)} `
    + `req/s, errors ${percent(row.share)}${row.stop ? ", a stop within" : ""}${happened(row)}` : cursor >= 0 ? "no data" : "");
  row ??= cursor < 0 && points.length ? points[points.length - 1].row : null;
  for (const [id, { graph, values, chart, series }] of drawn) {
    series.forEach(([, , value], i) => { values[i].textContent = row ? chart.show(value(row)) : "-"; });
    if (!graph || id === source) continue;
    if (cursor >= 0) graph.setSelection(cursor);
    else graph.clearSelection();
  }
}

function happened(row) {
  const kinds = told.series.events.filter(({ at }) => at > row.from && at <= row.until).map(({ kind }) => kind);
  return kinds.length ? `; ${[...new Set(kinds)].join(", ")}` : "";
}

function zoom(since, until) {
  since = Math.max(0, Math.floor(since));
  until = Math.ceil(until);
  if (until - since < LEAST) until = since + LEAST;
  go({ since, until: Math.min(until, since + 7 * 86400) });
}

function back() { go({ since: null, until: null }); }

function steer(event) {
  const { since, until } = told.series;
  const middle = cursor >= 0 && points[cursor] ? points[cursor].at : (since + until) / 2;
  const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
  if (move) cursor = Math.min(points.length - 1, Math.max(0, cursor < 0 ? points.length - 1 : cursor + move));
  else if (event.key === "Home") cursor = 0;
  else if (event.key === "End") cursor = points.length - 1;
  else if (event.key === "+") return zoom(middle - (until - since) / 4, middle + (until - since) / 4);
  else if (event.key === "-") return zoom(middle - (until - since), middle + (until - since));
  else if (event.key === "Escape") return cursor < 0 ? back() : (cursor = -1, showCursor());
  else return undefined;
  event.preventDefault();
  return showCursor();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const { graph, series } of drawn.values()) if (graph) graph.updateOptions(looks(series));
});

// --- tables

// What all tables have, the important first: a phone shows no more. Classes without a request are left out.
const columns = (isTimed = told.series.rows.some((row) => row.latency)) => [
  ["Requests/s", (row) => rate(row.rate)],
  ["Errors", (row) => percent(row.share), (row) => row.share],
  ...(isTimed ? ["p50", "p95", "p99"].map((name, i) => [name, (row) => duration(row.latency && row.latency[i])]) : []),
  ["Requests", (row) => String(sum(row.requests))],
  ...[0, 1, 2, 3, 4, 5].filter(isClassSeen).map((i) => [`${CLASSES[i]}/s`, (row) => rate(row.rates[i])]),
  ["Bytes/s", (row) => bytes(row.byte_rate)],
];
const isClassSeen = (i) => (i > 0 && i < 5) || told.series.rows.some((row) => row.requests[i]);
const heads = () => columns().map(([name]) => name);

function line(row, name, more = [], cells = columns()) {
  return element("tr", {}, element("th", { scope: "row" }, ...name), ...cells.map(([, text, isBad]) =>
    element("td", { class: isBad && isBad(row) ? "bad" : null }, text(row))), ...more);
}

function fill(id, head, rows) {
  const [top, body] = [$(id).tHead, $(id).tBodies[0]];
  top.replaceChildren(element("tr", {}, ...head));
  body.replaceChildren(...rows);
}

const plain = (text) => element("th", { scope: "col" }, text);

function showNumbers() {
  if (!$("numbers").open) return;
  const { rows, total } = told.series;
  fill("times", ["From", "Until", "Seconds", ...heads()].map(plain), [
    ...rows.map((row) => timed(row, [when(row.from) + (row.stop ? " *" : "")])),
    ...(total ? [timed(total, ["Total"])] : []),
  ]);
}

function timed(row, name) {
  const made = line(row, name);
  made.firstChild.after(element("td", {}, when(row.until)), element("td", {}, trimmed(row.seconds.toFixed(1))));
  return made;
}

$("numbers").addEventListener("toggle", () => told.series && showNumbers());

function showOne() {
  $("one").hidden = view.route === undefined;
  if (view.route === undefined) return;
  $("one-name").textContent = `Route ${view.route}`;
  $("all").href = address({ route: null });
  const cells = columns(false);
  fill("statuses", ["Status", ...cells.map(([name]) => name)].map(plain),
    (told.series.statuses || []).map((row) => line(row, [row.name], [], cells)));
}

const ORDERS = { Requests: "requests", "Requests/s": "rate", Errors: "errors", "Bytes/s": "bytes", p50: "p50", p95: "p95", p99: "p99" };

function sortable(name) {
  const order = ORDERS[name];
  if (!order) return plain(name);
  const isSorted = (view.sort || "errors") === order;
  return element("th", { scope: "col", "aria-sort": isSorted ? "descending" : null },
    element("button", { type: "button", value: order, onclick: () => go({ sort: order }, { keeps: true }) }, name));
}

function showRoutes() {
  const { routes, rest, left_out: more } = told.routes;
  const focused = document.activeElement;
  const kept = $("by-route").contains(focused) ? [focused.tagName, focused.value || focused.textContent] : null;
  fill("by-route", [...["Route", ...heads()].map(sortable), plain("Trend")], [
    ...routes.map((row) => line(row, [linked(row.name)], [element("td", {}, trend(row.trend))])),
    ...(rest ? [line(rest, [`and ${more} more`], [element("td")])] : []),
  ]);
  if (kept) { // who was in the table stays there
    const again = [...$("by-route").querySelectorAll(kept[0])]
      .find((each) => (each.value || each.textContent) === kept[1]);
    if (again) again.focus();
  }
  const number = routes.length + more;
  say("found", `${number} ${number === 1 ? "route" : "routes"}${view.filter ? " fit" : ""}`);
}

function linked(name) {
  return element("a", { href: address({ route: name }), "aria-current": view.route === name ? "true" : null,
    onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go({ route: name });
      $("over-time").scrollIntoView();
    } }, name);
}

function trend(values) {
  const most = Math.max(1, ...values);
  const step = 100 / Math.max(1, values.length - 1);
  const path = values.map((value, i) => `${i ? "L" : "M"}${(i * step).toFixed(1)} ${(19 - 18 * value / most).toFixed(1)}`);
  return drawing("svg", { class: "trend", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawing("path", { d: path.join("") || "M0 0" }));
}

function showEvents() {
  const { events, events_left_out: more } = told.series;
  $("no-events").textContent = events.length ? (more ? `${more} earlier ones are left out.` : "") : "None in this span.";
  $("event-list").replaceChildren(...events.map((event) => element("li", {},
    element("time", { datetime: new Date(event.at * 1000).toISOString() }, when(event.at)),
    ` ${event.kind}${event.log ? ` ${event.log}` : ""}: ${event.text}`)).reverse());
}

// --- the start

for (const name of RANGES) {
  $("ranges").append(element("button", { type: "button", value: name, "aria-pressed": "false",
    onclick: () => go({ range: name, since: null, until: null }) }, name));
}
$("log").addEventListener("change", () => go({ log: $("log").value || null, route: null }));
$("back").addEventListener("click", back);
$("all").addEventListener("click", (event) => { event.preventDefault(); go({ route: null }); });
let typing = 0;
$("filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go({ filter: $("filter").value || null }, { keeps: true }), 200);
});
addEventListener("popstate", () => { readView(); load(); });
$("zone").textContent = `Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone}. Errors are 5xx. `
  + "In a terminal: qps-reporter history, qps-reporter status.";
readView();
load();
