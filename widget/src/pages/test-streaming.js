import { AnswerFailure } from "../answer/failure.js";
import { openStore } from "../site/session.js";
import { make } from "../ui/dom.js";
import { drawGaps } from "./gaps-chart.js";
import { loadModels, measure } from "./measure.js";
import { describeBuffering, toGaps, toPercentiles } from "./stats.js";

/** @typedef {import("./stats.js").Run} Run */
/** @typedef {"stream" | "whole"} Mode */

const MODE_NAMES = { stream: "Streaming", whole: "Non-streaming" };
const MOST_REPEATS = 100;

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
function find(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) {
    throw new TypeError(`the page has no ${kind.name} '${id}'`);
  }
  return element;
}

const keyField = find("key", HTMLInputElement);
const modelField = find("model", HTMLInputElement);
const questionField = find("question", HTMLTextAreaElement);
const repeatField = find("repeat", HTMLInputElement);
const answerArea = find("answer", HTMLElement);
const results = find("results", HTMLTableSectionElement);
const summary = find("summary", HTMLTableSectionElement);
const status = find("status", HTMLElement);
const alertArea = find("error", HTMLElement);
const bufferingArea = find("buffering", HTMLElement);
const chartArea = find("gaps", HTMLElement);
const buttons = Array.from(document.querySelectorAll("button[data-modes]"));
const store = openStore();

/** @param {number} valueMs */
const toMs = (valueMs) => (Number.isNaN(valueMs) ? "–" : `${Math.round(valueMs)} ms`);

/** @param {string[]} cells */
function makeRow(cells) {
  const [head = "", ...rest] = cells;
  return make("tr", {}, [
    make("th", { scope: "row" }, [head]),
    ...rest.map((cell) => make("td", {}, [cell])),
  ]);
}

/**
 * @param {Run} run
 * @param {number} number
 */
function showRun(run, number) {
  const times = [run.firstByteMs, run.firstDeltaMs, run.totalMs].map(toMs);
  const counts = [run.deltaTimesMs.length, run.reads || 1, run.chars].map(String);
  const row = makeRow([`${MODE_NAMES[run.mode]} ${number}`, ...times, ...counts]);
  row.dataset.mode = run.mode;
  results.append(row);
  if (run.mode === "stream") {
    const gaps = toGaps(run.deltaTimesMs);
    const { p50, p95 } = toPercentiles(gaps);
    const caption = `Pauses between deltas: p50 ${toMs(p50)}, p95 ${toMs(p95)}, longest ${toMs(Math.max(...gaps, 0))}`;
    chartArea.replaceChildren(drawGaps(gaps), make("figcaption", {}, [caption]));
    chartArea.hidden = false;
    const buffering = describeBuffering(run);
    bufferingArea.textContent =
      buffering || "Deltas arrive one by one: nothing on the way buffers.";
    bufferingArea.dataset.buffers = String(buffering !== "");
    bufferingArea.hidden = false;
  }
}

/** @param {Run[]} runs */
function showSummary(runs) {
  summary.replaceChildren();
  for (const mode of /** @type {Mode[]} */ (["stream", "whole"])) {
    const own = runs.filter((run) => run.mode === mode);
    if (own.length > 0) {
      const perceived = toPercentiles(own.map((run) => run.firstDeltaMs));
      const total = toPercentiles(own.map((run) => run.totalMs));
      const times = [perceived.p50, perceived.p95, total.p50, total.p95].map(toMs);
      const row = makeRow([MODE_NAMES[mode], String(own.length), ...times]);
      row.dataset.mode = mode;
      summary.append(row);
    }
  }
}

/** @param {unknown} error */
function showError(error) {
  const failure = error instanceof AnswerFailure ? error : null;
  const head = failure?.status ? `HTTP ${failure.status}` : (failure?.kind ?? "Error");
  alertArea.textContent = `${head}: ${failure?.message || String(error)}`;
  alertArea.hidden = false;
}

/** @param {Mode[]} modes */
async function runAll(modes) {
  const target = {
    key: keyField.value.trim(),
    model: modelField.value.trim(),
    question: questionField.value.trim(),
  };
  store.setItem("sitebrook-test", JSON.stringify({ key: target.key, model: target.model }));
  const repeats = Math.min(MOST_REPEATS, Math.max(1, Math.round(Number(repeatField.value) || 1)));
  /** @type {Run[]} */
  const runs = [];
  results.replaceChildren();
  for (let number = 1; number <= repeats; number += 1) {
    for (const mode of modes) {
      status.textContent = `${MODE_NAMES[mode]}, run ${number} of ${repeats} …`;
      answerArea.textContent = "";
      const run = await measure(target, mode, (text) => answerArea.append(text));
      runs.push(run);
      showRun(run, number);
      showSummary(runs);
    }
  }
  status.textContent = `Done: ${runs.length} ${runs.length === 1 ? "run" : "runs"}.`;
}

/** @param {Event} event */
async function start(event) {
  const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
  alertArea.hidden = true;
  bufferingArea.hidden = true;
  chartArea.hidden = true;
  buttons.forEach((other) => {
    other.toggleAttribute("disabled", true);
  });
  try {
    await runAll(/** @type {Mode[]} */ ((button.dataset.modes ?? "").split(" ")));
  } catch (error) {
    status.textContent = "Stopped by an error.";
    showError(error);
  } finally {
    buttons.forEach((other) => {
      other.toggleAttribute("disabled", false);
    });
  }
}

async function offerModels() {
  const key = keyField.value.trim();
  modelField.disabled = key.startsWith("pk-");
  const names = key.startsWith("sk-") ? await loadModels(key).catch(() => []) : [];
  const options = names.map((name) => make("option", { value: name }));
  find("models", HTMLDataListElement).replaceChildren(...options);
  if (modelField.value === "" && names[0]) {
    modelField.value = names[0];
  }
}

function prefill() {
  const asked = new URLSearchParams(location.search);
  const saved = JSON.parse(store.getItem("sitebrook-test") ?? "{}");
  keyField.value = asked.get("key") ?? saved.key ?? "";
  modelField.value = asked.get("model") ?? saved.model ?? "";
}

prefill();
void offerModels();
keyField.addEventListener("change", offerModels);
for (const button of buttons) {
  button.addEventListener("click", start);
}
