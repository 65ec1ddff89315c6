import { Window } from "happy-dom";

// vitest's own happy-dom environment cannot load tests from outside the package.
const page = new Window({ url: "https://site.example/" });
Object.assign(globalThis, {
  window: page,
  document: page.document,
  requestAnimationFrame: page.requestAnimationFrame.bind(page),
  cancelAnimationFrame: page.cancelAnimationFrame.bind(page),
});
