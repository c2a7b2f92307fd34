// Simulates a user with a real browser: opens a URL, signs in, consents, and follows the redirect to the loopback listener.
//
// Standard input: a JSON object with `url` to open; `redirect`, the last URL; `user` and `password` for the login forms; optionally
// `first`, a URL to open before it; and `screenshot`, the name prefix of the screenshots in the directory of run.mjs. Standard output: a JSON array of the visited
// pages with `url` (without query), `status`, `heading` and `text`. Requests to other hosts than loopback are blocked.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const screenshots = process.env.SCREENSHOTS ?? join(root, "target/screenshots");
const instructions = JSON.parse(await text(process.stdin));
const MAX_PAGES = 8;

const pages = [];
async function recordPage(page, response) {
  const { origin, pathname } = new URL(page.url());
  const headings = page.locator("h1");
  pages.push({
    url: origin + pathname,
    status: response?.status() ?? 0,
    heading: await headings.count() ? await headings.first().innerText() : await page.title(),
    text: await page.locator("body").innerText(),
  });
  await page.screenshot({ path: join(screenshots, `${instructions.screenshot}-${pages.length}.png`), fullPage: true });
}

/** Fills in the login form, if any, and presses the button that accepts, or else the first one, which signs in or consents. */
async function submitForm(page) {
  const fields = [["input[name=login]:not([type=submit]), input[name=username]", instructions.user], ["input[type=password]", instructions.password]];
  for (const [selector, text] of fields) {
    const field = page.locator(selector).and(page.locator(":visible"));
    if (await field.count()) await field.first().fill(text);
  }
  const accept = page.locator("button[value=accept]");
  const submit = (await accept.count()) ? accept : page.locator("button[type=submit], input[type=submit]");
  const [response] = await Promise.all([
    page.waitForResponse((response) => response.request().isNavigationRequest() && response.status() < 300),
    submit.first().click(),
  ]);
  await page.waitForLoadState();
  return response;
}

mkdirSync(screenshots, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "authgrant-user-"));
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
  let response = await page.goto(instructions.url);
  await recordPage(page, response);
  while (!page.url().startsWith(instructions.redirect) && pages.length < MAX_PAGES) {
    response = await submitForm(page);
    await recordPage(page, response);
  }
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(pages));
