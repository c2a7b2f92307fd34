// A person in a real browser: goes where a program sends them, signs in, agrees, and ends at the program's own page.
//
// One JSON object on standard input: `url` to open; `redirect`, where the way ends; perhaps `first`, a URL to visit ahead of
// it; `shot`, the name of the screenshots, in the folder of run.mjs. On standard output a JSON array of the pages that they
// saw: `url` without its query, `status`, `heading`, `text`. Nothing but loopback is loaded, whatever a page asks for.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const shots = process.env.SCREENSHOTS ?? join(root, "target/screenshots");
const instructions = JSON.parse(await text(process.stdin));
const MAX_PAGES = 8;

const seen = [];
async function recordPage(page, answer) {
  const { origin, pathname } = new URL(page.url());
  seen.push({
    url: origin + pathname,
    status: answer?.status() ?? 0,
    heading: await page.locator("h1").first().innerText(),
    text: await page.locator("body").innerText(),
  });
  await page.screenshot({ path: join(shots, `${instructions.shot}-${seen.length}.png`), fullPage: true });
}

/** Fills what the page asks for and presses its first button, as a person who agrees would. */
async function submitForm(page) {
  const login = page.locator("input[name=login]");
  if (await login.count()) {
    await login.fill("jsmith@example.com");
    await page.locator("input[type=password]").fill("anything");
  }
  const [answer] = await Promise.all([
    page.waitForResponse((answer) => answer.request().isNavigationRequest() && answer.status() < 300),
    page.locator("button[type=submit]").first().click(),
  ]);
  await page.waitForLoadState();
  return answer;
}

mkdirSync(shots, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "authgrant-person-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
browser.setDefaultTimeout(30_000);
try {
  await browser.route(
    (url) => !["127.0.0.1", "localhost"].includes(url.hostname),
    (route) => route.abort(),
  );
  const page = await browser.newPage();
  if (instructions.first) await recordPage(page, await page.goto(instructions.first));
  let answer = await page.goto(instructions.url);
  await recordPage(page, answer);
  while (!page.url().startsWith(instructions.redirect) && seen.length < MAX_PAGES) {
    answer = await submitForm(page);
    await recordPage(page, answer);
  }
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(seen));
