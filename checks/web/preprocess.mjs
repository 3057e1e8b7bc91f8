/** Runs the page's preprocessing on raw pixels. The job on the standard input names the module folder and the cases. */

import {readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

const job = JSON.parse(readFileSync(0, "utf8"));
const {Preprocessing} = await import(pathToFileURL(join(job.modules, "preprocessing.js")));

for (const {fields, tensor, photos} of job.cases) {
  const preprocessing = new Preprocessing(fields);
  for (const {file, width, height, levels, input} of photos) {
    const pixels = readFileSync(file);
    const photo = {width, height, rows: (first, count) => pixels.subarray(first * width * 4, (first + count) * width * 4)};
    const found = preprocessing.levels(photo);
    writeFileSync(levels, found);
    if (tensor) writeFileSync(input, new Uint8Array(preprocessing.toInput(found, tensor).buffer));
  }
}
console.log(JSON.stringify({node: process.version}));
