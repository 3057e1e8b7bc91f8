/** The page: takes photos or camera pictures, and shows what the model says of them. */

import {percent} from "./outputs.js";
import {grabFrame, openPhoto} from "./photo.js";
import {Problem} from "./problem.js";

const SHOWN_CLASSES = 5;
const PREVIEW_PIXELS = 1024;
// A screen reader is told of another class no more often.
const SPOKEN_MILLISECONDS = 2000;

const element = (id) => document.getElementById(id);
const inputs = [element("take"), element("choose")];
const camera = element("camera");
const video = element("video");
const received = new Map(); // what the page has read, by its URL, until it is kept for offline use
let classifier;
let working = Promise.resolve();

async function start() {
  try {
    if (typeof WebAssembly !== "object") {
      throw new Problem("This browser has no WebAssembly (or it is switched off), which running a model needs.");
    }
    const {Classifier} = await loadedModule();
    classifier = await Classifier.load(read, document.baseURI);
  } catch (error) {
    element("state").textContent = "";
    return showProblem(error);
  }
  element("title").textContent = document.title = classifier.info.name;
  element("state").textContent = "The model is ready.";
  element("secure").hidden = isSecureContext;
  for (const input of inputs) {
    input.disabled = false;
    input.addEventListener("change", () => classifyFile(input));
  }
  camera.disabled = !navigator.mediaDevices?.getUserMedia;
  camera.addEventListener("click", () => (video.srcObject ? stopCamera() : startCamera()));
  document.addEventListener("visibilitychange", () => document.hidden && stopCamera());
  await keepForOffline();
}

async function loadedModule() {
  try {
    return await import("./classifier.js");
  } catch {
    throw new Problem("A file of this page is missing, or this browser is too old for it (it needs import maps).");
  }
}

async function read(name) {
  let response;
  try {
    response = await fetch(name);
    if (response.ok) {
      if (navigator.serviceWorker) received.set(new URL(name, document.baseURI).href, response.clone());
      return new Uint8Array(await response.arrayBuffer());
    }
  } catch {
    throw new Problem(`${name} can't be loaded: the connection failed.`);
  }
  throw new Problem(`${name} can't be loaded: the server answered ${response.status}.`);
}

function classifyFile(input) {
  const [file] = input.files;
  input.value = ""; // so that the same photo can be chosen again
  if (!file) return;
  stopCamera();
  // One after the other: they share the model.
  working = working.then(async () => {
    try {
      const photo = await openPhoto(file);
      const result = await classifier.classify(photo);
      photo.show(element("preview"), PREVIEW_PIXELS);
      photo.close();
      element("preview").setAttribute("aria-label", `The photo ${file.name}`);
      element("preview").hidden = false;
      showAnswer(result);
      say(result);
    } catch (error) {
      element("preview").hidden = element("answer").hidden = true;
      showProblem(error);
    }
  });
}

async function startCamera() {
  let stream;
  camera.disabled = true; // until the question for permission is answered
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
  } catch (error) {
    return showProblem(new Problem(cameraSentence(error.name)));
  } finally {
    camera.disabled = false;
  }
  video.srcObject = stream;
  camera.setAttribute("aria-pressed", "true");
  camera.textContent = "Stop the camera";
  element("preview").hidden = true;
  video.hidden = false;
  working = working.then(() => watch(stream));
}

function cameraSentence(name) {
  if (name === "NotAllowedError") return "The camera may not be used: allow it in the browser's settings of this page.";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "This device has no camera.";
  return "The camera can't be used: another program may have it.";
}

async function watch(stream) {
  let spoken = -Infinity;
  try {
    await video.play();
    while (video.srcObject === stream) {
      const photo = await grabFrame(video);
      const result = await classifier.classify(photo);
      photo.close();
      if (video.srcObject !== stream) return;
      showAnswer(result);
      if (performance.now() - spoken > SPOKEN_MILLISECONDS) {
        say(result);
        spoken = performance.now();
      }
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    if (video.srcObject !== stream) return; // it was stopped meanwhile
    stopCamera();
    showProblem(error);
  }
}

function stopCamera() {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  video.hidden = true;
  camera.setAttribute("aria-pressed", "false");
  camera.textContent = "Live camera";
}

function showAnswer(result) {
  const {meaning, milliseconds} = result;
  const {items} = classifier.outputs.describe(meaning, SHOWN_CLASSES);
  element("classes").replaceChildren(...items.map(itemOf));
  const {preparing, running} = milliseconds;
  const [total, prepared, ran] = [preparing + running, preparing, running].map((number) => number.toFixed(1));
  element("latency").textContent = `${total} ms: ${prepared} ms to prepare the photo, ${ran} ms in the model.`;
  element("problem").textContent = element("state").textContent = "";
  element("answer").hidden = false;
  // For scripts of your own.
  document.dispatchEvent(new CustomEvent("answer", {detail: result}));
}

function itemOf({name, number}) {
  const item = document.createElement("li");
  const part = (kind, text) => {
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = text;
    item.append(span);
    return span;
  };
  const share = classifier.outputs.sharesShown;
  if (share) part("bar", "").style.width = percent(number);
  part("name", name);
  part("number", share ? percent(number) : number.toPrecision(6));
  return item;
}

function say({meaning}) {
  const {sentence} = classifier.outputs.describe(meaning, SHOWN_CLASSES);
  if (element("sentence").textContent !== sentence) element("sentence").textContent = sentence;
}

function showProblem(error) {
  element("problem").textContent =
    error instanceof Problem ? error.message : `Something went wrong in the page: ${error.message ?? error}`;
  if (!(error instanceof Problem)) console.error(error);
}

/** Keeps what was loaded, so that the page opens without a connection. */
async function keepForOffline() {
  if (!navigator.serviceWorker) return; // neither https nor localhost
  try {
    await navigator.serviceWorker.register("offline.js");
    const here = new URL(".", document.baseURI).href;
    const loaded = performance.getEntriesByType("resource").map(({name}) => name);
    const wanted = new Set([here, location.origin + location.pathname, ...loaded.filter((name) => name.startsWith(here))]);
    const cache = await caches.open(here);
    // What was read is not asked for again: a large model may be in no cache of the browser's own.
    for (const [url, response] of received) await cache.put(url, response);
    await cache.addAll([...wanted].filter((url) => !received.has(url)));
    received.clear();
    for (const {url} of await cache.keys()) if (!wanted.has(url)) await cache.delete(url);
    element("offline").textContent = "It now opens without a connection, too.";
  } catch (error) {
    console.warn("The page is not kept for offline use:", error);
  }
}

start();
