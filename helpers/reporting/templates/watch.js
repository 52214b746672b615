"use strict";
// Draws what `events` sends. Text from outside is only ever set as text, never as markup.

const LANE_S = 180, opened = Date.now() / 1000, MOST_LINES = 500, HEIGHT = 220;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const number = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits) : "–");
let rounds, planned, current, clients, bestRound, heard = Date.now();
const lanes = new Map(); // name of a worker: its pieces of work, since the page was opened

function reset() {
  rounds = new Map();
  planned = current = clients = bestRound = 0;
  byId("log").replaceChildren();
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function addLine(time, text, isNotice) {
  const line = document.createElement("li");
  const clock = document.createElement("time");
  clock.textContent = new Date(time).toLocaleTimeString([], { hour12: false });
  const words = document.createElement("span");
  words.textContent = (isNotice ? "Notice: " : "") + text;
  if (isNotice) line.className = "notice";
  line.append(clock, words);
  byId("log").prepend(line);
  if (byId("log").childElementCount > MOST_LINES) byId("log").lastElementChild.remove();
}

function take(entry) {
  const isRound = Number.isInteger(entry.round) && entry.round >= 0 && entry.round < 1e6;
  if (entry.event === "notice") addLine(entry.time, String(entry.text), true);
  if (!isRound) return;
  if (entry.event === "started") {
    planned = Number.isInteger(entry.rounds) ? entry.rounds : 0;
    current = entry.round;
    // The feed may begin with rounds of a run that this one replaces, or that it repeats.
    for (const round of rounds.keys()) if (round > entry.round) rounds.delete(round);
    bestRound = [...rounds.values()].at(-1)?.best_round ?? 0;
    addLine(entry.time, `Started: ${planned} rounds${entry.round ? `, ${entry.round} of them done before` : ""}`);
  } else if (entry.event === "round_started") {
    current = entry.round;
    clients = Number.isInteger(entry.clients) ? entry.clients : 0;
  } else if (entry.event === "round") {
    rounds.set(entry.round, entry);
    if (Number.isInteger(entry.best_round)) bestRound = entry.best_round;
    if (Number.isInteger(entry.rounds)) planned = entry.rounds;
    addLine(entry.time, `Round ${entry.round}/${planned}: AUC ${number(entry.roc_auc)}${entry.is_best === true ? " (best)" : ""}, `
      + `loss ${number(entry.train_loss)}, validation ${number(entry.val_loss)}, ${number(entry.seconds, 1)} s`);
  }
}

const KINDS = { train: "training", aggregate: "averaging", record: "averaging", score: "averaging", finish: "averaging" };
const kindOf = (job) => KINDS[job.split(/[:-]/, 1)[0]] ?? "others";

function takeWorkers(workers, now) {
  const alive = new Set();
  for (const worker of workers) {
    const name = String(worker.name);
    alive.add(name);
    if (!lanes.has(name)) lanes.set(name, []);
    const pieces = lanes.get(name), last = pieces.at(-1);
    if (worker.job && last?.job === worker.job && now - last.to < 5) last.to = now;
    else if (worker.job) pieces.push({ job: worker.job, from: now - 1, to: now });
    while (pieces.length && pieces[0].to < now - LANE_S) pieces.shift();
  }
  for (const [name, pieces] of lanes) if (!alive.has(name) && !pieces.some((piece) => piece.to > now - LANE_S)) lanes.delete(name);
  return alive;
}

function activity(worker) {
  if (!worker) return "no sign of life";
  if (!worker.activity) return "idle";
  return worker.activity + (worker.batches ? `, batch ${worker.batch}/${worker.batches}` : "");
}

function drawLanes(workers, alive, now) {
  const span = Math.min(LANE_S, Math.max(20, now - opened));
  const byName = new Map(workers.map((worker) => [String(worker.name), worker]));
  const rows = [...lanes].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true })).map(([name, pieces]) => {
    const row = document.createElement("li");
    if (!alive.has(name)) row.className = "gone";
    const [label, what] = [document.createElement("span"), document.createElement("span")];
    label.className = "name";
    label.textContent = name;
    what.className = "activity";
    what.textContent = activity(byName.get(name));
    const strip = element("svg", { viewBox: `0 0 ${span} 10`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const piece of pieces) {
      const from = Math.max(0, span - (now - piece.from)), to = span - (now - piece.to);
      strip.append(element("rect", { x: from, y: 0, width: Math.max(0.2, to - from - span / 500), height: 10, class: kindOf(piece.job) }));
    }
    row.append(label, what, strip);
    return row;
  });
  byId("lanes").replaceChildren(...rows);
  byId("no-workers").hidden = alive.size > 0;
  byId("lane-legend").hidden = rows.length === 0;
}

function ticks(low, high) {
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const values = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + 1e-9; value += step) values.push(value);
  return { values, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

// Draws lines over the rounds; `series` are functions from a round's entry to its value.
function drawChart(id, series, most) {
  const box = byId(id), width = Math.max(240, box.clientWidth), left = 44, right = 12, top = 10, bottom = 30;
  const points = series.map((value) => [...rounds.values()].map((entry) => [entry.round, value(entry), entry]).filter(([, y]) => Number.isFinite(y)));
  const values = points.flat().map(([, y]) => y);
  if (!values.length) return box.replaceChildren(Object.assign(document.createElement("p"), { className: "quiet", textContent: "No round is finished yet." }));
  let low = Math.min(...values), high = Math.max(...values);
  const margin = Math.max((high - low) * 0.1, 0.01);
  [low, high] = [Math.max(0, low - margin), Math.min(most, high + margin)];
  const first = Math.min(...points.flat().map(([x]) => x)), final = Math.max(planned, first + 1, ...points.flat().map(([x]) => x));
  const x = (round) => left + ((round - first) / (final - first)) * (width - left - right);
  const y = (value) => HEIGHT - bottom - ((value - low) / (high - low)) * (HEIGHT - top - bottom);
  const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img" });
  svg.append(element("title", {}, `Values of ${points[0].length} rounds; the last is ${number(points[0].at(-1)?.[1])}`));
  const marks = ticks(low, high);
  for (const value of marks.values) {
    svg.append(element("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(element("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(marks.digits)));
  }
  for (const round of ticks(first, final).values.filter(Number.isInteger)) {
    svg.append(element("text", { x: x(round), y: HEIGHT - 10, "text-anchor": "middle" }, round));
  }
  points.forEach((line, index) => {
    const kind = `line-${index + 1}`;
    svg.append(element("polyline", { points: line.map(([round, value]) => `${x(round)},${y(value)}`).join(" "), class: kind }));
    for (const [round, value, entry] of line.length <= 60 ? line : line.slice(-1)) {
      const best = index === 0 && id === "auc" && entry.round === bestRound;
      const dot = element("circle", { cx: x(round), cy: y(value), r: best ? 5 : 3, class: best ? `${kind} best` : kind });
      dot.append(element("title", {}, `round ${round}: ${number(value)}${best ? ", the best so far" : ""}`));
      svg.append(dot);
    }
  });
  box.replaceChildren(svg);
}

function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function drawTiles(view) {
  const last = rounds.get(Math.max(...rounds.keys())), best = rounds.get(bestRound);
  byId("round").textContent = planned ? `${current} of ${planned}` : "–";
  const isBusy = view.state === "running" && view.open > 0;
  byId("clients").textContent = isBusy && clients ? `${Math.max(0, clients - view.open)} of ${clients} clients done` : "";
  byId("best").textContent = number(best?.roc_auc);
  byId("best-round").textContent = best ? `round ${best.round}` : "";
  byId("last").textContent = number(last?.roc_auc);
  byId("last-loss").textContent = last ? `round ${last.round}, loss ${number(last.val_loss)}` : "";
  const times = [...rounds.values()].map((entry) => entry.seconds).filter(Number.isFinite);
  const mean = times.reduce((sum, value) => sum + value, 0) / times.length;
  const left = planned - (last?.round ?? 0);
  byId("seconds").textContent = number(mean, 1);
  byId("left").textContent = view.state === "running" && left > 0 && times.length ? `about ${duration(mean * left)} left` : "";
}

function stateOf(view) {
  if (view.state === "running") return "in training";
  if (view.state === "silent") return `no sign of its orchestrator for ${view.silent_s} s`;
  if (view.state === "ended") return "ended. report.html in the run’s folder of metrics has the results";
  return view.state === "away" ? String(view.text) : "Redis no longer knows this run";
}

function show(view) {
  heard = Date.now();
  const now = heard / 1000;
  byId("run").textContent = view.run;
  document.title = planned ? `${current}/${planned} ${view.run}` : view.run;
  byId("state").textContent = stateOf(view);
  byId("state").classList.toggle("bad", !["running", "ended"].includes(view.state));
  view.log.forEach(take);
  drawLanes(view.workers, takeWorkers(view.workers, now), now);
  drawTiles(view);
  if (view.log.length || !byId("auc").hasChildNodes()) drawCharts();
}

function drawCharts() {
  drawChart("auc", [(entry) => entry.roc_auc], 1);
  drawChart("loss", [(entry) => entry.train_loss, (entry) => entry.val_loss], Infinity);
}

reset();
const source = new EventSource("events");
source.onopen = reset; // every connection begins with the whole feed
source.onmessage = (message) => show(JSON.parse(message.data));
setInterval(() => {
  const silent = Math.round((Date.now() - heard) / 1000);
  if (silent < 5) return;
  byId("state").textContent = `no news from \`run.py watch\` for ${silent} s; this page goes on as soon as it answers`;
  byId("state").classList.add("bad");
}, 1000);
addEventListener("resize", drawCharts);
