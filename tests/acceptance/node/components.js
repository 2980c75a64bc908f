// The React components of the Node package in a page: `show(name, properties)` renders one of them, at once.

import { createElement } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";

import * as components from "job-processor/dist/react.js";

let root = null;

window.show = (name, properties) => {
  root?.unmount();
  root = createRoot(document.getElementById("root"));
  flushSync(() => root.render(createElement(components[name], properties)));
};
