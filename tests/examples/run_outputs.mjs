/** Prints what the page makes of a model's numbers. The job has the modules, and cases of output, names and numbers. */
import {readFileSync} from "node:fs";
import {join} from "node:path";
import {pathToFileURL} from "node:url";

const job = JSON.parse(readFileSync(0, "utf8"));
const {ModelOutputs} = await import(pathToFileURL(join(job.modules, "outputs.js")));
const found = job.cases.map(({output, names, numbers, count}) => {
  try {
    const outputs = new ModelOutputs(output, names, numbers.length);
    const meaning = outputs.interpret(numbers);
    return {meaning, shares: outputs.sharesShown, ...outputs.describe(meaning, count)};
  } catch (error) {
    return {problem: error.message};
  }
});
console.log(JSON.stringify(found));
