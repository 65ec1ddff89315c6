import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Modules outside the root are refused, and the tests lie beside this folder.
  root: fileURLToPath(new URL("../", import.meta.url)),
  cacheDir: fileURLToPath(new URL("node_modules/.vite/", import.meta.url)),
  test: {
    include: ["tests/widget/**/*.test.js"],
    // The slowest takes 3 s by itself, and the rest of the run shares the machine.
    testTimeout: 30_000,
    setupFiles: [fileURLToPath(new URL("scripts/test-dom.js", import.meta.url))],
  },
});
