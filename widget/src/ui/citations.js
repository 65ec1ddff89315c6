import { toList } from "../lists.js";
import { toSafeUrl } from "../markdown/links.js";
import { make, makeLink } from "./dom.js";
import { fill } from "./i18n.js";

/** @typedef {import("../types.js").Citation} Citation */
/** @typedef {import("./i18n.js").Texts} Texts */

/**
 * Turns the markers of an answer into links to their sources, or into buttons
 * that show the passage where a source has no address. Markers without a source
 * stay text.
 * @param {HTMLElement} answer
 * @param {Citation[]} citations
 * @param {{ base: string, texts: Texts, onShow: (index: number) => void }} options
 */
export function linkMarkers(answer, citations, { base, texts, onShow }) {
  /** @type {Map<number, Citation>} */
  const byIndex = new Map();
  for (const citation of citations) {
    byIndex.set(citation.index, citation);
  }
  for (const marker of answer.querySelectorAll("span[data-citation]")) {
    const citation = byIndex.get(Number(marker.getAttribute("data-citation")));
    if (!citation) {
      continue;
    }
    const label = `${fill(texts.source, { index: citation.index })}: ${citation.title}`;
    const shared = { part: "citation", "aria-label": label, title: toTooltip(citation) };
    const href = toSafeUrl(citation.url, base);
    const number = String(citation.index);
    const control = href
      ? makeLink(href, [number], shared)
      : make("button", { ...shared, type: "button" }, [number]);
    if (!href) {
      control.addEventListener("click", () => onShow(citation.index));
    }
    marker.replaceWith(make("sup", { "data-citation": number }, [control]));
  }
}

/**
 * The list of sources under an answer.
 * @param {Citation[]} citations
 * @param {{ base: string, texts: Texts }} options
 */
export function makeSources(citations, { base, texts }) {
  const entries = toList(citations, (citation) => {
    const title = citation.title || fill(texts.source, { index: citation.index });
    const href = toSafeUrl(citation.url, base);
    const name = href
      ? makeLink(href, [title], { part: "source-link" })
      : make("span", { part: "source-title" }, [title]);
    const entry = make("li", { part: "source", "data-index": String(citation.index) }, [
      make("span", { part: "source-index", "aria-hidden": "true" }, [String(citation.index)]),
      name,
    ]);
    if (citation.heading && citation.heading !== title) {
      entry.append(make("span", { part: "source-heading" }, [citation.heading]));
    }
    if (citation.quote) {
      const summary = make("summary", {}, [texts.quote]);
      entry.append(make("details", {}, [summary, make("blockquote", {}, [citation.quote])]));
    }
    return entry;
  });
  const heading = make("h3", {}, [texts.sources]);
  return make("section", { part: "sources" }, [heading, make("ol", {}, entries)]);
}

/**
 * Opens the passage of one source and brings it into sight.
 * @param {HTMLElement} sources
 * @param {number} index
 */
export function showSource(sources, index) {
  const entry = sources.querySelector(`li[data-index="${index}"]`);
  entry?.querySelector("details")?.setAttribute("open", "");
  entry?.scrollIntoView({ block: "nearest" });
}

/** @param {Citation} citation */
function toTooltip({ title, heading }) {
  return heading && heading !== title ? `${title} – ${heading}` : title;
}
