import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";

const widget = new URL("../", import.meta.url);
const target = new URL("../backend/sitebrook/static/", widget);
const MAX_GZIP_BYTES = { "widget.js": 2 * 1024, "widget-panel.js": 30 * 1024 };

/** @param {string} path */
const read = (path) => readFile(new URL(path, widget));

/** @type {import("esbuild").Plugin} */
const cssAsText = {
  name: "css-as-text",
  setup(plugin) {
    plugin.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const { code } = await transform(source, { loader: "css", minify: true });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

/**
 * @param {string} entry
 * @param {import("esbuild").BuildOptions} options
 */
async function bundle(entry, options) {
  const result = await build({
    absWorkingDir: fileURLToPath(widget),
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    charset: "utf8",
    target: ["es2022"],
    legalComments: "inline",
    plugins: [cssAsText],
    ...options,
  });
  const output = result.outputFiles?.[0];
  if (!output) {
    throw new Error(`${entry} gave no output`);
  }
  return Buffer.from(output.contents);
}

async function buildAll() {
  const marked = JSON.parse(
    await readFile(new URL("node_modules/marked/package.json", widget), "utf8"),
  );
  const notice = `/*! Contains marked ${marked.version}, Copyright MarkedJS and Christopher Jeffrey, MIT License, full text in LICENSES.txt */`;
  const panel = await bundle("src/panel.js", { format: "esm", banner: { js: notice } });
  // The launcher names the panel by its content, so that both may be cached for long.
  const version = createHash("sha256").update(panel).digest("hex").slice(0, 12);
  const define = { PANEL_VERSION: JSON.stringify(version) };
  const swagger = "node_modules/swagger-ui-dist/";
  return new Map([
    ["widget.js", await bundle("src/launcher.js", { format: "iife", define })],
    ["widget-panel.js", panel],
    ["LICENSES.txt", await read("node_modules/marked/LICENSE")],
    ["test-streaming.js", await bundle("src/pages/test-streaming.js", { format: "esm" })],
    ["docs/swagger-ui-bundle.js", withoutSourceMap(await read(`${swagger}swagger-ui-bundle.js`))],
    ["docs/swagger-ui.css", withoutSourceMap(await read(`${swagger}swagger-ui.css`))],
    ["docs/LICENSE", await read(`${swagger}LICENSE`)],
    ["docs/NOTICE", await read(`${swagger}NOTICE`)],
    ["docs/LICENSES.txt", await read(`${swagger}swagger-ui-bundle.js.LICENSE.txt`)],
  ]);
}

/** @param {Buffer} file */
function withoutSourceMap(file) {
  return Buffer.from(
    file.toString("utf8").replace(/\/[/*]# sourceMappingURL=\S+(?: \*\/)?\s*$/, ""),
  );
}

/** @param {Map<string, Buffer>} files */
function checkSizes(files) {
  for (const [name, limit] of Object.entries(MAX_GZIP_BYTES)) {
    const size = gzipSync(files.get(name) ?? "", { level: 9 }).length;
    if (size > limit) {
      throw new Error(`${name} has ${size} bytes gzipped, at most ${limit} are allowed`);
    }
    console.log(`${name}: ${size} bytes gzipped of ${limit}`);
  }
}

/** @param {Map<string, Buffer>} files */
async function checkCommitted(files) {
  for (const [name, content] of files) {
    const committed = await readFile(new URL(name, target)).catch(() => null);
    if (!committed?.equals(content)) {
      throw new Error(`static/${name} differs from its sources: run 'npm run build'`);
    }
  }
}

/** @param {Map<string, Buffer>} files */
async function save(files) {
  for (const [name, content] of files) {
    const path = fileURLToPath(new URL(name, target));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

const files = await buildAll();
checkSizes(files);
await (process.argv.includes("--check") ? checkCommitted(files) : save(files));
