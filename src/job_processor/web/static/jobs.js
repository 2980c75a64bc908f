// The list of jobs by keyboard: j and k from row to row, x selects, / searches; names while one types.
"use strict";

{
  function rows() {
    return [...document.querySelectorAll("#content table.jobs tbody tr")].map((row) => row.querySelector("a"));
  }

  // Focus itself moves, so Enter opens, and whatever keeps the focus over a live update keeps the row.
  function move(step) {
    const all = rows();
    const at = all.findIndex((each) => each.closest("tr").contains(document.activeElement));
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step];
    if (next) next.focus();
  }

  function pick() {
    const row = document.activeElement.closest("table.jobs tbody tr");
    const box = row && row.querySelector("input[name=ids]");
    if (box) box.click();
  }

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    x: pick,
    "/": () => { const box = document.getElementById("search"); box.focus(); box.select(); },
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
    if (event.key === "Escape" && typing && event.target.id === "search") { event.target.blur(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });

  // Where there are more names than the page holds, those that go on as somebody types.
  let asked = "";
  let timer = 0;

  async function complete(input) {
    const list = document.getElementById("names");
    const text = input.value.trim();
    if (!list || !list.dataset.more || !text || text === asked) return;
    asked = text;
    const answer = await fetch(`${list.dataset.more}?like=${encodeURIComponent(text)}`);
    if (!answer.ok || asked !== text) return;
    const { names } = await answer.json();
    list.replaceChildren(...names.map((name) => Object.assign(document.createElement("option"), { value: name })));
  }

  document.addEventListener("input", (event) => {
    if (event.target.getAttribute("list") !== "names") return;
    clearTimeout(timer);
    timer = setTimeout(complete, 150, event.target);
  });
}
