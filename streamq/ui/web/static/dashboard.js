// What the pages do by themselves: show news as they come, and obey the keyboard. All of them
// work without it; nothing is drawn here that the server has not drawn.
"use strict";

const body = document.body;
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// -- times in the visitor's own zone -------------------------------------------

const sameDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const sameYear = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const anyDay = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

function localTimes(root) {
  const today = new Date();
  for (const time of $$("time[datetime]", root)) {
    const at = new Date(time.dateTime);
    const form = at.toDateString() === today.toDateString() ? sameDay
      : at.getFullYear() === today.getFullYear() ? sameYear : anyDay;
    time.title = time.dateTime;
    time.textContent = form.format(at);
  }
}

// -- news, as server-sent events ------------------------------------------------

let placed = new Map();

function findLive() {
  placed = new Map();
  for (const element of $$("[data-live]")) {
    const known = placed.get(element.dataset.live);
    known ? known.push(element) : placed.set(element.dataset.live, [element]);
  }
}

function show(values) {
  for (const [key, text] of Object.entries(values)) {
    for (const element of placed.get(key) ?? []) {
      if (element.tagName === "path") {
        element.setAttribute("d", text);
      } else {
        element.textContent = text;
        const cell = element.closest("td.n");
        if (cell) cell.classList.toggle("zero", text === "0" || text === "0 s");
      }
    }
  }
}

function link(state, text) {
  const element = $("[data-link]");
  if (!element) return;
  element.className = `link ${state}`;
  const said = $("[data-link-text]", element);
  if (said.textContent !== text) said.textContent = text;
}

function away(why) {
  const element = $("[data-away]");
  element.hidden = !why;
  if (why && element.textContent !== why) element.textContent = why;
}

let events = null;

function listen() {
  if (events || !body.dataset.events) return;
  events = new EventSource(body.dataset.events);
  events.addEventListener("values", (event) => {
    link("on", "live");
    away("");
    show(JSON.parse(event.data));
  });
  events.addEventListener("away", (event) => {
    link("off", "server away");
    away(`The numbers are old. ${JSON.parse(event.data)}`);
  });
  events.addEventListener("shape", (event) => {
    if (JSON.parse(event.data) !== body.dataset.shape) refresh();
  });
  events.onerror = () => {
    link("off", "not live");
    if (events.readyState === EventSource.CLOSED) {
      stop();
      setTimeout(listen, 5000);
    }
  };
}

function stop() {
  if (events) events.close();
  events = null;
}

// A page that nobody sees costs nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stop();
    link("", "not live");
  } else {
    listen();
  }
});
addEventListener("pagehide", stop);
addEventListener("pageshow", listen);

// -- the same page anew, without a jump -------------------------------------------

let refreshing = false;

function busy() {
  const at = document.activeElement;
  return $("main :checked") || (at && at.closest("main form") && at.matches("input")) || $("dialog[open]")
    || !getSelection().isCollapsed;
}

async function refresh() {
  if (refreshing || document.hidden || busy()) return;
  refreshing = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok || busy()) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = $("main"), its = $("main", fresh);
    localTimes(its);
    if (main.innerHTML !== its.innerHTML) {
      const at = document.activeElement, where = $$("a, button, input", main).indexOf(at);
      const open = $$("details[open]", main).length;
      main.replaceChildren(...its.childNodes);
      if (where >= 0) $$("a, button, input", main)[where]?.focus({ preventScroll: true });
      if (!open) for (const one of $$("details[open]", main)) one.open = false;
      findLive();
    }
    body.dataset.shape = fresh.body.dataset.shape ?? "";
    if (!fresh.body.dataset.refresh) clearInterval(timer);
  } catch {
    // the next time, then
  } finally {
    refreshing = false;
  }
}

let timer = 0;
if (body.dataset.refresh) timer = setInterval(refresh, body.dataset.refresh * 1000);

// -- choosing rows -------------------------------------------------------------------

function count(form) {
  const boxes = $$("input[name=id]", form), chosen = boxes.filter((box) => box.checked).length;
  const said = $("[data-chosen]", form);
  if (said) said.textContent = chosen ? `${chosen} chosen` : "none chosen";
  const all = $("[data-all]", form);
  if (all) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
  for (const button of $$(".actions button", form)) button.disabled = !chosen;
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("form");
  if (!form || event.target.type !== "checkbox") return;
  if (event.target.matches("[data-all]")) {
    for (const box of $$("input[name=id]", form)) box.checked = event.target.checked;
  }
  count(form);
});

function prepare() {
  for (const actions of $$(".actions")) count(actions.closest("form"));
}

// -- the menu of groups -----------------------------------------------------------------

const picker = $(".picker");
if (picker) {
  const filter = $(".filter", picker);
  picker.addEventListener("toggle", () => { if (picker.open) filter.focus(); });
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const item of $$("[data-name]", picker)) item.hidden = !item.dataset.name.includes(wanted);
    for (const stream of $$(".of", picker)) stream.hidden = !$("[data-name]:not([hidden])", stream);
  });
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Enter") $("[data-name]:not([hidden]) a", picker)?.click();
  });
  document.addEventListener("click", (event) => {
    if (!picker.contains(event.target)) picker.open = false;
  });
}

// -- the keyboard ---------------------------------------------------------------------------

const pages = { o: "", p: "pending", d: "dead", c: "consumers", l: "limits", s: "scheduled", r: "cron" };
let afterG = 0;

function move(step) {
  const rows = $$("main tr[data-row]");
  if (!rows.length) return;
  const now = rows.findIndex((row) => row.classList.contains("at"));
  const next = rows[Math.min(Math.max(now + step, 0), rows.length - 1)];
  rows[now]?.classList.remove("at");
  next.classList.add("at");
  next.scrollIntoView({ block: "nearest" });
  $("[data-open], input, a", next)?.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (picker?.open) { picker.open = false; $("summary", picker).focus(); }
    return;
  }
  if (event.target.matches("input:not([type=checkbox]), textarea, select") || $("dialog[open]")) return;
  const second = Date.now() - afterG < 1000;
  afterG = 0;
  const row = $("main tr.at");
  if (second && event.key in pages) {
    const link = $$(".top nav a").find((one) => new URL(one.href).pathname.endsWith(`/${pages[event.key]}`)
      || (!pages[event.key] && one === $(".top nav a")));
    location.href = link ? link.href : body.dataset.root + pages[event.key];
  } else if (second && event.key === "g") {
    if (picker) picker.open = true;
  } else if (event.key === "g") {
    afterG = Date.now();
    return;
  } else if (event.key === "/") {
    $(".find input[type=search]").focus();
  } else if (event.key === "?") {
    $("#keys").showModal();
  } else if (event.key === "j") {
    move(1);
  } else if (event.key === "k") {
    move(-1);
  } else if (event.key === "x" && row) {
    $("input[type=checkbox]", row)?.click();
  } else {
    return;
  }
  event.preventDefault();
});

const help = $("[data-help]");
if (help) {
  help.hidden = false;
  help.addEventListener("click", () => $("#keys").showModal());
}

localTimes(document);
findLive();
prepare();
listen();
