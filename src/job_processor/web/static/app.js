// Live pages: on each change the page is asked for again, and what differs is put in its place.
"use strict";

const state = document.getElementById("state");
let still = document.querySelector("[data-still]") !== null; // the answer to a form, or what does not change
let stream = null;
let asking = false;
let again = false;
let left = false; // something new is not shown yet
let timer = 0;
let pause = 1000; // ms until a page that could not be had is asked for once more; it grows

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const PATIENCE = 10000; // ms for which a page keeps still under a pointer that rests
const TARGETS = "a, button, label, summary, input, select, textarea, tr, li:has(a, button)";

// Times are told, and asked for, in the reader's zone.
function zones(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = new Date(time.dateTime).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });
    if (time.matches(".clock")) time.textContent = time.title;
  }
  for (const time of root.querySelectorAll("time[data-clock]")) time.textContent = hour(time.dateTime);
  for (const title of root.querySelectorAll("title[data-at]")) title.textContent = title.textContent.replace(/^\S+ UTC/, hour(title.dataset.at));
  for (const input of root.querySelectorAll("[data-utc]")) {
    if (input.dataset.utc) input.setAttribute("value", local(new Date(`${input.dataset.utc}Z`)));
  }
  for (const input of root.querySelectorAll("[data-zone]")) input.setAttribute("value", ZONE);
  for (const told of root.querySelectorAll("[data-zone-name]")) told.textContent = `(${ZONE})`;
}

function hour(moment) {
  return new Date(moment).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
}

function local(date) {
  return new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

// Whoever is about to press something, or has chosen some of what is there, finds it where it was.
let pointed = 0; // when a pointer last moved over something that can be pressed

function holds(main) {
  return Date.now() - pointed < PATIENCE || main.querySelector("tbody input[type=checkbox]:checked") !== null;
}

let seen = ""; // where a pointer was: a page that moves under one that rests is no sign of somebody

document.addEventListener("pointermove", ({ target, pointerType, screenX, screenY }) => {
  const at = `${screenX} ${screenY}`;
  if (pointerType === "touch" || at === seen) return;
  seen = at;
  const over = target.closest && target.closest(TARGETS);
  if (over && over.closest("#content")) pointed = Date.now();
  else release();
});
document.documentElement.addEventListener("pointerleave", release);

function release() {
  if (!pointed) return;
  pointed = 0;
  if (left) refresh();
}

async function refresh() {
  if (still || document.hidden) return; // who comes back to the page joins again, and is told
  if (asking) { again = true; return; }
  asking = true;
  let missed = true;
  try {
    const offer = document.querySelector("[data-told]"); // what the message above offers; else no message is taken away
    const headers = { accept: "text/html", "job-processor-refresh": offer ? offer.dataset.told : "1" };
    const answer = await fetch(location.href, { headers, cache: "no-store" });
    missed = answer.status === 429 || answer.status >= 500;
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const old = document.getElementById("content");
    const fresh = page.getElementById("content");
    if (!fresh) return;
    zones(fresh);
    if (offer) retell(offer.closest(".told"), page.querySelector(".told"));
    left = merge(old, fresh, { hold: holds(old) });
    show();
    if (fresh.matches("[data-still]") && !left) end();
  } catch (error) {
    // The network, or a server that is away: asked once more.
  } finally {
    asking = false;
    if (missed) later();
    else { pause = 1000; schedule(); }
    if (again) { again = false; setTimeout(refresh, 250); }
  }
}

// What a message offers is not there any more once it would be refused.
function retell(old, fresh) {
  if (!old) return;
  if (fresh) merge(old, fresh);
  else old.remove();
}

// What a page was told of and could not have is not told again.
function later() {
  clearTimeout(timer);
  timer = setTimeout(refresh, pause * (1 + Math.random()));
  pause = Math.min(2 * pause, 30000);
}

// What runs tells its progress, and time passes, without any change of the queue.
function schedule() {
  clearTimeout(timer);
  timer = setTimeout(refresh, left || document.querySelector("[data-running]") ? 1000 : 60000);
}

const heard = {
  open: () => show(true),
  closed: () => show(false),
  change: refresh, // the first comes with the connection, each time it is made
};

function show(on = state.classList.contains("on")) {
  state.textContent = on ? (left ? state.dataset.held : state.dataset.on) : state.dataset.off;
  state.classList.toggle("on", on);
  state.classList.toggle("held", on && left);
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
  if (left && !holds(document.getElementById("content"))) refresh();
});
zones(document);
schedule();
if (!still) listen();
