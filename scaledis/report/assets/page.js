const data = JSON.parse(document.getElementById("data").textContent);
const COLORS = ["#2b7fc3", "#d1495b", "#2a9d6f", "#e09f1f", "#8d6fc0", "#4cb5c4", "#a56b4a", "#e377b4", "#8a8a00", "#7a7a90"];
const LOW = -3, HIGH = 3;
const settings = [...new Set(data.runs.map((run) => run.setting))];
const colorOf = (setting) => COLORS[settings.indexOf(setting) % COLORS.length];
const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));

// ---- scores ---------------------------------------------------------------------------------------------------------

const table = { group: "all", against: "", seeds: settings.length === data.runs.length, metric: null, descending: true };

function drawScores() {
  const groups = Object.keys(data.scores);
  const { metrics, best, rows, differences, beneath } = data.scores[table.group];
  const several = rows.some((row) => row.runs.length > 1);
  const words = (group) => (group === "all" ? "all units" : group.replace("level", "level "));
  const controls = [];
  if (groups.length > 1)
    controls.push(h("span", { class: "group", role: "group", "aria-label": "Units that are scored" },
      groups.map((group) => h("button", { type: "button", "aria-pressed": String(group === table.group),
        onclick: () => { table.group = group; drawScores(); } }, words(group)))));
  if (Object.keys(differences).length)
    controls.push(h("label", {}, "difference to", select("Difference to", [["", "none"],
      ...Object.keys(differences).map((name) => [name, name])], table.against,
      (name) => { table.against = name; drawScores(); })));
  if (several)
    controls.push(h("label", {}, h("input", { type: "checkbox", checked: table.seeds,
      onchange: (event) => { table.seeds = event.target.checked; drawScores(); } }), "every seed"));
  fill("score-controls", controls);

  const order = rows.map((row, place) => ({ row, place }));
  if (table.metric !== null) {
    const column = metrics.indexOf(table.metric);
    const key = ({ row }) => (table.metric === "" ? row.setting : row.cells[column] ? row.cells[column].mean : null);
    order.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return (x < y ? -1 : x > y ? 1 : 0) * (table.descending ? -1 : 1);
    });
  }
  const heading = (metric, words) => h("th", { scope: "col", "aria-sort":
    table.metric === metric ? (table.descending ? "descending" : "ascending") : null },
    h("button", { type: "button", onclick: () => {
      table.descending = table.metric === metric ? !table.descending : metric !== "";
      table.metric = metric;
      drawScores();
      [...document.querySelectorAll("#score-table thead button")][metric === "" ? 0 : metrics.indexOf(metric) + 1].focus();
    } }, words));
  const bodies = order.map(({ row, place }) => h("tbody", {},
    h("tr", {}, h("th", { scope: "row" }, row.setting, several && h("small", {}, seedsOf(row.runs))),
      row.cells.map((cell, column) => scoreCell(cell, cell && cell.mean === best[column],
        table.against && differences[table.against] ? differences[table.against][column][place] : null))),
    several && table.seeds ? row.runs.map((run) => h("tr", { class: "seed" }, h("th", { scope: "row" }, run.name),
      run.cells.map((value) => h("td", {}, number(value))))) : []));
  bodies.push(h("tbody", {}, Object.entries(beneath).map(([name, cells]) => h("tr", { class: "beneath" },
    h("th", { scope: "row" }, name), cells.map((value) => h("td", {}, number(value)))))));
  fill("score-table", h("table", {},
    h("thead", {}, h("tr", {}, heading("", "setting"), metrics.map((metric) => heading(metric, metric)))), bodies));
  document.getElementById("legend").textContent = `${data.legend} ` +
    (several ? "Below a mean is its 95 % interval by Student's t. " : "") +
    (table.against ? `Below is the difference to ${table.against} on the seeds that both have, with its 95 % interval.` : "");
}

function seedsOf(runs) {
  return `${runs.length} seed${runs.length > 1 ? "s" : ""}`;
}

function scoreCell(cell, best, difference) {
  if (!cell) return h("td", {}, "–");
  const spread = cell.deviation === null ? "" : ` ± ${cell.deviation.toFixed(3)}`;
  const range = (low, high) => `${signed(low, 3)} to ${signed(high, 3)}`;
  return h("td", {}, h("span", { class: best ? "best" : null }, number(cell.mean) + spread),
    cell.interval && h("small", {}, range(...cell.interval)),
    cell.chance !== null && h("small", {}, `chance ${number(cell.chance)}`),
    difference && h("small", {}, (difference[0] > 0 ? "+" : "") + signed(difference[0], 3) +
      (difference[1] === null ? "" : ` (${range(difference[1], difference[2])})`)));
}

// ---- runs -----------------------------------------------------------------------------------------------------------

const secondSetting = data.runs.findIndex((run) => run.setting !== data.runs[0].setting);
const shown = { run: 0, beside: secondSetting, at: null, playing: false };
const scrubbed = []; // of every strip on the page: a function that shows a frame

function drawPicker() {
  const names = data.runs.map((run, place) => [String(place), run.name]);
  const pick = (key) => (value) => { shown[key] = Number(value); drawRuns(); };
  const step = (by) => () => {
    shown.run = (shown.run + by + data.runs.length) % data.runs.length;
    drawPicker(); drawRuns();
  };
  const all = h("input", { type: "range", min: LOW, max: HIGH, step: .5, value: 0, id: "scrub-all",
    "aria-label": "Move every unit", oninput: () => { play(false); moveAll(Number(all.value)); } });
  fill("picker",
    h("label", {}, "run", select("Run", names, String(shown.run), pick("run"))),
    data.runs.length > 2 && h("span", { class: "group" },
      h("button", { type: "button", "aria-label": "Previous run", onclick: step(-1) }, "←"),
      h("button", { type: "button", "aria-label": "Next run", onclick: step(1) }, "→")) || [],
    data.runs.length > 1 ? h("label", {}, "beside", select("Beside it", [["-1", "none"], ...names], String(shown.beside),
      pick("beside"))) : [],
    h("label", {}, "every unit", all),
    h("button", { type: "button", id: "play", "aria-pressed": String(shown.playing), onclick: () => play(!shown.playing) },
      "Play"));
}

function drawRuns() {
  const runs = [...new Set([shown.run, shown.beside])].filter((place) => place >= 0).map((place) => data.runs[place]);
  scrubbed.length = 0;
  fill("ladder-of", runs.map(ladder));
  fill("map-of", runs.map(heatMap));
  document.getElementById("edits").hidden = runs.every((run) => !run.edits);
  fill("edits-of", runs.map(edits));
  fill("reconstructions-of", runs.map((run) => pictures(run, run.reconstructions, 2, "Images and reconstructions")));
  fill("samples-of", runs.map((run) => pictures(run, run.samples, 1, "Samples from the prior")));
  if (shown.at !== null) moveAll(shown.at);
}

function caption(run, kind, source = run.source) {
  return [h("h3", {}, run.name), h("p", { class: "source" }, [kind, source].filter(Boolean).join(" · "))];
}

function ladder(run) {
  const scores = Object.entries(run.scores).map(([name, value]) => `${name} ${value.toFixed(2)}`).join(", ");
  const most = Math.max(...run.units.map((unit) => unit.kl || 0), 1e-9);
  const stands = (level) => (run.levels === 1 ? "" : level === run.levels ? "top: most global" : level === 1 ? "finest" : "");
  const levels = Array.from({ length: run.levels }, (_, depth) => run.levels - depth).map((level) => {
    const units = run.units.map((unit, place) => ({ ...unit, index: place })).filter((unit) => unit.level === level);
    const nats = units.every((unit) => unit.kl !== null) ?
      `${units.reduce((sum, unit) => sum + unit.kl, 0).toFixed(1)} nats` : "";
    return h("section", { class: "level", style: { "--tone": tone(level, run.levels) } },
      h("h4", {}, `level ${level}`, h("span", {}, [stands(level), nats].filter(Boolean).join(" · "))),
      units.map((unit) => unitRow(run, unit, most)));
  });
  return h("article", { class: "ladder" }, caption(run, scores, run.mixed),
    run.diverged === null ? null : h("p", { class: "note" }, `It diverged at step ${run.diverged} and stands at its last finite state.`),
    run.traversals ? null : h("p", { class: "note" }, "This run is not drawn: the page draws the first seeds of 64 runs."), levels);
}

function unitRow(run, unit, most) {
  const best = unit.best && !unit.dead ? `${unit.best[0]} ${Math.round(100 * unit.best[1])} %` : unit.dead ? "dead" : "";
  const nats = unit.kl === null ? "" : `${unit.kl.toFixed(2)} nats`;
  const holds = h("div", { class: "holds" }, best, h("small", {}, nats),
    unit.kl === null ? null : h("div", { class: "amount" }, h("i", { style: { width: `${100 * unit.kl / most}%` } })));
  const row = h("div", { class: unit.dead ? "unit dead" : "unit" }, unitName(unit));
  if (run.traversals) row.append(...strip(run.traversals[unit.index], run.frames,
    `Traversal of ${spokenName(unit)} from ${signed(LOW, 0)} to ${HIGH}${best ? `; it knows most of: ${best}` : ""}${nats && `; ${nats}`}`));
  row.append(holds);
  return row;
}

// A frame that is large and a strip of all frames that is a slider; both show the same picture.
function strip(picture, frames, words) {
  const style = { "--frames": frames, "--at": (frames - 1) / 2 };
  const frame = h("div", { class: "frame", style: { ...style, "background-image": `url(${picture})` } });
  const slider = h("div", { class: "strip", style, role: "slider", tabindex: 0, "aria-label": words,
    "aria-valuemin": LOW, "aria-valuemax": HIGH }, h("img", { src: picture, alt: "", draggable: "false" }));
  let at = (frames - 1) / 2;
  const show = (to) => {
    at = Math.max(0, Math.min(frames - 1, to));
    const value = LOW + (HIGH - LOW) * at / (frames - 1);
    slider.setAttribute("aria-valuenow", value);
    slider.setAttribute("aria-valuetext", signed(value));
    for (const each of [frame, slider]) each.style.setProperty("--at", at);
  };
  const point = (event) => {
    const box = slider.getBoundingClientRect();
    play(false);
    show(Math.floor(frames * (event.clientX - box.left) / box.width));
  };
  slider.addEventListener("pointerdown", (event) => { slider.setPointerCapture(event.pointerId); point(event); });
  slider.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" || event.buttons) point(event); });
  slider.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: frames - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    play(false);
    show(to);
  });
  show(at);
  scrubbed.push((value) => show(Math.round((frames - 1) * (value - LOW) / (HIGH - LOW))));
  return [frame, slider];
}

function moveAll(value) {
  shown.at = value;
  for (const show of scrubbed) show(value);
}

function play(on) {
  if (shown.playing === on) return;
  shown.playing = on;
  const button = document.getElementById("play");
  button.setAttribute("aria-pressed", String(on));
  if (!on) return;
  let start = null;
  const period = 4000;
  const tick = (now) => {
    if (!shown.playing) return;
    start ??= now;
    const phase = ((now - start) / period + .25) % 1;
    const value = LOW + (HIGH - LOW) * (phase < .5 ? 2 * phase : 2 - 2 * phase);
    moveAll(value);
    document.getElementById("scrub-all").value = value;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

function heatMap(run) {
  if (!run.shares) return h("figure", {}, caption(run), h("p", { class: "note" }, "This run was not measured against factors."));
  const levels = [...new Set(run.units.map((unit) => unit.level))];
  const cell = (share) => h("td", { style: { "--share": share || 0 }, class: share > .55 ? "much" : share < .1 ? "little" : null },
    share === null ? "–" : String(Math.round(100 * share)));
  const bodies = levels.map((level) => h("tbody", { style: { "--tone": tone(level, run.levels) } },
    run.units.map((unit, index) => ({ unit, index })).filter(({ unit }) => unit.level === level).map(({ unit, index }, place, of) =>
      h("tr", {}, place === 0 ? h("th", { class: "of-level", scope: "rowgroup", rowspan: of.length }, `level ${level}`) : null,
        h("th", { scope: "row" }, unitName(unit)), run.shares[index].map(cell)))));
  return h("figure", {}, caption(run, "", run.measured), h("div", { class: "wide", tabindex: 0, role: "region",
    "aria-label": `Mutual information of the units of ${run.name} with the factors` }, h("table", { class: "map" },
    h("thead", {}, h("tr", {}, h("td"), h("td"), run.factors.map((name) => h("th", { scope: "col" }, h("span", { title: name }, name))))),
    bodies)));
}

const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);

function edits(run) {
  if (!run.edits) return h("figure", {}, caption(run), h("p", { class: "note" }, "The edits of this run were not measured."));
  const levels = [...new Set(run.units.map((unit) => unit.level))];
  const bar = (share) => h("div", { class: "part" }, h("i", { style: { width: `${100 * (share || 0)}%` } }));
  const row = (unit, found) => h("tr", { class: found ? null : "dead" }, h("th", { scope: "row" }, unitName(unit)),
    h("td", {}, bar(found && found.own)), h("td", {}, percent(found && found.own)),
    h("td", { class: "what" }, found ? found.factor : "no factor",
      found && found.next && h("small", {}, `then ${found.next[0]} ${percent(found.next[1])}`)));
  const bodies = levels.map((level) => h("tbody", { style: { "--tone": tone(level, run.levels) } },
    h("tr", { class: "of-level" }, h("th", { scope: "rowgroup", colspan: 2 }, `level ${level}`),
      h("td", {}, percent(run.edits.levels[level - 1])), h("td")),
    run.units.map((unit, index) => (unit.level === level ? row(unit, run.edits.units[index]) : null))));
  return h("figure", {}, caption(run, `${percent(run.edits.all)} of all changes are the edited unit's own factor`, run.measured),
    h("table", { class: "edits", "aria-label": `Edit selectivity of the units of ${run.name}` },
      h("colgroup", {}, ["unit", "bar", "share", "what"].map((each) => h("col", { class: `col-${each}` }))), bodies));
}

// The images of one picture, as many side by side as fit.
function pictures(run, found, rows, words) {
  if (!found) return h("figure", {}, caption(run), h("p", { class: "note" }, "This run is not drawn."));
  const across = found.count;
  const image = (row, column) => h("div", { style: {
    "background-image": `url(${found.picture})`,
    "background-position": `${across > 1 ? 100 * column / (across - 1) : 0}% ${rows > 1 ? 100 * row / (rows - 1) : 0}%` } });
  const places = Array.from({ length: across }, (_, column) => column);
  const cells = Array.from({ length: rows }, (_, row) => places.map((column) => image(row, column)));
  return h("figure", {}, caption(run), h("div", { class: "split", role: "img", "aria-label": `${words} of ${run.name}, ${run.source}`,
    style: { "--columns": across, "--rows": rows, "--across": 10 } }, cells));
}

// ---- losses ---------------------------------------------------------------------------------------------------------

// At first the terms of single levels are hidden, but for their KL.
const hidden = { settings: new Set(),
  terms: new Set(data.terms.filter(({ key }) => /_level_?\d/.test(key) && !key.startsWith("kl_")).map(({ key }) => key)) };

function toggle(kind, key, words, color) {
  const button = h("button", { type: "button", class: color && "key", style: color ? { "--color": color } : {},
    "aria-pressed": String(!hidden[kind].has(key)), onclick: () => {
      const off = hidden[kind].has(key);
      hidden[kind][off ? "delete" : "add"](key);
      button.setAttribute("aria-pressed", String(off));
      drawPanels();
    } }, words);
  return button;
}

function drawLosses() {
  fill("loss-source", `Of ${data.source}.`);
  fill("loss-terms", data.terms.map(({ key, words }) => toggle("terms", key, words)));
  fill("loss-settings", settings.map((setting) => toggle("settings", setting, setting, colorOf(setting))));
  drawPanels();
}

function drawPanels() {
  const runs = data.runs.filter((run) => !hidden.settings.has(run.setting));
  fill("loss-panels", data.terms.filter(({ key }) => !hidden.terms.has(key)).map((term) => panel(term, runs)));
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// The least and the largest value. A reduction, since a function takes fewer arguments than a thousand runs have values.
function extent(values, otherwise) {
  return values.reduce((found, value) => (found ? [Math.min(found[0], value), Math.max(found[1], value)] : [value, value]), null) || otherwise;
}

function panel(term, runs) {
  const width = 320, height = 170, left = 44, right = 6, top = 8, bottom = 22;
  const known = runs.filter((run) => run.curves[term.key]);
  const pointsOf = (curves) => curves.steps.map((step, place) => [step, curves[term.key][place]]).filter(([, value]) => value !== null);
  const lines = known.map((run) => ({ run, points: pointsOf(run.curves) })).filter(({ points }) => points.length);
  const last = Math.max(1, extent(lines.flatMap(({ points }) => points.map(([step]) => step)), [0, 1])[1]);
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value));
  const settled = lines.flatMap(({ points }) => points.filter(([step]) => step >= .05 * last).map(([, value]) => value));
  const [least, most] = extent(values, [0, 1]);
  const logarithmic = least > 0 && most > 20 * least;
  let [low, high] = logarithmic ? [least, most] : extent(settled, [0, 1]);
  if (logarithmic) { low = Math.max(low / 1.2, high / 1e4); high *= 1.1; }
  else { const room = .06 * (high - low || Math.abs(high) || 1); low -= room; high += room; }
  const scale = logarithmic ? Math.log10 : (value) => value;
  const x = (step) => left + (width - left - right) * step / last;
  const y = (value) => top + (height - top - bottom) * (scale(high) - scale(Math.max(value, logarithmic ? low : -Infinity))) / (scale(high) - scale(low));
  const box = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${term.words} over the steps: ` +
    lines.map(({ run, points }) => `${run.name} ends at ${points.at(-1)[1]}`).join("; ") });
  const clip = `clip-${term.key}`;
  box.append(svg("clipPath", { id: clip }, svg("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom })));
  for (const tick of ticks(low, high, logarithmic))
    box.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 6, y: y(tick) + 3, "text-anchor": "end" }, short(tick)));
  for (const tick of ticks(0, last, false))
    box.append(svg("text", { x: x(tick), y: height - 6, "text-anchor": tick > .95 * last ? "end" : "middle" }, short(tick)));
  const path = (points) => points.map(([step, value], place) => `${place ? "L" : "M"}${x(step).toFixed(1)},${y(value).toFixed(1)}`).join("");
  const drawn = svg("g", { "clip-path": `url(#${clip})` });
  const means = settings.map((setting) => ({ setting, of: known.filter((run) => run.setting === setting) })).filter((each) => each.of.length)
    .map(({ setting, of }) => ({ setting, several: of.length > 1, points: pointsOf(of.length > 1 ? data.means[setting] : of[0].curves) }));
  for (const { setting, several } of means)
    if (several) for (const { run, points } of lines)
      if (run.setting === setting) drawn.append(svg("path", { class: "one", d: path(points), stroke: colorOf(setting) }));
  for (const { setting, points } of means) drawn.append(svg("path", { d: path(points), stroke: colorOf(setting) }));
  for (const { run, points } of lines)
    if (run.diverged !== null)
      drawn.append(svg("text", { x: x(points.at(-1)[0]), y: y(points.at(-1)[1]) + 4, "text-anchor": "middle", style: `fill:${colorOf(run.setting)}` }, "×"));
  const cursor = svg("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  box.append(drawn, cursor);
  const readout = h("span", {});
  box.addEventListener("pointermove", (event) => {
    const place = box.getBoundingClientRect();
    const step = last * ((event.clientX - place.left) / place.width * width - left) / (width - left - right);
    const near = means.map(({ setting, points }) => [setting, points.reduce((a, b) => (Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a), points[0])]);
    if (!near.length || step < 0) return;
    cursor.setAttribute("visibility", "visible");
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(near[0][1][0]));
    readout.replaceChildren(`step ${near[0][1][0].toLocaleString("en")}: `, ...near.slice(0, 4).map(([setting, [, value]]) =>
      h("b", { style: { color: colorOf(setting) } }, ` ${Number(value.toPrecision(4))}`)));
  });
  box.addEventListener("pointerleave", () => { cursor.setAttribute("visibility", "hidden"); readout.replaceChildren(); });
  return h("figure", {}, h("figcaption", {}, term.words, readout), box);
}

function ticks(low, high, logarithmic) {
  if (logarithmic) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const digit of [1, 3]) if (digit * 10 ** power >= low && digit * 10 ** power <= high) found.push(digit * 10 ** power);
    return found;
  }
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + 1e-9 * step; tick += step) found.push(Math.abs(tick) < 1e-9 * step ? 0 : tick);
  return found;
}

function short(value) {
  const size = Math.abs(value);
  return size >= 1e6 ? `${Number((value / 1e6).toPrecision(3))}M` : size >= 1e4 ? `${Number((value / 1e3).toPrecision(3))}k` :
    String(Number(value.toPrecision(3))).replace("-", "−");
}

// ---- start ----------------------------------------------------------------------------------------------------------

function show(id, draw) {
  document.getElementById(id).hidden = false;
  draw();
}

if (data.search) show("search", drawSearch);
if (data.scores.all) show("scores", drawScores);
else show("scores", () => { document.getElementById("legend").textContent = "No run has scores."; });
show("ladders", () => { drawPicker(); drawRuns(); });
if (data.terms.length) show("losses", drawLosses);
