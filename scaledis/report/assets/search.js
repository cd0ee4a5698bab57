
// ---- the search -----------------------------------------------------------------------------------------------------

const MARKS = { complete: "●", pruned: "×", failed: "!", running: "○" };
const told = { at: null, marks: [] }; // the trial that is told, and of every chart a function that marks it
const pixel = (value) => value.toFixed(1);

function drawSearch() {
  const found = data.search;
  document.getElementById("search-sentence").textContent = found.sentence;
  document.getElementById("search-which").textContent = found.which;
  drawCharts();
  fill("search-tables", found.front.length ? trialTable("The Pareto front", found.front) : [],
    trialTable(found.ranked.length ? "The best trials" : "The first trials", found.table));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawCharts(); } });
}

function drawCharts() {
  const found = data.search, charts = document.getElementById("search-charts"), keys = document.getElementById("search-keys");
  told.marks.length = 0;
  charts.replaceChildren(h("div", { id: "search-main" }), importance(found));
  const main = document.getElementById("search-main");
  main.replaceChildren(...(found.best.length > 1 ? found.best.slice(1).map((_, n) => scatter(found, n + 1, main.clientWidth)) :
    [bestSoFar(found, main.clientWidth)]));
  keys.replaceChildren(found.ranked.length ? parallel(found, keys.clientWidth) :
    h("p", { class: "note" }, "The keys over the objective are drawn once a trial is complete."));
  tell(told.at);
}

function wordsOf(trial) {
  const { heads } = data.search, last = heads.length - 1;
  const cells = trial.cells.slice(1, last).map((cell, n) => `${heads[n + 1]} ${cell}`);
  return `trial ${trial.number}, ${trial.state}${trial.why ? ` (${trial.why})` : ""}: ${cells.join(", ")}`;
}

function tell(at) {
  told.at = at;
  document.getElementById("search-told").textContent = at === null ?
    "Point at a trial, or focus a chart and use the arrow keys." : wordsOf(data.search.trials[at]);
  for (const mark of told.marks) mark(at);
}

// A drawing whose trials are told one by one: by the pointer, the `nearest` one, or by the arrow keys, in an order.
function chart(width, height, label, order, nearest, mark) {
  const box = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, tabindex: 0, role: "slider",
    "aria-label": label, "aria-valuemin": 0, "aria-valuemax": Math.max(order.length - 1, 0) });
  const point = (event) => {
    const place = box.getBoundingClientRect(), scale = width / place.width;
    const at = nearest((event.clientX - place.left) * scale, (event.clientY - place.top) * scale);
    if (at !== null) tell(at);
  };
  box.addEventListener("pointermove", point);
  box.addEventListener("pointerdown", point);
  box.addEventListener("focus", () => { if (told.at === null && order.length && box.matches(":focus-visible")) tell(order[0]); });
  box.addEventListener("keydown", (event) => {
    const now = order.indexOf(told.at), last = order.length - 1;
    const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    tell(order[Math.max(0, Math.min(last, to))]);
  });
  told.marks.push((at) => {
    box.setAttribute("aria-valuenow", Math.max(order.indexOf(at), 0));
    box.setAttribute("aria-valuetext", at === null ? "no trial" : wordsOf(data.search.trials[at]));
    mark(at);
  });
  return box;
}

function closest(several, x, y, of) {
  let best = null, least = Infinity;
  for (const at of several) {
    const [px, py] = of(at), distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [best, least] = [at, distance];
  }
  return best;
}

const written = (x, y, anchor, text, attributes = {}) => svg("text", { x: pixel(x), y: pixel(y), "text-anchor": anchor, ...attributes }, text);
const titled = (element, title) => { element.append(svg("title", {}, title)); return element; };
const cut = (text, room, letter = 6) => (text.length * letter > room ? `${text.slice(0, Math.max(1, Math.floor(room / letter) - 1))}…` : text);

// The ring around the trial that is told.
function ring(of) {
  const circle = svg("circle", { class: "ring", r: 6, visibility: "hidden" });
  return [circle, (at) => {
    const where = at === null ? null : of(at);
    circle.setAttribute("visibility", where ? "visible" : "hidden");
    if (where) { circle.setAttribute("cx", where[0]); circle.setAttribute("cy", where[1]); }
  }];
}

function grid(box, ticks, left, right, y) {
  for (const [place, words] of ticks)
    box.append(svg("line", { class: "grid", x1: left, x2: right, y1: pixel(y(place)), y2: pixel(y(place)) }),
      written(left - 6, y(place) + 3.5, "end", words));
}

function beyond(found, axis) {
  const count = found.beyond[axis - found.keys];
  return count ? `${count} much worse trial${count > 1 ? "s lie" : " lies"} at the edge. ` : "";
}

function legend(found, line) {
  const states = [...new Set(found.trials.map((trial) => trial.state))];
  return h("p", { class: "note legend" }, line, Object.keys(MARKS).filter((state) => states.includes(state)).map((state) =>
    h("span", {}, h("b", { class: state, "aria-hidden": "true" }, MARKS[state]), ` ${state}`)));
}

function bestSoFar(found, width) {
  const height = found.ranked.length ? 270 : 84, left = 58, right = width - 12, top = 12, foot = height - 44, lane = height - 28;
  const value = found.keys, word = found.words[value];
  const x = (place) => left + 8 + (right - left - 16) * place, y = (place) => foot - 6 - (foot - top - 12) * place;
  const of = (at) => [x(found.trials[at].x), found.trials[at].places[value] === null ? lane : y(found.trials[at].places[value])];
  const all = found.trials.map((_, at) => at), [circle, mark] = ring(of);
  const end = found.so_far.length ? found.trials[found.so_far.at(-1)] : null;
  const box = chart(width, height, `${word} of each trial, in their order` + (end ? `; the best is trial ${end.number}` : ""), all,
    (px, py) => closest(all, px, py, of), mark);
  grid(box, found.ranked.length ? found.ticks[value] : [], left, right, y);
  for (const [place, words] of found.numbers)
    box.append(written(x(place), height - 6, "middle", words));
  const steps = found.so_far.map((at, n) => (n ? `H${pixel(of(at)[0])}V${pixel(of(at)[1])}` : `M${of(at).map(pixel)}`));
  for (const at of all) {
    const [px, py] = of(at), { state } = found.trials[at];
    box.append(state === "complete" ? svg("circle", { class: "complete", cx: pixel(px), cy: pixel(py), r: 3 }) :
      written(px, py + 4, "middle", MARKS[state], { class: state }));
  }
  if (steps.length) box.append(svg("path", { class: "line", d: `${steps.join("")}H${pixel(right)}` }));
  box.append(circle);
  return h("figure", {}, h("figcaption", {}, `${word} over the trials`), box,
    h("p", { class: "note" }, beyond(found, value)), legend(found, end && h("span", {}, h("i", { class: "stroke" }), " best so far")));
}

function scatter(found, other, width) {
  const height = 300, left = 62, right = width - 16, top = 14, foot = height - 46, first = found.keys, second = first + other;
  const x = (place) => left + 8 + (right - left - 16) * place, y = (place) => foot - 6 - (foot - top - 12) * place;
  const of = (at) => [x(found.trials[at].places[first]), y(found.trials[at].places[second])];
  const [circle, mark] = ring((at) => (found.trials[at].places[first] === null ? null : of(at)));
  const names = [found.words[first], found.words[second]];
  const box = chart(width, height, `${names[1]} over ${names[0]}; the Pareto front is trials ` +
    found.front.map((at) => found.trials[at].number).join(", "), found.front, (px, py) => closest(found.ranked, px, py, of), mark);
  grid(box, found.ranked.length ? found.ticks[second] : [], left, right, y);
  for (const [place, words] of found.ranked.length ? found.ticks[first] : [])
    box.append(written(x(place), height - 26, "middle", words));
  box.append(written((left + right) / 2, height - 6, "middle", names[0], { class: "name" }));
  const front = new Set(found.front);
  if (found.best.length === 2)
    box.append(svg("path", { class: "line", d: found.front.map((at, n) =>
      (n ? `H${pixel(of(at)[0])}V${pixel(of(at)[1])}` : `M${of(at).map(pixel)}`)).join("") }));
  for (const at of found.ranked)
    box.append(svg("circle", { class: front.has(at) ? "front" : "complete", cx: pixel(of(at)[0]), cy: pixel(of(at)[1]), r: front.has(at) ? 4 : 3 }));
  box.append(circle);
  return h("figure", {}, h("figcaption", {}, `${names[1]} over ${names[0]}`), box,
    h("p", { class: "note" }, beyond(found, first), beyond(found, second)),
    h("p", { class: "note legend" }, h("span", {}, h("b", { class: "front", "aria-hidden": "true" }, "●"), " Pareto front"),
      h("span", {}, h("b", { class: "complete", "aria-hidden": "true" }, "●"), " other complete trials")));
}

function importance(found) {
  const known = Object.entries(found.importance);
  const table = ([name, keys]) => h("table", { class: "importance", "aria-label": `Share of the variance of ${name} that each key explains` },
    known.length > 1 && h("caption", {}, name), h("tbody", {}, Object.entries(keys).map(([key, share]) => h("tr", {},
      h("th", { scope: "row" }, key), h("td", {}, h("div", { class: "part" }, h("i", { style: { width: `${100 * share}%` } }))),
      h("td", {}, percent(share))))));
  return h("figure", {}, h("figcaption", {}, "Importance of the keys"), known.map(table),
    h("p", { class: "note" }, known.length ? "Share of the variance over the trials that each key explains." : found.unknown));
}

// Parallel coordinates: a line a complete trial, through its value on each axis.
function parallel(found, room) {
  const count = found.words.length, left = 76, last = 28, top = 34, height = 300, foot = height - 16;
  const width = Math.max(room, left + last + 116 * (count - 1)), gap = (width - left - last) / Math.max(count - 1, 1);
  const x = (axis) => left + gap * axis, y = (place) => foot - (foot - top) * place;
  const pathOf = (at) => {
    let down = false;
    return found.trials[at].places.map((place, axis) => {
      const step = place === null ? "" : `${down ? "L" : "M"}${pixel(x(axis))},${pixel(y(place))}`;
      down = place !== null;
      return step;
    }).join("");
  };
  const nearest = (px, py) => {
    const axis = Math.max(0, Math.min(count - 2, Math.floor((px - left) / gap))), part = (px - x(axis)) / gap;
    return closest(found.ranked, 0, py, (at) => {
      const [a, b] = found.trials[at].places.slice(axis, axis + 2);
      return [0, a === null || b === null || a === undefined || b === undefined ? Infinity : y(a + (b - a) * Math.max(0, Math.min(1, part)))];
    });
  };
  const one = svg("path", { class: "one" });
  const box = chart(width, height, `The complete trials over ${found.words.join(", ")}, the best first`, found.ranked, nearest,
    (at) => one.setAttribute("d", at === null ? "" : pathOf(at)));
  box.style.setProperty("min-width", `${width > room ? width : 0}px`);
  for (const at of found.ranked.toReversed())
    box.append(svg("path", { class: "trial", d: pathOf(at), style: `--share:${(.08 + .92 * found.trials[at].strength ** 4).toFixed(3)}` }));
  box.append(one);
  found.words.forEach((words, axis) => {
    box.append(svg("line", { class: "axis", x1: pixel(x(axis)), x2: pixel(x(axis)), y1: top, y2: foot }),
      titled(written(x(axis) + (axis === count - 1 ? last : 0), 14, axis === count - 1 ? "end" : "middle", cut(words, gap - 10, 6.4),
        { class: "name" }), found.titles[axis]));
    for (const [place, tick] of found.ticks[axis])
      box.append(titled(written(x(axis) - 5, y(place) + 3.5, "end", cut(tick, Math.min(gap * .7, 70)), { class: "tick" }), tick));
  });
  return h("figure", {}, h("figcaption", {}, "The keys of the space"),
    h("div", { class: "wide", tabindex: width > room ? 0 : null, role: "region", "aria-label": "The keys of the space" }, box),
    h("p", { class: "note" }, `Each line is a complete trial; the better it is by ${found.words[found.keys]}, the stronger is its color.`));
}

function trialTable(title, several) {
  const { heads, trials, best, keys } = data.search, last = heads.length - 1, titles = data.search.titles.slice(0, keys);
  return [h("h3", {}, title), h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": title }, h("table", { class: "trials" },
    h("thead", {}, h("tr", {}, heads.map((head, n) => h("th", { scope: "col", title: titles[n - 1 - best.length] }, head)))),
    h("tbody", {}, several.map((at) => h("tr", { onpointerenter: () => tell(at) }, trials[at].cells.map((cell, n) =>
      (n ? h("td", { title: cell }, cell, n === last && trials[at].why && h("small", {}, trials[at].why)) : h("th", { scope: "row" }, cell))))))))];
}
