import { readFileSync } from "node:fs";

// What every driver asks; ../asked.py says what a driver prints.
export const asked = JSON.parse(readFileSync(new URL("../asked.json", import.meta.url), "utf-8"));
export const url = process.env.OPENAI_BASE_URL;
export const key = process.env.OPENAI_API_KEY;

/**
 * The client's error when it asks for what is refused.
 * @param {() => Promise<unknown>} ask
 */
export async function refusal(ask) {
  try {
    await ask();
  } catch (/** @type {any} */ error) {
    return { status: error.status ?? error.statusCode ?? null, message: error.message };
  }
  return { status: 200, message: "it was not refused" };
}
