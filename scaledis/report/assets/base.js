"use strict";

// An element from its tag, its attributes and its children. Text is always text: nothing is parsed as HTML.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function fill(id, ...children) {
  document.getElementById(id).replaceChildren(...children.flat(Infinity));
}

function select(label, options, value, onchange) {
  const choice = h("select", { "aria-label": label, onchange: () => onchange(choice.value) },
    options.map(([key, words]) => h("option", { value: key }, words)));
  choice.value = value;
  return choice;
}

// The name of a unit: z with its level and its place.
function unitName(unit) {
  return h("span", { class: "unit-name" }, "z", h("sub", {}, `${unit.level},${unit.place}`));
}

function spokenName(unit) {
  return `unit ${unit.place} of level ${unit.level}`;
}

// A color for a level, dark at the top of the ladder and light at its foot.
function tone(level, levels) {
  const depth = levels > 1 ? (levels - level) / (levels - 1) : 0;
  return `hsl(${212 - 40 * depth} ${62 - 12 * depth}% ${38 + 24 * depth}%)`;
}

function signed(value, digits = 1) {
  return value.toFixed(digits).replace("-", "−");
}
