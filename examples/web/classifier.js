/** A model exported by keras_lite, run by LiteRT.js: model.tflite, and model.json, which says how to feed it. */

import {loadAndCompile, loadLiteRt, supportsFeature, Tensor} from "@litertjs/core";

import {ModelOutputs} from "./outputs.js";
import {Preprocessing} from "./preprocessing.js";
import {Problem} from "./problem.js";

const RUNTIMES = {true: "litert/litert_wasm_internal", false: "litert/litert_wasm_compat_internal"};
// LiteRT.js takes no int8 at the ends of a model.
const TYPES = ["uint8", "float32"];

/** One model, ready to run. */
export class Classifier {
  /**
   * Loads the model and what runs it.
   *
   * @param read an async function that returns the bytes of one of the page's files
   * @param base where these files are, as a URL
   */
  static async load(read, base) {
    const info = parse(await read("model.json"));
    const file = await read("model.tflite");
    await check(file, info);
    const runtime = RUNTIMES[await supportsFeature("relaxedSimd")];
    // Handed over here, so that it can come compressed from any server.
    self.Module = {wasmBinary: await unpacked(await read(`${runtime}.wasm.gz`))};
    await understood(() => loadLiteRt(new URL(`${runtime}.js`, base).href), `${runtime}.js can't be run`);
    const model = await understood(() => loadAndCompile(file, {accelerator: "wasm"}), "model.tflite can't be run");
    return new Classifier(info, model);
  }

  constructor(info, model) {
    this.info = info;
    this.model = model;
    this.preprocessing = new Preprocessing(info.preprocessing);
    this.outputs = new ModelOutputs(info.output, info.class_names, info.output_tensor.shape.at(-1));
  }

  /**
   * Returns what the model says of a photo: its numbers, their meaning, and the milliseconds of both steps.
   *
   * @param photo an object with width, height and rows(first, count), see preprocessing.js
   */
  async classify(photo) {
    const start = performance.now();
    const {input_tensor} = this.info;
    const values = this.preprocessing.toInput(this.preprocessing.levels(photo), input_tensor);
    const prepared = performance.now();
    const numbers = this.#numbers(await this.run(values));
    const finished = performance.now();
    return {
      numbers,
      meaning: this.outputs.interpret(numbers),
      milliseconds: {preparing: prepared - start, running: finished - prepared},
    };
  }

  /** Returns the model's output for an input, both in the types of the file. */
  async run(values) {
    const input = new Tensor(values, this.info.input_tensor.shape);
    try {
      const [output] = await this.model.run(input);
      try {
        return (await output.data()).slice();
      } finally {
        output.delete();
      }
    } finally {
      input.delete();
    }
  }

  #numbers(values) {
    const {dtype, scale, zero_point} = this.info.output_tensor;
    if (dtype === "float32") return Array.from(values);
    return Array.from(values, (value) => Math.fround((value - zero_point) * Math.fround(scale)));
  }
}

function parse(bytes) {
  let info;
  try {
    info = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Problem("model.json is no JSON file.");
  }
  const needed = ["class_names", "preprocessing", "output", "input_tensor", "output_tensor", "bytes", "sha256"];
  const missing = needed.filter((name) => !(name in Object(info)));
  if (missing.length > 0) {
    throw new Problem(`model.json is not that of a model exported by keras_lite: it lacks ${missing.join(", ")}.`);
  }
  if (info.output_tensor.shape.length !== 2) {
    throw new Problem("This page shows models that return a row of numbers for a photo, no maps or images.");
  }
  const types = [info.input_tensor.dtype, info.output_tensor.dtype];
  if (!types.every((type) => TYPES.includes(type))) {
    throw new Problem(`Browsers need a model with uint8 or float32 at its ends; this one has ${types.join(" and ")}.`);
  }
  return info;
}

/** Checks that a file is the one that its information was written for. */
async function check(file, {bytes, sha256}) {
  let same = file.length === bytes;
  if (same && globalThis.crypto?.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", file));
    same = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
  }
  if (!same) throw new Problem("model.tflite is not the file that model.json describes: copy both again.");
}

async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes; // the server's answer was unpacked on the way
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function understood(action, sentence) {
  try {
    return await action();
  } catch (error) {
    throw new Problem(`${sentence}${error?.message ? `: ${error.message}` : " in this browser."}`);
  }
}
