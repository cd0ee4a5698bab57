const data = JSON.parse(document.getElementById("data").textContent);
const NAMES = ["A", "B"];
// start: of A and of B the codes and the image that they come from. from: the name each level is taken from.
const state = { run: data.runs[0], about: null, start: { A: null, B: null }, values: [], from: [], unit: 0 };

// ---- questions to the server ----------------------------------------------------------------------------------------

async function ask(path, body, type = "application/json") {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": type }, body });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

const question = (path, rest = {}) => ask(path, JSON.stringify({ run: state.run, ...rest }));

function say(sentence) {
  const place = document.getElementById("said");
  place.hidden = !sentence;
  place.textContent = sentence || "";
}

// Runs what may fail, and says in a sentence why it did.
async function attempt(action) {
  try {
    await action();
    say("");
  } catch (error) {
    say(error instanceof TypeError ? "The explorer does not answer: is it still running?" : error.message);
  }
}

// One question at a time; of the values that come in between only the last are asked for.
const drawing = { busy: false, again: false, url: null, blob: null };

async function draw() {
  if (drawing.busy) { drawing.again = true; return; }
  drawing.busy = true;
  await attempt(async () => {
    do {
      drawing.again = false;
      drawing.blob = await (await question("/decode", { values: state.values })).blob();
      const image = document.getElementById("image");
      const before = drawing.url;
      image.src = drawing.url = URL.createObjectURL(drawing.blob);
      if (before) URL.revokeObjectURL(before);
      image.dataset.drawn = Number(image.dataset.drawn || 0) + 1;
    } while (drawing.again);
  });
  drawing.busy = false;
}

// ---- runs and starting images ---------------------------------------------------------------------------------------

// What is known of the run; again while its images are being prepared.
async function describe() {
  const run = state.run, about = await (await question("/about")).json();
  if (state.run !== run) return;
  state.about = about;
  document.getElementById("source").textContent = about.source;
  if (about.waits) setTimeout(() => state.run === run && attempt(async () => { await describe(); drawStarts(); }), 1000);
}

async function openRun(run) {
  await attempt(async () => {
    state.run = run;
    await describe();
    drawMoving();
    for (const name of NAMES) state.start[name] = null;
    drawStarts();
    const way = state.about.has_images ? "/random" : "/prior";
    for (const name of NAMES) await start(name, () => question(way));
  });
}

async function start(name, way) {
  await attempt(async () => {
    state.start[name] = await (await way()).json();
    if (name === "A" || !state.values.length) take("A");
    else for (const [place, from] of state.from.entries()) if (from === "B") takeLevel(place, "B", false);
    drawStarts();
    drawLadder();
    await draw();
  });
}

function startFromFile(name, file) {
  if (file.size > data.largest) {
    say(`${file.name} has ${Math.round(file.size / 1e6)} MB; at most ${data.largest >> 20} MB are taken.`);
    return;
  }
  start(name, () => ask(`/file?run=${encodeURIComponent(state.run)}`, file, "application/octet-stream"));
}

function drawStarts() {
  fill("starts", NAMES.map((name) => {
    const { factors, has_images } = state.about;
    const choices = factors.map(({ name: factor, size }) => [factor, h("select", { "aria-label": `${factor} of ${name}` },
      h("option", { value: "" }, "any"), Array.from({ length: size }, (_, value) => h("option", { value }, String(value + 1))))]);
    const byFactors = () => start(name, () => question("/factors", { values: Object.fromEntries(
      choices.filter(([, choice]) => choice.value !== "").map(([factor, choice]) => [factor, Number(choice.value)])) }));
    const open = document.querySelector(`#start-${name} details`)?.open;
    const file = h("input", { type: "file", accept: "image/*", onchange: () => file.files[0] && startFromFile(name, file.files[0]) });
    const card = h("div", { class: "start", id: `start-${name}` },
      h("div", {}, h("img", { alt: `Starting image ${name}`, src: state.start[name] ? state.start[name].image : "data:," }), h("b", {}, name)),
      h("div", { class: "ways" },
        has_images ? h("button", { type: "button", onclick: () => start(name, () => question("/random")) }, "Random") : null,
        h("button", { type: "button", onclick: () => start(name, () => question("/prior")) }, "Prior"),
        h("label", { class: "file" }, "File", file)),
      choices.length ? h("details", { open }, h("summary", {}, "by factors"),
        choices.map(([factor, choice]) => h("label", {}, factor, choice)),
        h("div", { class: "ways" }, h("button", { type: "button", onclick: byFactors }, "Take"))) : null);
    card.addEventListener("dragover", (event) => { event.preventDefault(); card.classList.add("over"); });
    card.addEventListener("dragleave", () => card.classList.remove("over"));
    card.addEventListener("drop", (event) => {
      event.preventDefault();
      card.classList.remove("over");
      if (event.dataTransfer.files[0]) startFromFile(name, event.dataTransfer.files[0]);
    });
    return card;
  }));
}

// ---- units ----------------------------------------------------------------------------------------------------------

// All levels from one image.
function take(name) {
  state.values = [...state.start[name].codes];
  state.from = Array(state.about.levels).fill(name);
}

// The units of one level, the `place`-th from the top, from A or from B.
function takeLevel(place, name, redraw = true) {
  state.from[place] = name;
  state.about.units.forEach((unit, index) => {
    if (unit.level === state.about.levels - place) state.values[index] = state.start[name].codes[index];
  });
  if (redraw) { drawLadder(); draw(); }
}

function drawLadder() {
  const { units, levels } = state.about;
  fill("ladder", Array.from({ length: levels }, (_, place) => {
    const level = levels - place;
    const stands = levels === 1 ? "" : place === 0 ? " · top: most global" : level === 1 ? " · finest" : "";
    const swap = h("span", { class: "group", role: "group", "aria-label": `Take level ${level} from` }, NAMES.map((name) =>
      h("button", { type: "button", "aria-pressed": String(state.from[place] === name), disabled: !state.start[name],
        onclick: () => takeLevel(place, name) }, name)));
    return h("section", { class: "level", style: { "--tone": tone(level, levels) } },
      h("header", {}, h("h2", {}, `level ${level}`, h("span", {}, stands)), h("span", { class: "swap" }, "from", swap)),
      units.map((unit, index) => (unit.level === level ? slider(unit, index) : null)));
  }));
}

function slider(unit, index) {
  const value = state.values[index], edge = Math.max(4, Math.ceil(Math.abs(value)));
  const shown = h("output", {}, signed(value, 2));
  const range = h("input", { type: "range", min: -edge, max: edge, step: .01, value, "aria-label": spokenName(unit),
    oninput: () => { state.values[index] = Number(range.value); shown.textContent = signed(state.values[index], 2); draw(); } });
  const best = unit.dead ? "dead" : unit.best ? `${unit.best[0]} ${Math.round(100 * unit.best[1])} %` : "";
  return h("div", { class: unit.dead ? "unit dead" : "unit" }, unitName(unit), range, shown, h("small", {}, best));
}

function drawMoving() {
  state.unit = 0;
  const choices = state.about.units.map((unit, index) => [String(index), `z ${unit.level},${unit.place}`]);
  fill("moving", "move", select("Unit that the GIF moves", choices, "0", (index) => { state.unit = Number(index); }));
}

// ---- saving ---------------------------------------------------------------------------------------------------------

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

document.getElementById("reset").addEventListener("click", () => { take("A"); drawLadder(); draw(); });
document.getElementById("save").addEventListener("click", () => drawing.blob && save(drawing.blob, `${state.run}.png`));
document.getElementById("animate").addEventListener("click", () => attempt(async () => {
  const { level, place } = state.about.units[state.unit];
  const answer = await question("/animation", { values: state.values, unit: state.unit });
  save(await answer.blob(), `${state.run},z${level}-${place}.gif`);
}));
// A picture that misses its card is not opened in place of the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

document.getElementById("title").textContent = data.title;
document.title = `${data.title} · scaledis explore`;
fill("run", h("label", {}, "run", select("Run", data.runs.map((name) => [name, name]), state.run, openRun)));
openRun(state.run);
