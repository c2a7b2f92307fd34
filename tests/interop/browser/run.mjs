// The listener's pages in a real browser: what a person sees, at two widths, in light and dark.
//
// Wants Debian's chromium and, in this folder, `npm ci`. Takes the program of serve.rs (cargo's example consent_page) from
// CONSENT_PAGE, or from target/debug/examples. Screenshots go to the folder that SCREENSHOTS names, else to
// target/screenshots. Prints `ok NAME` or `not ok NAME: why` for each check; ends with 1 if one failed.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const program = process.env.CONSENT_PAGE ?? join(root, "target/debug/examples/consent_page");
const shots = process.env.SCREENSHOTS ?? join(root, "target/screenshots");
const STATE = "the-right-state";
const HOSTILE = `<script>document.title = "owned"</script><img src=x onerror="document.title='owned'">`;
const LONG = "The administrator of your organisation has not yet approved this application: " + "averyveryverylongword".repeat(8);

const VISITS = [
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
    name: "turned-away",
    query: { code: "a", state: "wrong" },
    status: 400,
    heading: "This visit was not expected",
    text: "go back to the application",
  },
];

let failed = 0;
function check(name, good, found) {
  console.log(good ? `ok ${name}` : `not ok ${name}: ${JSON.stringify(found)}`);
  if (!good) failed += 1;
}

/** The program, where it listens, and a promise of what it says in the end. */
async function startListener(application) {
  const child = spawn(program, application ? [STATE, application] : [STATE], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value: redirect } = await lines.next();
  return { child, redirect, outcome: lines.next().then((line) => line.value) };
}

async function checkPage(page, visit, scheme, width) {
  const name = `${visit.name} ${scheme} ${width}`;
  const loaded = [];
  const complaints = [];
  page.on("request", (request) => loaded.push(new URL(request.url()).pathname));
  page.on("console", (message) => complaints.push(message.text()));
  const { child, redirect, outcome } = await startListener(visit.application);
  try {
    const answer = await page.goto(`${redirect}?${new URLSearchParams(visit.query)}`);
    check(`${name}: status`, answer.status() === visit.status, answer.status());
    check(`${name}: heading`, (await page.locator("h1").innerText()) === visit.heading, await page.locator("h1").innerText());
    const status = await page.getByRole("status").innerText();
    check(`${name}: words`, status.includes(visit.text), status);
    check(`${name}: title`, (await page.title()) === visit.heading, await page.title());
    check(`${name}: language`, (await page.locator("html").getAttribute("lang")) === "en");
    // The style is there although nothing else may load: the policy's hash is right.
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    check(`${name}: style`, ground === (scheme === "dark" ? "rgb(18, 21, 24)" : "rgb(243, 244, 247)"), ground);
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    check(`${name}: fits`, !sideways);
    check(`${name}: nothing else is loaded`, loaded.every((path) => path === "/callback" || path === "/favicon.ico"), loaded);
    const others = complaints.filter((text) => !/status of (400|404)|favicon/.test(text));
    check(`${name}: the console is quiet`, others.length === 0, others);
    await page.screenshot({ path: join(shots, `${visit.name}-${scheme}-${width}.png`), fullPage: true });
    if (visit.outcome) check(`${name}: outcome`, (await outcome)?.startsWith(visit.outcome), await outcome);
  } finally {
    child.kill();
  }
}

mkdirSync(shots, { recursive: true });
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
  for (const visit of VISITS) {
    for (const scheme of ["light", "dark"]) {
      for (const width of [320, 1280]) {
        const page = await browser.newPage();
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height: width === 320 ? 640 : 800 });
        await checkPage(page, visit, scheme, width).catch((error) => check(`${visit.name} ${scheme} ${width}`, false, String(error)));
        await page.close();
      }
    }
  }
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
