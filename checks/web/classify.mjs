/** Runs the page's model in Node on inputs in the model's own type. The job on the standard input names all files. */

import {readFileSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {join} from "node:path";
import {fileURLToPath, pathToFileURL} from "node:url";
import {runInThisContext} from "node:vm";

// What LiteRT.js expects of a browser's worker.
globalThis.self = globalThis;
globalThis.require = createRequire(import.meta.url);
globalThis.__dirname = import.meta.dirname ?? ".";
globalThis.importScripts = (url) => runInThisContext(readFileSync(fileURLToPath(url), "utf8"), url);

const job = JSON.parse(readFileSync(0, "utf8"));
const folder = pathToFileURL(`${job.modules}/`);
const {Classifier} = await import(new URL("classifier.js", folder));
const classifier = await Classifier.load(async (name) => new Uint8Array(readFileSync(join(job.modules, name))), folder);

const inputs = readFileSync(job.inputs);
const length = inputs.length / job.count;
const outputs = [];
for (let i = 0; i < job.count; i++) {
  const bytes = inputs.subarray(i * length, (i + 1) * length);
  const values = job.dtype === "uint8" ? new Uint8Array(bytes) : new Float32Array(new Uint8Array(bytes).buffer);
  const found = await classifier.run(values);
  outputs.push(Buffer.from(found.buffer, found.byteOffset, found.byteLength));
}
writeFileSync(job.outputs, Buffer.concat(outputs));
console.log(JSON.stringify({node: process.version}));
process.exit(0);
