// Live pages: on each change the page is asked for again, and what differs is put in its place.
"use strict";

const state = document.getElementById("state");
let asking = false;
let again = false;
let timer = 0;

function zones(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = new Date(time.dateTime).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });
  }
}

function busy(main) {
  const active = document.activeElement;
  return main.querySelector("input[type=checkbox]:checked, details[open] textarea")
    || (active && main.contains(active) && active.matches("input, select, textarea"));
}

async function refresh() {
  if (document.querySelector("[data-still]")) return; // the answer to a form cannot be asked for again
  if (document.hidden) { again = true; return; }
  if (asking) { again = true; return; }
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const old = document.getElementById("content");
    const fresh = page.getElementById("content");
    if (!fresh || busy(old)) return;
    zones(fresh);
    if (old.innerHTML !== fresh.innerHTML) merge(old, fresh);
  } catch (error) {
    // The connection heals by itself, and then tells.
  } finally {
    asking = false;
    schedule();
    if (again) { again = false; setTimeout(refresh, 250); }
  }
}

// Replaces the parts that differ, so that focus, scroll positions and what is open stay.
function merge(old, fresh) {
  const ours = [...old.children];
  const theirs = [...fresh.children];
  if (ours.length !== theirs.length || ours.some((each, i) => each.tagName !== theirs[i].tagName)) {
    old.replaceChildren(...fresh.childNodes);
    return;
  }
  ours.forEach((each, i) => {
    if (each.outerHTML !== theirs[i].outerHTML) each.replaceWith(theirs[i]);
  });
}

// What runs tells its progress without any change of the queue.
function schedule() {
  clearTimeout(timer);
  if (document.querySelector("[data-running]")) timer = setTimeout(refresh, 1000);
}

function listen() {
  const source = new EventSource(document.body.dataset.live);
  const tell = (on) => {
    state.textContent = on ? state.dataset.on : state.dataset.off;
    state.classList.toggle("on", on);
  };
  source.addEventListener("open", () => tell(true));
  source.addEventListener("error", () => tell(false));
  source.addEventListener("change", refresh); // the first comes with the connection, each time it is made
}

document.addEventListener("visibilitychange", () => { if (!document.hidden && again) { again = false; refresh(); } });
document.addEventListener("change", (event) => {
  if (event.target.id === "select-all") {
    for (const box of document.querySelectorAll("input[name=ids]")) box.checked = event.target.checked;
  }
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

zones(document);
schedule();
listen();
