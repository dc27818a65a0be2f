"use strict";
// What pages gain by a script: the reader's own time zone, dialogs, a log that fills by itself. Nothing needs it.

// The master shows times in the zone that this cookie names. On the first page, and where the reader has moved, they are
// rewritten here, in the same form: nothing changes its place.
function readersZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  });
  const localise = (t) => {
    const at = new Date(t.dateTime);
    if (isNaN(at)) return;
    const p = Object.fromEntries(parts.formatToParts(at).map((x) => [x.type, x.value]));
    const date = p.year + "-" + p.month + "-" + p.day, time = p.hour + ":" + p.minute;
    t.title = date + " " + time + ":" + p.second + " " + zone;
    t.textContent = "date" in t.dataset ? date : "clock" in t.dataset ? time + ":" + p.second : date + " " + time;
  };
  if (!document.cookie.split("; ").includes("sitekeep-zone=" + zone)) {
    document.cookie = "sitekeep-zone=" + zone + "; Path=/; Secure; SameSite=Strict; Max-Age=31536000";
  }
  const shown = document.getElementById("zone");
  if (shown && shown.textContent !== zone) {
    shown.textContent = zone;
    document.querySelectorAll("time[datetime]").forEach(localise);
  }
  return localise;
}

function openDialogs() {
  document.querySelectorAll("[data-dialog]").forEach((opener) => {
    const dialog = document.getElementById(opener.dataset.dialog);
    if (!dialog || !dialog.showModal) return;
    const open = (e) => { e.preventDefault(); dialog.showModal(); };
    opener.addEventListener("click", open);
    // Else the same key press would go on to the field that gets the focus, and send its form.
    opener.addEventListener("keydown", (e) => { if (e.key === "Enter") open(e); });
    dialog.querySelectorAll("[data-close]").forEach((b) => b.addEventListener("click", (e) => { e.preventDefault(); dialog.close(); }));
  });
}

function offerCopies() {
  if (!navigator.clipboard) return;
  document.querySelectorAll("[data-copy]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      button.textContent = "Copied";
    });
  });
}

function size(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return (i ? n.toFixed(1) : n) + " " + units[i];
}

function span(s) {
  return s < 90 ? Math.ceil(s) + " s" : s < 5400 ? Math.round(s / 60) + " min" : (s / 3600).toFixed(1) + " h";
}

// progressOf shows how far a task is, how fast, and how long it will take: rates are averages that forget.
function progressOf(card) {
  const bar = card.querySelector("progress"), step = document.getElementById("step"), numbers = document.getElementById("numbers");
  let before = null, rate = 0;
  return (t) => {
    const now = performance.now();
    if (!before || before.step !== t.step) rate = 0;
    else if (t.done > before.done && now > before.at) {
      const speed = (t.done - before.done) / (now - before.at) * 1000;
      rate = rate ? rate * 0.7 + speed * 0.3 : speed;
    }
    if (!before || before.done !== t.done || before.step !== t.step) before = { step: t.step, done: t.done, at: now };
    let text = size(t.done) + (t.total ? " of " + size(t.total) : "");
    if (t.files) text += ", " + t.files.toLocaleString("en") + " files";
    if (rate) text += ", " + size(rate) + "/s";
    if (rate && t.total > t.done) text += ", " + span((t.total - t.done) / rate) + " left";
    step.textContent = t.step || "Begins";
    numbers.textContent = text;
    if (t.total) bar.value = Math.round(t.done / t.total * 1000);
    else bar.removeAttribute("value");
  };
}

// linesOf adds lines to a log, each once.
function linesOf(log, localise) {
  const firstError = document.getElementById("first-error");
  let last = log.lastElementChild ? Number(log.lastElementChild.id.slice(5)) : 0;
  return (l) => {
    if (l.line <= last) return;
    last = l.line;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const row = document.createElement("p"), t = document.createElement("time"), text = document.createElement("bdi");
    row.id = "line-" + l.line;
    row.className = ["warning", "error"].includes(l.level) ? l.level : "info";
    t.dateTime = l.time;
    t.dataset.clock = "";
    localise(t);
    text.textContent = l.text;
    row.append(t, " ");
    if (row.className !== "info") {
      const level = document.createElement("b");
      level.textContent = l.level;
      row.append(level, " ");
    }
    row.append(text);
    log.append(row);
    if (l.level === "error" && firstError.hidden) { firstError.hidden = false; firstError.href = "#" + row.id; }
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
}

function follow(log, localise) {
  const line = linesOf(log, localise), progress = progressOf(document.getElementById("progress")), state = document.getElementById("state");
  const source = new EventSource(log.dataset.events);
  log.scrollTop = log.scrollHeight;
  source.addEventListener("line", (e) => line(JSON.parse(e.data)));
  source.addEventListener("task", (e) => {
    const t = JSON.parse(e.data);
    if (state.textContent !== t.state) { state.textContent = t.state; state.className = "state big " + t.class; }
    progress(t);
    if (t.final || t.retry !== log.dataset.retry) { source.close(); location.reload(); } // the page of a task that has ended, or waits, says more
  });
}

const localise = readersZone();
openDialogs();
offerCopies();
const log = document.getElementById("log");
const levels = document.getElementById("levels");
if (levels) {
  levels.disabled = false;
  levels.querySelectorAll("[data-level]").forEach((box) => box.addEventListener("change", () => log.classList.toggle("no-" + box.dataset.level, !box.checked)));
}
if (log && log.dataset.events) follow(log, localise);
