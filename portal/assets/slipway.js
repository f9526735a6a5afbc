// The two things that a page does by itself: the preview beside the request
// form while somebody types, and the page of a request that follows what happens.
// Both fetch HTML that the server made from the same templates; nothing is made here.
"use strict";

function preview(form) {
  const panel = document.getElementById("preview");
  const status = document.getElementById("preview-status");
  const touched = new Set();
  let timer, running, said = "";

  form.addEventListener("focusout", (e) => { if (e.target.name) touched.add(e.target.name); });
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 350); });
  if ([...form.elements].some((el) => el.type === "text" && el.value)) ask();

  async function ask() {
    if (running) running.abort();
    const mine = running = new AbortController();
    panel.parentElement.classList.add("busy");
    try {
      const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)), signal: mine.signal });
      if (answer.redirected || answer.status === 401) { location.reload(); return; }
      if (answer.ok) show(await answer.text());
    } catch (e) {
      // Aborted by the next keystroke, or the network is away: the next keystroke asks again.
    }
    if (running === mine) panel.parentElement.classList.remove("busy");
  }

  function show(html) {
    panel.replaceChildren(new DOMParser().parseFromString(html, "text/html").body);
    panel.replaceChildren(...panel.firstElementChild.childNodes);
    form.querySelectorAll(".notes").forEach((n) => n.replaceChildren());
    form.querySelectorAll("[aria-invalid]").forEach((n) => n.removeAttribute("aria-invalid"));
    panel.querySelectorAll("[data-field]").forEach(note);
    const line = panel.querySelector("[data-say]");
    const say = line ? line.dataset.say : "";
    if (say !== said) status.textContent = said = say; // once a change, not once a keystroke
  }

  // What is about one field is shown there too, once its field has been left.
  function note(item) {
    const field = document.getElementById(item.dataset.field);
    const notes = document.getElementById(item.dataset.field + "-notes");
    if (!field || !notes || !touched.has(field.name) || item.classList.contains("info")) return;
    const p = document.createElement("p");
    if (item.dataset.error) {
      p.className = "error";
      p.textContent = item.dataset.error;
      field.setAttribute("aria-invalid", "true");
    } else {
      p.className = "note " + (item.classList.contains("deny") ? "deny" : "warn");
      p.textContent = [...item.querySelectorAll(".message, .help")].map((n) => n.textContent).join(" ");
    }
    notes.append(p);
  }
}

function follow(region) {
  const status = document.getElementById("live-status");
  let misses = 0;
  look();

  async function look() {
    const address = region.dataset.live + "?seen=" + encodeURIComponent(region.dataset.seen);
    try {
      const answer = await fetch(address, { redirect: "error" });
      if (answer.status === 200) { misses = 0; if (!show(await answer.text())) return; }
      else if (answer.status === 204) misses = 0;
      else if (++misses > 5) return;
    } catch (e) {
      if (++misses > 5) return;
    }
    setTimeout(look, misses ? 2000 * misses : 250);
  }

  // Says whether to go on looking.
  function show(html) {
    const fragment = new DOMParser().parseFromString(html, "text/html").querySelector(".fragment");
    if (!fragment) return false;
    const writing = region.contains(document.activeElement) && document.activeElement !== document.body ||
      [...region.querySelectorAll("textarea, input:not([type=hidden])")].some((el) => el.value !== el.defaultValue);
    status.textContent = fragment.dataset.say;
    if (writing) {
      document.getElementById("live-note").hidden = false;
      return false;
    }
    const open = [...region.querySelectorAll("details")].map((d) => d.open);
    region.replaceChildren(fragment);
    region.querySelectorAll("details").forEach((d, i) => { d.open = open[i]; });
    region.dataset.seen = fragment.dataset.version;
    return fragment.dataset.live === "true";
  }
}

const form = document.querySelector("form[data-preview]");
if (form) preview(form);
const region = document.querySelector("[data-live]");
if (region && region.id === "change") follow(region);

// A page that says what went wrong is read from there.
const wrong = document.getElementById("errors") || document.getElementById("problem");
if (wrong) wrong.focus();
