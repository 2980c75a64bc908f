// One stream of the server for all open pages of a browser, which allows six connections a host.
"use strict";

const place = new URL("../live", self.location.href).href;
const pages = new Set(); // the ports of those that somebody looks at
let source = null;
let connected = false;
let timer = 0;

function tell(message) {
  for (const page of pages) page.postMessage(message);
}

function open() {
  source = new EventSource(place);
  source.addEventListener("open", () => { connected = true; tell("open"); });
  source.addEventListener("change", () => tell("change")); // the first comes with the connection
  source.addEventListener("error", () => {
    connected = false;
    tell("closed");
    if (source.readyState === EventSource.CLOSED) later(); // refused: it does not try again by itself
  });
}

function close() {
  if (source) source.close();
  source = null;
  connected = false;
}

function later() {
  close();
  clearTimeout(timer);
  timer = setTimeout(() => { if (pages.size && !source) open(); }, 3000 + 4000 * Math.random());
}

function join(page) {
  pages.add(page);
  clearTimeout(timer);
  if (!source) open();
  else if (connected) { page.postMessage("open"); page.postMessage("change"); }
}

function leave(page) {
  pages.delete(page);
  if (pages.size) return;
  clearTimeout(timer);
  timer = setTimeout(() => { if (!pages.size) close(); }, 2000); // from one page to the next it stays
}

self.addEventListener("connect", (event) => {
  const page = event.ports[0];
  page.addEventListener("message", ({ data }) => (data === "join" ? join(page) : leave(page)));
  page.start();
});
