// Puts what is new on a page in its place and leaves the rest alone: open panels, focus, selected text, scroll
// positions and what is half typed stay as they are.
"use strict";

const KEPT = ["open", "aria-selected", "tabindex"]; // what a reader, or a script for them, has changed
const FIELDS = "input, select, textarea";

// hold: nothing is inserted, removed or moved, so that nothing slips away under a pointer; texts and states are
// changed where they stand. Returns whether something was left undone.
function merge(old, fresh, { hold = false } = {}) {
  const before = remember(old);
  const merging = new Merging(hold);
  merging.children(old, fresh);
  bringBack(before);
  document.dispatchEvent(new Event("merged"));
  return merging.left;
}

class Merging {
  constructor(hold) {
    this.hold = hold;
    this.left = false;
    this.selection = document.getSelection();
  }

  children(old, fresh) {
    const found = pair(old, fresh);
    if (this.hold) {
      const kept = found.filter(([ours]) => ours);
      if (kept.length !== found.length || kept.length !== old.childNodes.length || !inOrder(kept)) this.left = true;
      kept.forEach(([ours, theirs]) => this.node(ours, theirs));
      return;
    }
    const staying = new Set(found.map(([ours]) => ours));
    for (const each of [...old.childNodes]) if (!staying.has(each)) each.remove();
    let place = old.firstChild;
    for (const [ours, theirs] of found) {
      if (!ours) old.insertBefore(theirs, place);
      else if (ours === place) place = place.nextSibling;
      else move(old, ours, place);
      if (ours) this.node(ours, theirs);
    }
  }

  node(ours, theirs) {
    if (ours.nodeType !== Node.ELEMENT_NODE) {
      if (ours.nodeValue === theirs.nodeValue) return;
      if (this.selects(ours)) this.left = true;
      else ours.nodeValue = theirs.nodeValue;
      return;
    }
    if (ours.isEqualNode(theirs)) return;
    if (ours.matches(FIELDS) && isTouched(ours)) return;
    this.attributes(ours, theirs);
    this.children(ours, theirs);
  }

  attributes(ours, theirs) {
    for (const { name } of [...ours.attributes]) {
      if (!theirs.hasAttribute(name) && !isKept(name)) ours.removeAttribute(name);
    }
    for (const { name, value } of theirs.attributes) {
      if (ours.getAttribute(name) !== value && !isKept(name)) ours.setAttribute(name, value);
    }
  }

  // Whether a selected text begins or ends in this one, and would not be the same afterwards.
  selects(text) {
    const { isCollapsed, anchorNode, focusNode } = this.selection;
    return !isCollapsed && (anchorNode === text || focusNode === text);
  }
}

function isKept(name) {
  return KEPT.includes(name) || name.startsWith("data-own");
}

// A field that somebody is in, or that no longer holds what the page came with.
function isTouched(field) {
  if (field === document.activeElement) return true;
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") {
    const first = [...field.options].findIndex((each) => each.defaultSelected);
    return field.selectedIndex !== Math.max(first, 0);
  }
  return field.type !== "hidden" && field.value !== field.defaultValue;
}

// Each new child with the old one that is the same thing: of the same key, or the next of its kind without one.
function pair(old, fresh) {
  const known = new Map();
  for (const each of old.childNodes) queue(known, keyOf(each)).push(each);
  return [...fresh.childNodes].map((theirs) => [queue(known, keyOf(theirs)).shift(), theirs]);
}

// A row without a key of its own is the one of the first place that it leads to.
function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
  const link = node.matches("tr, li") && !node.dataset.key && !node.id ? node.querySelector("a[href]") : null;
  return `${kind(node)} ${node.dataset.key || node.id || (link ? link.getAttribute("href") : "")}`;
}

function kind(node) {
  return `${node.tagName} ${node.type || ""}`;
}

function queue(queues, name) {
  if (!queues.has(name)) queues.set(name, []);
  return queues.get(name);
}

function inOrder(pairs) {
  return pairs.every(([ours], i) => !i || pairs[i - 1][0].compareDocumentPosition(ours) & Node.DOCUMENT_POSITION_FOLLOWING);
}

function move(parent, node, place) {
  if (parent.moveBefore) parent.moveBefore(node, place); // the focus goes with it
  else parent.insertBefore(node, place);
}

function remember(root) {
  const active = document.activeElement;
  if (!active || active === document.body || !root.contains(active)) return null;
  const around = [];
  for (let each = active.parentElement; each; each = each.parentElement) around.push(each);
  return { active, around, start: active.selectionStart, end: active.selectionEnd, top: active.getBoundingClientRect().top };
}

// What somebody is in has the focus again where it had to be moved, and stands where it stood; where it is gone,
// what was around it has the focus, so that nobody begins at the top of the page.
function bringBack(before) {
  if (!before) return;
  const { active, around, start, end, top } = before;
  if (!active.isConnected) {
    const near = around.find((each) => each.isConnected && each.matches("[tabindex]"));
    if (near) near.focus({ preventScroll: true });
    return;
  }
  if (document.activeElement !== active) {
    active.focus({ preventScroll: true });
    if (typeof start === "number" && active.setSelectionRange) active.setSelectionRange(start, end);
  }
  const moved = active.getBoundingClientRect().top - top;
  if (moved) scrollBy(0, moved);
}
