// SPDX-FileCopyrightText: 2026 netfleet.conntrack contributors
// SPDX-License-Identifier: GPL-3.0-or-later
"use strict";
// The page is complete without this. Here are the filters, the values of routers that are as wanted, and light or dark.

const root = document.documentElement;
const form = document.getElementById("filters");
const grid = document.getElementById("grid");
const data = JSON.parse(document.getElementById("data").textContent);
const fresh = new Set(data.fresh);
const columns = new CSSStyleSheet(); // which columns of the matrix are hidden
const rows = new Map(); // number of a router -> all elements that tell of it
let texts = null; // number of a router -> what it can be found by; made at the first search
let waiting = 0;

function make(name, attributes, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside); // texts become text nodes, whatever they say
  return made;
}

function remember(element) {
  const number = Number(element.dataset.h);
  if (!rows.has(number)) rows.set(number, []);
  rows.get(number).push(element);
}

// Filters

function wanted() {
  const chosen = new FormData(form);
  return {
    words: chosen.get("text").toLowerCase().split(/\s+/).filter(Boolean),
    statuses: new Set(chosen.getAll("status")),
    fresh: chosen.has("fresh"),
    narrow: chosen.has("narrow"),
    value: chosen.get("value"),
  };
}

function textsOfAll() {
  texts ??= data.status.map((status, number) =>
    (rows.get(number) || []).map((element) => element.textContent).join(" ").toLowerCase() + " " + status);
  return texts;
}

function isOfValue(place, value) {
  return value === "c" + place || value === "p" + data.columns[place][0];
}

function fits(number, want) {
  if (want.statuses.size && !want.statuses.has(data.status[number])) return false;
  if (want.fresh && !fresh.has(number)) return false;
  if (want.value && !data.differing[number].some((place) => isOfValue(place, want.value))) return false;
  return want.words.every((word) => textsOfAll()[number].includes(word));
}

function filter() {
  const want = wanted();
  let seen = 0;
  for (let number = 0; number < data.status.length; number += 1) {
    const hidden = !fits(number, want);
    seen += !hidden;
    for (const element of rows.get(number) || []) {
      if (element.hidden !== hidden) element.hidden = hidden;
    }
  }
  narrow(want);
  tell(seen);
}

function tell(seen) {
  const all = data.status.length;
  const text = seen === all ? `All ${all.toLocaleString("en")} routers are shown.` : `${seen.toLocaleString("en")} of ${all.toLocaleString("en")} routers are shown.`;
  const told = document.getElementById("told");
  if (told.textContent !== text) told.textContent = text;
}

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(filter, 60);
}

// Columns

function narrow(want) {
  const shown = data.columns.map(([, hosts], place) => (want.value ? isOfValue(place, want.value) : !want.narrow || hosts > 0));
  const key = shown.join();
  if (grid.dataset.shown === key) return;
  grid.dataset.shown = key;
  const hidden = shown.flatMap((is, place) => (is ? [] : [`.heads>:nth-child(${place + 1}),#grid .c>:nth-child(${place + 2})`]));
  columns.replaceSync(hidden.length ? hidden.join(",") + "{display:none}" : "");
  span(shown);
}

function span(shown) {
  for (const head of grid.querySelectorAll("[data-part]")) {
    const many = shown.filter((is, place) => is && data.columns[place][0] === head.dataset.part).length;
    head.hidden = !many;
    head.colSpan = many || 1;
  }
  const all = shown.filter(Boolean).length + 1;
  for (const cell of grid.querySelectorAll(".whole")) cell.colSpan = all;
}

// One router

function table(kind, places) {
  const [title, heads] = data.heads[kind];
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = places.map((place) => make("tr", {}, ...data.pool[place].map((text, index) => (index ? make("td", {}, text) : make("th", { scope: "row" }, text)))));
  const inside = make("table", { class: "list" }, make("thead", {}, head), make("tbody", {}, ...body));
  const box = make("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": title }, inside);
  return [make("h3", { class: "list" }, title), box];
}

function complete(details) {
  if (details.dataset.full) return;
  details.dataset.full = "1";
  const host = data.hosts[details.dataset.h];
  const inside = details.querySelector(".inside");
  for (const [kind, places] of Object.entries(host.tables)) inside.append(...table(kind, places));
}

function factsOf(host) {
  const pairs = host.facts.map((place) => data.pool[place]);
  return make("dl", { class: "facts" }, ...pairs.map(([word, text]) => make("div", {}, make("dt", {}, word), make("dd", {}, text))));
}

function ask(number) {
  const row = grid.querySelector(`tr[data-h="${number}"]`);
  const name = row.querySelector("a").textContent;
  const status = data.status[number];
  const summary = make("summary", {}, make("span", { class: "pill " + status }, status), " ", make("bdi", { class: "name" }, name));
  const made = make("details", { class: "host " + status, "data-h": number }, summary, make("div", { class: "inside" }, factsOf(data.hosts[number])));
  row.removeAttribute("id");
  made.id = "h" + number;
  document.getElementById("asked").append(made);
  remember(made);
  return made;
}

function reveal(hash, scroll) {
  const found = /^#h(\d+)(v\d+)?$/.exec(hash);
  if (!found || !(found[1] in data.status)) return false;
  const details = document.querySelector(`details[data-h="${found[1]}"]`) || ask(found[1]);
  details.open = true;
  complete(details);
  const target = document.getElementById(hash.slice(1)) || details;
  if (scroll) target.scrollIntoView({ block: "start" });
  details.querySelector("summary").focus({ preventScroll: true });
  return true;
}

function follow(event) {
  const link = event.target.closest('a[href^="#h"]');
  if (link) reveal(link.hash, false); // before the browser looks for the place
}

// Light and dark, print, keyboard

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function labelTheme() {
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
}

function turnTheme() {
  root.dataset.theme = isDark() ? "light" : "dark";
  labelTheme();
}

function slash(event) {
  if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
  event.preventDefault();
  form.elements.text.focus();
}

function begin() {
  root.classList.add("js");
  document.querySelectorAll("[data-h]").forEach(remember);
  for (const element of document.querySelectorAll("#theme, #more, #told, .tile input")) element.hidden = false;
  document.adoptedStyleSheets = [columns];
  form.addEventListener("input", soon);
  form.addEventListener("reset", soon);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", follow);
  document.addEventListener("keydown", slash);
  document.addEventListener("toggle", (event) => event.target.matches("details.host") && event.target.open && complete(event.target), true);
  addEventListener("hashchange", () => reveal(location.hash, true));
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([hidden])").forEach((details) => { details.open = true; }));
  document.getElementById("theme").addEventListener("click", turnTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", labelTheme);
  labelTheme();
  filter();
  reveal(location.hash, true);
}

begin();
