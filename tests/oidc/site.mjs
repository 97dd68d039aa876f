// dbgate itself: a demo for PostgreSQL and certificates, and beside it a broker that trusts the provider.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const binary = process.env.DBGATE ?? new URL('../../target/lean/dbgate', import.meta.url).pathname;

const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(DBGATE|BROWSER|DISPLAY|WAYLAND)/.test(name)));

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

async function until(what, check, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

export async function start(issuer, { token = '1h' } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'dbgate-oidc-'));
  // PostgreSQL runs as somebody else when we are root.
  await chmod(folder, 0o711);
  const demo = spawn(binary, ['demo', '--json', '--dir', join(folder, 'demo')], { env: clean });
  let said = '';
  demo.stdout.on('data', (chunk) => { said += chunk; });
  let complaints = '';
  demo.stderr.on('data', (chunk) => { complaints += chunk; });
  const ready = await until('the demo', () => {
    if (demo.exitCode !== null) throw new Error(`the demo ended: ${complaints}`);
    return said.includes('\n') && JSON.parse(said);
  }, 60);
  const port = await freePort();
  const text = (await readFile(ready.config_file, 'utf8'))
    .replace(/data_dir = .*/, `data_dir = "${folder}/broker"`)
    .replace(/audit_dir = .*/, `audit_dir = "${folder}/audit"`)
    .replace(/address = .*/, `address = "127.0.0.1:${port}"`)
    .replace(/\[\[issuer\]\][^[]*/, `[[issuer]]
url = "${issuer}"
audience = "dbgate"
client_id = "dbgate"
scopes = ["openid", "email", "groups", "offline_access"]
groups_claim = "groups"

[limits]
token = "${token}"

`)
    // The array of scopes looks like a table's head to the expression above.
    .replace(/\n\["openid"[^\n]*\nkind_claim[^\n]*\ngroups_claim[^\n]*\ndisplay_claim[^\n]*\n/, '\n');
  const config = join(dirname(ready.config_file), 'beside.toml');
  await writeFile(config, text);
  const broker = spawn(binary, ['broker', 'run', '--config', config], { env: clean });
  let log = '';
  broker.stderr.on('data', (chunk) => { log += chunk; });
  broker.stdout.on('data', (chunk) => { log += chunk; });
  const url = `https://127.0.0.1:${port}`;
  const answers = () => new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
  await until('the broker', async () => {
    if (broker.exitCode !== null) throw new Error(`the broker ended: ${log}`);
    return answers();
  }).catch(async (error) => {
    await stop(broker);
    await stop(demo);
    throw new Error(`${error.message}: ${log}`);
  });

  // One command of ours, to its end. `opened` gets the address somebody has to open.
  async function run(args, { config_dir = join(folder, 'config'), env = {}, opened } = {}) {
    await mkdir(config_dir, { recursive: true });
    const child = spawn(binary, args, {
      env: { ...clean, DBGATE_URL: url, DBGATE_CA_FILE: ready.ca_file, DBGATE_CONFIG_DIR: config_dir, ...env },
    });
    child.stdin.end();
    const result = { out: '', err: '' };
    child.stdout.on('data', (chunk) => { result.out += chunk; });
    let told = false;
    child.stderr.on('data', (chunk) => {
      result.err += chunk;
      const address = /^http\S+(?=\n)/m.exec(result.err);
      if (address && opened && !told) {
        told = true;
        opened(address[0]).then((page) => { result.page = page; }, (error) => {
          result.page = `${error}`;
          child.kill('SIGKILL');
        });
      }
    });
    const [code] = await once(child, 'close');
    if (opened && code === 0) await until('the page', () => result.page);
    return { ...result, code };
  }

  return {
    url,
    folder,
    binary,
    database: ready.database,
    env: (config_dir) => ({ DBGATE_URL: url, DBGATE_CA_FILE: ready.ca_file, DBGATE_CONFIG_DIR: config_dir }),
    run,
    log: () => log,
    async close() {
      await stop(broker);
      await stop(demo);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
