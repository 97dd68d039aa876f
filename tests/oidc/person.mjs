// A person in front of a browser: headless Chromium that goes through the provider's own pages.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export async function open() {
  const profile = await mkdtemp(join(tmpdir(), 'dbgate-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.DBGATE_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: flags,
  });
  return {
    context,
    // Opens the address, signs in where it is asked, agrees where it is asked; says what the last page says.
    async signIn(url, name) {
      const page = await context.newPage();
      await page.goto(url);
      const login = page.locator('input[name=login]');
      if (await login.count()) {
        await login.fill(name);
        await page.locator('input[name=password]').fill('any');
        await page.locator('button[type=submit]').click();
        await page.waitForLoadState();
      }
      if (!page.url().includes('/callback')) {
        const consent = page.locator('button[type=submit]');
        if (await consent.count()) await consent.first().click();
      }
      await page.waitForURL(/\/callback/);
      const text = await page.locator('body').innerText();
      await page.close();
      return text;
    },
    async cancel(url) {
      const page = await context.newPage();
      await page.goto(url);
      await page.getByText('Cancel', { exact: false }).first().click();
      await page.waitForURL(/\/callback/);
      const text = await page.locator('body').innerText();
      await page.close();
      return text;
    },
    async forget() {
      await context.clearCookies();
    },
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
