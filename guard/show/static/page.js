// Follows the page: takes the parts that have changed, and keeps ages true. Without it the page asks again by itself.
"use strict";
(() => {
  const body = document.body;
  const link = document.getElementById("link");
  const asof = document.getElementById("asof");
  const boot = body.dataset.boot;
  // The server's clock is the one that the times are of.
  const ahead = Number(body.dataset.wall) - Date.now() / 1000;
  const waiting = new Map();

  function say(seconds) {
    const s = Math.max(0, Math.round(seconds));
    if (s < 120) return `${s} s`;
    const steps = [[60, "min", 1, "s"], [3600, "h", 60, "min"], [86400, "d", 3600, "h"]];
    let step = steps[0];
    for (const each of steps) if (s >= 2 * each[0]) step = each;
    const [size, larger, part, smaller] = step;
    const rest = Math.floor((s % size) / part);
    return `${Math.floor(s / size)} ${larger}` + (rest ? ` ${rest} ${smaller}` : "");
  }

  function age(root) {
    const now = Date.now() / 1000 + ahead;
    for (const each of root.querySelectorAll("time[data-since]")) {
      const text = say(now - Number(each.dataset.since));
      if (each.textContent !== text) each.textContent = text;
    }
  }

  function standing(state, words) {
    if (link.dataset.link === state) return;
    link.dataset.link = state;
    link.textContent = words;
  }

  // Whoever is about to copy something must not have it taken away.
  function held(part) {
    const chosen = document.getSelection();
    return chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
  }

  function put(id, html) {
    const part = document.getElementById(id);
    if (!part) return location.reload();
    if (held(part)) return void waiting.set(id, html);
    waiting.delete(id);
    const open = [...part.querySelectorAll("details[open]")].map((each) => each.id);
    const focus = part.contains(document.activeElement) ? document.activeElement.id : "";
    const next = document.createElement("template");
    next.innerHTML = html;
    age(next.content);
    // A live region that says the same again would be read aloud again.
    if (part.innerHTML !== next.innerHTML) part.replaceChildren(next.content);
    for (const each of open) {
      const found = each && document.getElementById(each);
      if (found) found.open = true;
    }
    const found = focus && document.getElementById(focus);
    if (found) found.focus({ preventScroll: true });
  }

  function follow() {
    const source = new EventSource(body.dataset.stream);
    source.addEventListener("boot", (event) => {
      // Another daemon than the one that made this page: perhaps of another version.
      if (JSON.parse(event.data) !== boot) return location.reload();
      standing("live", "(live)");
    });
    source.addEventListener("part", (event) => {
      const { id, html } = JSON.parse(event.data);
      put(id, html);
      const now = new Date(Date.now() + ahead * 1000);
      asof.dateTime = now.toISOString();
      asof.textContent = now.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
    });
    source.addEventListener("error", () => {
      standing("lost", "(the daemon does not answer: this is how it was)");
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
    });
  }

  age(document);
  setInterval(() => {
    age(document);
    for (const [id, html] of waiting) put(id, html);
  }, 1000);
  follow();
})();
