/** Writes photos again as the page reads them. The job has the modules, and names of files. */
import {readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

const job = JSON.parse(readFileSync(0, "utf8"));
const {withoutProfile} = await import(pathToFileURL(join(job.modules, "profile.js")));
for (const file of job.files) writeFileSync(`${file}.plain`, withoutProfile(new Uint8Array(readFileSync(file))));
console.log("{}");
