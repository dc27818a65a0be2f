"use strict";
// What pages gain by a script: the reader's own time zone, dialogs, a log that fills by itself. Nothing needs it.
(() => {
  const clock = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const localise = (t) => {
    const at = new Date(t.dateTime);
    if (isNaN(at)) return;
    t.title = at.toISOString() + " – " + zone;
    t.textContent = clock.format(at);
  };
  document.querySelectorAll("time[datetime]").forEach(localise);

  document.querySelectorAll("[data-dialog]").forEach((opener) => {
    const dialog = document.getElementById(opener.dataset.dialog);
    if (!dialog || !dialog.showModal) return;
    opener.addEventListener("click", (e) => { e.preventDefault(); dialog.showModal(); });
    dialog.querySelectorAll("[data-close]").forEach((b) => b.addEventListener("click", (e) => { e.preventDefault(); dialog.close(); }));
  });

  document.querySelectorAll("[data-copy]").forEach((button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      button.textContent = "Copied";
    });
  });

  const log = document.getElementById("log");
  if (!log) return;
  document.querySelectorAll("[data-level]").forEach((box) => {
    box.parentElement.hidden = false;
    box.addEventListener("change", () => log.classList.toggle("no-" + box.dataset.level, !box.checked));
  });
  if (!log.dataset.events) return;

  const size = (n) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
    return (i ? n.toFixed(1) : n) + " " + units[i];
  };
  const span = (s) => s < 90 ? Math.ceil(s) + " s" : s < 5400 ? Math.round(s / 60) + " min" : (s / 3600).toFixed(1) + " h";
  const bar = document.querySelector("#progress progress");
  const firstError = document.getElementById("first-error");
  let last = log.lastElementChild ? Number(log.lastElementChild.id.slice(5)) : 0;
  let before = null, rate = 0;

  const line = (l) => {
    if (l.line <= last) return;
    last = l.line;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const row = document.createElement("p"), t = document.createElement("time"), text = document.createElement("bdi");
    row.id = "line-" + l.line;
    row.className = ["info", "warning", "error"].includes(l.level) ? l.level : "info";
    t.dateTime = l.time;
    localise(t);
    text.textContent = l.text;
    row.append(t, " ", text);
    log.append(row);
    if (l.level === "error" && firstError.hidden) { firstError.hidden = false; firstError.href = "#" + row.id; }
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  const task = (t) => {
    const state = document.getElementById("state");
    if (state.textContent !== t.state) { state.textContent = t.state; state.className = "state big " + t.class; }
    document.getElementById("step").textContent = t.step;
    const now = performance.now();
    if (before && before.step === t.step && t.done > before.done && now > before.at) {
      const speed = (t.done - before.done) / (now - before.at) * 1000;
      rate = rate ? rate * 0.7 + speed * 0.3 : speed;
    } else if (!before || before.step !== t.step) rate = 0;
    if (!before || before.done !== t.done || before.step !== t.step) before = { step: t.step, done: t.done, at: now };
    let text = size(t.done) + (t.total ? " of " + size(t.total) : "");
    if (t.files) text += ", " + t.files.toLocaleString() + " files";
    if (rate) text += ", " + size(rate) + "/s";
    if (rate && t.total > t.done) text += ", " + span((t.total - t.done) / rate) + " left";
    document.getElementById("numbers").textContent = text;
    if (t.total) bar.value = Math.round(t.done / t.total * 1000);
    else bar.removeAttribute("value");
  };

  log.scrollTop = log.scrollHeight;
  const source = new EventSource(log.dataset.events);
  source.addEventListener("line", (e) => line(JSON.parse(e.data)));
  source.addEventListener("task", (e) => {
    const t = JSON.parse(e.data);
    task(t);
    if (t.final) { source.close(); location.reload(); }
  });
})();
