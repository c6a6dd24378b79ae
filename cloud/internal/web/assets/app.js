// Keeps the first page true: puts in what the city sends, lets ages grow by a
// clock of its own, and says so when the city is gone.
//
// All times are differences of performance.now(): the computer's wall clock may
// be wrong or may jump.

const LOST_AFTER = 4500; // ms without a word; the city speaks every 2000 ms
const body = document.body;
const root = document.documentElement;
const lang = body.dataset.lang;
const $ = (id) => document.getElementById(id);

// The page was made when its first byte came, not when this script ran.
const navigation = performance.getEntriesByType("navigation")[0];
let cityTime = Number(body.dataset.time);
let cityAt = navigation ? navigation.responseStart : performance.now();
let lastWord = performance.now();
let lastID = body.dataset.id;
let source = null;
let retry = 0;
let triedAt = 0; // when the stream was last opened
let wallOffset = Date.now() - performance.now();

// ---- ages ------------------------------------------------------------------

const born = new WeakMap(); // element of an age -> performance.now() of it

function adopt(node, at) {
  for (const el of node.querySelectorAll(".age")) born.set(el, at);
}

function ago(ms) {
  const s = Math.floor(ms / 1000);
  const say = (n, zh, en) => (lang === "en" ? `${n} ${en} ago` : `${n} ${zh}前`);
  if (s < 1) return lang === "en" ? "now" : "刚刚";
  if (s < 60) return say(s, "秒", "s");
  if (s < 3600) return say(Math.floor(s / 60), "分钟", "min");
  if (s < 48 * 3600) return say(Math.floor(s / 3600), "小时", "h");
  return say(Math.floor(s / 86400), "天", "d");
}

function setText(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

function pad(n) {
  return String(n).padStart(2, "0");
}

// clockText says a time of the city, ms since 1970, in Beijing time.
function clockText(ms) {
  const d = new Date(ms + 8 * 3600 * 1000);
  return `${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())} ${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}`;
}

function tick() {
  const now = performance.now();
  for (const el of document.querySelectorAll(".age")) {
    setText(el, ago(Number(el.dataset.age) + now - (born.get(el) ?? now)));
  }
  if (root.classList.contains("live")) setText($("clock"), clockText(cityTime + now - cityAt));
}

// ---- what is shown ---------------------------------------------------------

function parse(html) {
  const t = document.createElement("template");
  t.innerHTML = html; // rendered and escaped by the city's own templates
  adopt(t.content, performance.now());
  return t.content.firstElementChild;
}

// Revisions count within one running of the city: to those of the next they mean
// nothing, and everything that is shown gives way.
const instanceOf = (id) => id.slice(0, id.lastIndexOf("-"));
let instance = instanceOf(lastID);

function meet(id) {
  if (instanceOf(id) === instance) return;
  instance = instanceOf(id);
  for (const el of document.querySelectorAll("[data-rev]")) el.dataset.rev = -1;
}

const revOf = (el) => Number(el?.dataset.rev ?? -1);

function putCenter(m) {
  const old = $(`c-${m.device}`);
  if (!old) return refetch(); // a center that the page has not yet
  if (m.rev < revOf(old)) return;
  const state = old.dataset.state;
  const fresh = parse(m.html);
  old.replaceWith(fresh);
  if (state !== fresh.dataset.state) count();
}

function putAlarms(m) {
  for (const [id, html] of [["open", m.open], ["recent", m.recent]]) {
    const old = $(id);
    if (old && m.rev >= revOf(old)) old.replaceWith(parse(html));
  }
  countAlarms();
}

// putSection replaces a section, and leaves open in it what was.
function putSection(id, m) {
  const old = $(id);
  if (!old || m.rev < revOf(old)) return;
  const fresh = parse(m.html);
  old.querySelectorAll("details").forEach((d, i) => {
    const same = fresh.querySelectorAll("details")[i];
    if (same) same.open = d.open;
  });
  old.replaceWith(fresh);
}

function countAlarms() {
  const n = Number($("open").dataset.total);
  const box = $("n-alarms");
  setText(box.querySelector("b"), String(n));
  box.classList.toggle("some", n > 0);
  document.title = document.title.replace(/^(\(\d+\) )?/, n ? `(${n}) ` : "");
}

function count() {
  const all = {};
  for (const group of document.querySelectorAll(".county")) {
    const here = {};
    for (const card of group.querySelectorAll(".card")) {
      here[card.dataset.state] = (here[card.dataset.state] ?? 0) + 1;
    }
    for (const el of group.querySelectorAll("[data-tally]")) {
      const n = here[el.dataset.tally] ?? 0;
      el.hidden = n === 0;
      setText(el.querySelector("b"), String(n));
      all[el.dataset.tally] = (all[el.dataset.tally] ?? 0) + n;
    }
  }
  for (const el of document.querySelectorAll("[data-count]")) {
    setText(el, String(all[el.dataset.count] ?? 0));
  }
}

function renew(device, what, age, now) {
  const el = $(`c-${device}`)?.querySelector(what);
  if (!el || age < 0) return;
  el.dataset.age = age;
  born.set(el, now);
}

function putBeat(m) {
  if (m.build !== body.dataset.build) return location.reload(); // the city was upgraded
  const now = performance.now();
  cityTime = Date.parse(m.time);
  cityAt = now;
  for (const [device, age] of Object.entries(m.heard)) {
    renew(device, ".heard", age, now);
    renew(device, ".asof", m.asOf?.[device] ?? age, now);
  }
}

// refetch replaces everything by a fresh page, but keeps what came meanwhile
// and is younger.
let fetching = null;
function refetch() {
  fetching ??= load()
    .catch(() => setTimeout(refetch, 2000))
    .finally(() => {
      fetching = null;
    });
}

async function load() {
  const answer = await fetch(`/?lang=${lang}`, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (page.body.dataset.build !== body.dataset.build) return location.reload();
  meet(page.body.dataset.id);
  const main = document.importNode(page.getElementById("main"), true);
  adopt(main, performance.now());
  for (const fresh of main.querySelectorAll("[data-rev]")) {
    const old = $(fresh.id);
    if (old && revOf(old) > revOf(fresh)) fresh.replaceWith(old);
  }
  $("main").replaceWith(main);
  count();
  countAlarms();
  tick();
}

// ---- the stream ------------------------------------------------------------

function word(event) {
  lastWord = performance.now();
  if (event.lastEventId) meet((lastID = event.lastEventId));
  if (!root.classList.contains("live")) {
    const back = root.classList.contains("lost");
    root.classList.remove("waiting", "lost");
    root.classList.add("live");
    if (back) refetch();
  }
}

function lost() {
  if (root.classList.contains("lost")) return;
  root.classList.remove("waiting", "live");
  root.classList.add("lost");
  setText($("lost-at"), clockText(cityTime + lastWord - cityAt));
}

function connect() {
  source?.close();
  triedAt = performance.now();
  source = new EventSource(`/api/v1/stream?html=${lang}&after=${encodeURIComponent(lastID)}`);
  const on = (name, f) =>
    source.addEventListener(name, (event) => {
      word(event);
      retry = 0;
      f(JSON.parse(event.data));
    });
  on("beat", putBeat);
  on("center", putCenter);
  on("alarms", putAlarms);
  on("incidents", (m) => putSection("incidents", m));
  on("letters", (m) => putSection("letters", m));
  on("alarm", () => {});
  on("incident", () => {});
  on("resync", refetch);
  // The browser's own reconnecting gives up on some errors; ours never does.
  source.onerror = () => {
    source.close();
    source = null;
    lost();
    setTimeout(connect, Math.min(5000, 500 * 2 ** retry++) * (0.5 + Math.random()));
  };
}

setInterval(() => {
  const now = performance.now();
  const offset = Date.now() - now;
  const jumped = Math.abs(offset - wallOffset) > LOST_AFTER; // it slept, or its clock was set
  wallOffset = offset;
  if (now - lastWord < LOST_AFTER && !jumped) return;
  lost();
  // Half-open, or a connection that never comes about: only we know.
  if (source && (jumped || now - triedAt > LOST_AFTER)) connect();
}, 250);

// A page from the browser's memory is old, whatever it looks like.
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    lost();
    connect();
  }
});

const only = $("only");
only.hidden = false;
only.addEventListener("click", () => {
  const on = body.classList.toggle("problems");
  only.setAttribute("aria-pressed", String(on));
});

adopt(document, cityAt);
count();
countAlarms();
tick();
setInterval(tick, 1000);
connect();
