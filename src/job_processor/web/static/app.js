// Live pages: on each change the page is asked for again, and what differs is put in its place.
"use strict";

const state = document.getElementById("state");
let still = document.querySelector("[data-still]") !== null; // the answer to a form, or what does not change
let stream = null;
let asking = false;
let again = false;
let timer = 0;
let pause = 1000; // ms until a page that could not be had is asked for once more; it grows

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
  if (still || document.hidden) return; // who comes back to the page joins again, and is told
  if (asking) { again = true; return; }
  asking = true;
  let missed = true;
  try {
    const headers = { accept: "text/html", "job-processor-refresh": "1" }; // it takes no message away
    const answer = await fetch(location.href, { headers, cache: "no-store" });
    missed = answer.status === 429 || answer.status >= 500;
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const old = document.getElementById("content");
    const fresh = page.getElementById("content");
    missed = Boolean(fresh && busy(old));
    if (!fresh || missed) return;
    zones(fresh);
    if (old.innerHTML !== fresh.innerHTML) merge(old, fresh);
    if (fresh.matches("[data-still]")) end();
  } catch (error) {
    // The network, or a server that is away: asked once more.
  } finally {
    asking = false;
    if (missed) later();
    else { pause = 1000; schedule(); }
    if (again) { again = false; setTimeout(refresh, 250); }
  }
}

// What a page was told of and could not have is not told again.
function later() {
  clearTimeout(timer);
  timer = setTimeout(refresh, pause * (1 + Math.random()));
  pause = Math.min(2 * pause, 30000);
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

const heard = {
  open: () => show(true),
  closed: () => show(false),
  change: refresh, // the first comes with the connection, each time it is made
};

function show(on) {
  state.textContent = on ? state.dataset.on : state.dataset.off;
  state.classList.toggle("on", on);
}

// All pages of a browser share one stream; one that nobody looks at has no part in it.
function listen() {
  stream = typeof SharedWorker === "undefined" ? ownStream() : sharedStream(() => {
    stream = ownStream();
    join();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? stream.leave() : join()));
  addEventListener("pagehide", () => stream.leave());
  addEventListener("pageshow", (event) => { if (event.persisted) join(); });
  join();
}

function join() {
  if (!still && !document.hidden) stream.join();
}

// A job that has settled does not change any more, and its page may be a large one.
function end() {
  still = true;
  stream.leave();
}

function sharedStream(onFailure) {
  const worker = new SharedWorker(document.body.dataset.worker);
  worker.addEventListener("error", onFailure);
  worker.port.addEventListener("message", ({ data }) => heard[data]());
  worker.port.start();
  return { join: () => worker.port.postMessage("join"), leave: () => worker.port.postMessage("leave") };
}

// Where pages can share nothing, as in Chrome on Android.
function ownStream() {
  let source = null;
  const leave = () => { if (source) source.close(); source = null; };
  const join = () => {
    leave();
    source = new EventSource(document.body.dataset.live);
    source.addEventListener("open", heard.open);
    source.addEventListener("change", heard.change);
    source.addEventListener("error", () => {
      heard.closed();
      if (source && source.readyState === EventSource.CLOSED) setTimeout(() => { if (source && !document.hidden) join(); }, 5000);
    });
  };
  return { join, leave };
}

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
if (!still) listen();
