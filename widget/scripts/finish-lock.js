import { readFile, writeFile } from "node:fs/promises";

// Another lock file than the widget's is named by the argument.
const path = process.argv[2] ?? new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(await readFile(path, "utf8"));
/** @type {[string, any][]} */
const entries = Object.entries(lock.packages);

for (const [, entry] of entries) {
  // A lock file says which bytes to install. Addresses of sponsors or download
  // hosts do not belong in it, so that any mirror can serve the packages.
  delete entry.funding;
  delete entry.resolved;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    lock.packages[`node_modules/${name}`] ??= toForeignBinary(name, version);
  }
}

/**
 * The entry of a binary for another platform which the registry at hand does not
 * hold. npm leaves it out of the lock, and `npm ci` then refuses that lock. Its
 * bytes are unknown here, so the entry has no hash.
 * @param {string} name such as `@biomejs/cli-linux-x64-musl`
 * @param {unknown} version
 */
function toForeignBinary(name, version) {
  const [, os, cpu, libc] =
    /-(android|darwin|linux|win32)-(arm64|x64)(?:-(musl))?$/.exec(name) ?? [];
  if (!os) {
    throw new Error(`${name} is missing from the lock and names no platform`);
  }
  const base = { version, cpu: [cpu], dev: true, optional: true, os: [os] };
  return libc ? { ...base, libc: [libc] } : base;
}

lock.packages = Object.fromEntries(
  Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)),
);
const text = `${JSON.stringify(lock, null, 2)}\n`;
const address = text.match(/https?:\/\/[^"]*/);
if (address) {
  throw new Error(`package-lock.json names an address: ${address[0]}`);
}
await writeFile(path, text);
