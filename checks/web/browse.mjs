/**
 * Drives the page in headless Chromium, one scenario a run. The job on the standard input names the scenario, the page's
 * address, Chromium, the folder of playwright-core, and what the scenario needs.
 */

import {readFileSync, writeFileSync} from "node:fs";
import {basename, join} from "node:path";
import {pathToFileURL} from "node:url";

const job = JSON.parse(readFileSync(0, "utf8"));
const {chromium} = (await import(pathToFileURL(join(job.playwright, "index.js")))).default;

async function open({args = [], prepare = () => {}, ...options} = {}) {
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : []; // Chromium starts for root without it alone
  const browser = await chromium.launch({executablePath: job.chromium, args: [...sandbox, ...args]});
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const asked = [];
  page.on("console", (message) => console.error(`page: ${message.text()}`));
  page.on("pageerror", (error) => console.error(`page: ${error.stack}`));
  page.on("request", (request) => asked.push(request.url()));
  await page.addInitScript(() => {
    globalThis.answers = [];
    document.addEventListener("answer", ({detail}) => globalThis.answers.push(detail));
  });
  await prepare(page, context);
  await page.goto(job.url);
  return {browser, context, page, asked};
}

const ready = (page) => page.waitForFunction(() => !document.getElementById("choose").disabled);
const text = (page, id) => page.locator(`#${id}`).textContent();

async function answerOf(page, give) {
  const before = await page.evaluate(() => answers.length);
  await give();
  await page.waitForFunction((count) => answers.length > count, before);
  return page.evaluate(() => answers.at(-1).numbers);
}

async function problemOf(page) {
  await page.waitForFunction(() => document.getElementById("problem").textContent !== "");
  return text(page, "problem");
}

const scenarios = {
  /** What the page's own modules make of photos: levels, for each preprocessing. */
  async levels() {
    const photoOf = (url) => job.photos[url.split("/").at(-1)];
    const {browser, page} = await open({
      serviceWorkers: "block", // what they ask for is not routed
      prepare: (page) => page.route("**/photos/*", (route) => route.fulfill({path: photoOf(route.request().url())})),
    });
    const found = [];
    for (let number = 0; number < job.photos.length; number++) {
      found.push(
        await page.evaluate(
          async ({number, all}) => {
            const {openPhoto} = await import("./photo.js");
            const {Preprocessing} = await import("./preprocessing.js");
            let photo;
            try {
              photo = await openPhoto(await (await fetch(`photos/${number}`)).blob());
            } catch (error) {
              return error.message;
            }
            const text = (levels) => btoa(Array.from(levels, (level) => String.fromCharCode(level)).join(""));
            const levels = all.map((fields) => text(new Preprocessing(fields).levels(photo)));
            photo.close();
            return levels;
          },
          {number, all: job.preprocessings},
        ),
      );
    }
    writeFileSync(job.output, JSON.stringify(found));
    const version = browser.version();
    await browser.close();
    return {chromium: version};
  },

  /** The numbers for each photo, as a user gives it, and what the page shows for the last one. */
  async answers() {
    const {browser, page, asked} = await open(job.options);
    await ready(page);
    const numbers = [];
    for (const photo of job.photos) numbers.push(await answerOf(page, () => page.setInputFiles("#choose", photo)));
    const sentence = await text(page, "sentence");
    const classes = await page.locator("#classes li").allTextContents();
    const latency = await text(page, "latency");
    if (job.screenshot) await page.screenshot({path: job.screenshot, fullPage: true});
    const version = browser.version();
    await browser.close();
    const outside = asked.filter((url) => !url.startsWith(job.url) && !url.startsWith("data:"));
    return {numbers, sentence, classes, latency, outside, chromium: version};
  },

  /** Milliseconds from the request of the page to the first answer, and the bytes that came over the wire. */
  async load() {
    let bytes = 0;
    const {browser, page} = await open({
      serviceWorkers: "block",
      prepare: async (page, context) => {
        const session = await context.newCDPSession(page);
        await session.send("Network.enable");
        session.on("Network.loadingFinished", ({encodedDataLength}) => (bytes += encodedDataLength));
      },
    });
    await ready(page);
    const loaded = await page.evaluate(() => performance.now());
    await answerOf(page, () => page.setInputFiles("#choose", job.photos[0]));
    const total = await page.evaluate(() => performance.now());
    const first = await page.evaluate(() => answers[0].milliseconds);
    for (let i = 0; i < 20; i++) await answerOf(page, () => page.setInputFiles("#choose", job.photos[0]));
    const later = await page.evaluate(() => answers.slice(1).map(({milliseconds}) => milliseconds));
    await browser.close();
    return {bytes, loaded, total, first, later};
  },

  /** With the keyboard alone, on a narrow screen. */
  async keyboard() {
    const {browser, page} = await open({viewport: {width: 360, height: 640}, ...job.options});
    await ready(page);
    const order = [];
    for (let i = 0; i < 3; i++) {
      await page.keyboard.press("Tab");
      order.push(await page.evaluate(() => document.activeElement.id));
    }
    await page.keyboard.press("Shift+Tab");
    const focused = await page.evaluate(() => document.activeElement.id);
    const outline = await page.evaluate(() => getComputedStyle(document.querySelector("label[for=choose]")).outlineStyle);
    const chooser = page.waitForEvent("filechooser");
    await page.keyboard.press("Enter");
    const numbers = await answerOf(page, async () => (await chooser).setFiles(job.photos[0]));
    const names = await page.evaluate(() =>
      [...document.querySelectorAll("input, button")].map((each) => each.labels?.[0]?.textContent ?? each.textContent),
    );
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (job.screenshot) await page.screenshot({path: job.screenshot, fullPage: true});
    await browser.close();
    return {order, focused, outline, numbers, names, width};
  },

  /** Without a connection, after the page was there once. */
  async offline() {
    const {browser, context, page, asked} = await open();
    await page.waitForFunction(() => document.getElementById("offline").textContent !== "");
    const models = asked.filter((url) => url.endsWith("model.tflite")).length;
    await context.setOffline(true);
    await page.reload();
    await ready(page);
    const numbers = await answerOf(page, () => page.setInputFiles("#choose", job.photos[0]));
    await browser.close();
    return {numbers, models};
  },

  /** By plain http from another machine: photos alone. */
  async insecure() {
    const {hostname} = new URL(job.url);
    const {browser, page} = await open({args: [`--host-resolver-rules=MAP ${hostname} 127.0.0.1`]});
    await ready(page);
    const numbers = await answerOf(page, () => page.setInputFiles("#choose", job.photos[0]));
    const note = await page.locator("#secure").isVisible();
    const camera = await page.locator("#camera").isEnabled();
    await browser.close();
    return {numbers, note, camera};
  },

  /** A camera that shows a test picture, and none. */
  async camera() {
    const fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
    const {browser, page} = await open({args: fake});
    await ready(page);
    await page.click("#camera");
    await page.waitForFunction(() => answers.length >= 3);
    const pressed = await page.locator("#camera").getAttribute("aria-pressed");
    await page.click("#camera");
    const hidden = await page.locator("#video").isHidden();
    const photo = await answerOf(page, () => page.setInputFiles("#choose", job.photos[0]));
    await browser.close();
    const none = await open({permissions: ["camera"]});
    await ready(none.page);
    await none.page.click("#camera");
    const problem = await problemOf(none.page);
    await none.browser.close();
    return {pressed, hidden, photo, problem};
  },

  /** One sentence for each thing that is missing or wrong. */
  async problems() {
    const found = {};
    for (const [name, {url, status = 200, path, script, photo}] of Object.entries(job.problems)) {
      const {browser, page} = await open({
        serviceWorkers: "block",
        prepare: async (page) => {
          if (script) await page.addInitScript(script);
          if (url) await page.route(url, (route) => route.fulfill(path ? {path} : {status, body: "no"}));
        },
      });
      if (photo) {
        await ready(page);
        await page.setInputFiles("#choose", photo);
      }
      found[name] = await problemOf(page);
      await browser.close();
    }
    return found;
  },
};

console.log(JSON.stringify(await scenarios[job.scenario]()));
