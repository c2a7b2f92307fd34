// Tests the result pages of the loopback listener in a real browser, at two widths, in light and dark mode.
//
// Requires Debian's chromium, and `npm ci` in this directory. CONSENT_PAGE is the path of the program of serve.rs (the cargo
// example consent_page), by default in target/debug/examples. SCREENSHOTS is the directory of the screenshots, by default
// target/screenshots. Prints `ok NAME` or `not ok NAME: FOUND` for each check; exits with 1 if one failed.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const program = process.env.CONSENT_PAGE ?? join(root, "target/debug/examples/consent_page");
const screenshots = process.env.SCREENSHOTS ?? join(root, "target/screenshots");
const STATE = "expected-state";
const HOSTILE = `<script>document.title = "owned"</script><img src=x onerror="document.title='owned'">`;
const LONG = "The administrator of your organisation has not yet approved this application: " + "averyveryverylongword".repeat(8);

const CASES = [
  {
    name: "success",
    application: "Quarterly Report Builder",
    query: { code: "SplxlOBeZQQYbYS6WxSbIA", state: STATE },
    status: 200,
    heading: "Consent received",
    text: "Thank you for granting consent to Quarterly Report Builder.",
    outcome: "code 22",
  },
  {
    name: "failure",
    application: "Quarterly Report Builder",
    query: { error: "access_denied", error_description: LONG, state: STATE },
    status: 200,
    heading: "Consent was not given",
    text: "access_denied",
    outcome: "AUTHGRANT_DENIED",
  },
  {
    name: "hostile",
    application: HOSTILE,
    query: { error: "access_denied", error_description: HOSTILE, state: STATE },
    status: 200,
    heading: "Consent was not given",
    text: HOSTILE,
    outcome: "AUTHGRANT_DENIED",
  },
  {
    name: "rejected",
    query: { code: "a", state: "wrong" },
    status: 400,
    heading: "This visit was not expected",
    text: "go back to the application",
  },
];

let failed = 0;
function check(name, passed, found) {
  console.log(passed ? `ok ${name}` : `not ok ${name}: ${JSON.stringify(found)}`);
  if (!passed) failed += 1;
}

/** Starts the program. Returns it with its redirect URL and a promise of the outcome that it prints. */
async function startListener(application) {
  const child = spawn(program, application ? [STATE, application] : [STATE], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value: redirect } = await lines.next();
  return { child, redirect, outcome: lines.next().then((line) => line.value) };
}

async function checkPage(page, testCase, scheme, width) {
  const name = `${testCase.name} ${scheme} ${width}`;
  const requested = [];
  const messages = [];
  page.on("request", (request) => requested.push(new URL(request.url()).pathname));
  page.on("console", (message) => messages.push(message.text()));
  const { child, redirect, outcome } = await startListener(testCase.application);
  try {
    const response = await page.goto(`${redirect}?${new URLSearchParams(testCase.query)}`);
    check(`${name}: status`, response.status() === testCase.status, response.status());
    check(`${name}: heading`, (await page.locator("h1").innerText()) === testCase.heading, await page.locator("h1").innerText());
    const status = await page.getByRole("status").innerText();
    check(`${name}: text`, status.includes(testCase.text), status);
    check(`${name}: title`, (await page.title()) === testCase.heading, await page.title());
    check(`${name}: language`, (await page.locator("html").getAttribute("lang")) === "en");
    // The style applies only if its hash in the Content-Security-Policy is correct.
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    check(`${name}: style`, background === (scheme === "dark" ? "rgb(18, 21, 24)" : "rgb(243, 244, 247)"), background);
    const overflows = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    check(`${name}: fits`, !overflows);
    check(`${name}: no other requests`, requested.every((path) => path === "/callback" || path === "/favicon.ico"), requested);
    const unexpected = messages.filter((text) => !/status of (400|404)|favicon/.test(text));
    check(`${name}: no console messages`, unexpected.length === 0, unexpected);
    await page.screenshot({ path: join(screenshots, `${testCase.name}-${scheme}-${width}.png`), fullPage: true });
    if (testCase.outcome) check(`${name}: outcome`, (await outcome)?.startsWith(testCase.outcome), await outcome);
  } finally {
    child.kill();
  }
}

mkdirSync(screenshots, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "authgrant-browser-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  for (const testCase of CASES) {
    for (const scheme of ["light", "dark"]) {
      for (const width of [320, 1280]) {
        const page = await browser.newPage();
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height: width === 320 ? 640 : 800 });
        await checkPage(page, testCase, scheme, width).catch((error) => check(`${testCase.name} ${scheme} ${width}`, false, String(error)));
        await page.close();
      }
    }
  }
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
