// Where a sign-in is kept (a real keyring on a bus of its own, a file that a terminal was asked for), and what its end takes along.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import * as person from './person.mjs';
import * as provider from './provider.mjs';
import * as site from './site.mjs';

const exec = promisify(execFile);

let issuer;
let dbgate;
let someone;

before(async () => {
  const keys = [await provider.makeKey('ES256')];
  issuer = await provider.start({ keys, alg: 'ES256', thin: true });
  // A token of the broker's that has expired when the next command comes.
  dbgate = await site.start(issuer.issuer, { token: '3s' });
  someone = await person.open();
}, { timeout: 120_000 });

after(async () => {
  await someone?.close();
  await dbgate?.close();
  await issuer?.stop();
});

async function until(what, check, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// A bus of one's own with an unlocked keyring on it.
async function startKeyring(folder) {
  const runtime = join(folder, 'runtime');
  await mkdir(runtime, { recursive: true, mode: 0o700 });
  const plain = { PATH: process.env.PATH, HOME: folder, XDG_DATA_HOME: join(folder, 'data'), XDG_RUNTIME_DIR: runtime };
  const bus = spawn('dbus-daemon', ['--session', '--nofork', '--nopidfile', '--print-address=1'], { env: plain });
  const [line] = await once(bus.stdout, 'data');
  const env = { ...plain, DBUS_SESSION_BUS_ADDRESS: `${line}`.trim() };
  const daemon = spawn('gnome-keyring-daemon', ['--foreground', '--unlock', '--components=secrets'], { env });
  daemon.stdin.end('a password');
  const call = async (method, ...words) => {
    const target = ['--dest', 'org.freedesktop.secrets', '--object-path', '/org/freedesktop/secrets'];
    const { stdout } = await exec('gdbus', ['call', '--session', ...target, '--method', method, ...words], { env });
    return stdout;
  };
  const items = async () => (await call('org.freedesktop.Secret.Service.SearchItems', "{'service': 'dbgate'}")
    .catch(() => '')).match(/'\/[^']*'/g) ?? [];
  await until('the keyring', () => call('org.freedesktop.Secret.Service.ReadAlias', 'default').catch(() => false));
  return {
    env,
    items,
    lock: () => call('org.freedesktop.Secret.Service.Lock', "['/org/freedesktop/secrets/collection/login']"),
    async stop() {
      for (const child of [daemon, bus]) {
        if (child.exitCode === null) {
          child.kill('SIGKILL');
          await once(child, 'exit');
        }
      }
    },
  };
}

test('an unlocked keyring keeps the sign-in without a question, and gives it up at the logout', async () => {
  const config = join(dbgate.folder, 'people', 'keyring');
  const keyring = await startKeyring(join(dbgate.folder, 'keyring'));
  try {
    const { env } = keyring;
    await someone.forget();
    const login = await dbgate.run(['login', '--no-browser', '-o', 'json'], {
      config_dir: config,
      env,
      // Before anybody is sent to the issuer, the keyring was written, read and emptied again.
      opened: async (url) => {
        assert.deepEqual(await keyring.items(), [], 'the probe is left in the keyring');
        return someone.signIn(url, 'ada');
      },
    });
    assert.equal(login.code, 0, login.err);
    assert.equal(JSON.parse(login.out).store, "the system's keyring");
    assert.equal((await keyring.items()).length, 1);
    const kept = (await readdir(join(config, 'tokens')).catch(() => [])).filter((name) => name !== 'lock');
    assert.deepEqual(kept, [], 'nothing is in a file');
    assert.match(await readFile(join(config, 'config.toml'), 'utf8'), /token_store = "keyring"/);
    // Other processes, one of which renews what is kept.
    for (const wait of [0, 2000]) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      const status = await dbgate.run(['status', '-o', 'json'], { config_dir: config, env });
      assert.equal(status.code, 0, status.err);
      assert.equal(JSON.parse(status.out).store, "the system's keyring");
      assert.equal(JSON.parse(status.out).subject.sub, 'ada');
    }
    assert.equal((await keyring.items()).length, 1);
    const logout = await dbgate.run(['logout'], { config_dir: config, env });
    assert.equal(logout.code, 0, logout.err);
    assert.deepEqual(await keyring.items(), []);
    const status = await dbgate.run(['status'], { config_dir: config, env });
    assert.equal(status.code, 4, status.err);
  } finally {
    await keyring.stop();
  }
});

test('a keyring that is locked later is said, and what is in it stays', async () => {
  const config = join(dbgate.folder, 'people', 'locked');
  const keyring = await startKeyring(join(dbgate.folder, 'locked'));
  try {
    const { env } = keyring;
    await someone.forget();
    const login = await dbgate.run(['login', '--no-browser'], {
      config_dir: config, env, opened: (url) => someone.signIn(url, 'ada'),
    });
    assert.equal(login.code, 0, login.err);
    await keyring.lock();
    const status = await dbgate.run(['status'], { config_dir: config, env });
    assert.equal(status.code, 7, status.err);
    assert.match(status.err, /locked/);
    assert.equal((await keyring.items()).length, 1);
  } finally {
    await keyring.stop();
  }
});

// A terminal without a keyring, in which `dbgate login` runs.
async function terminal(config, name) {
  const socket = `dbgate-${process.pid}-${name}`;
  const tmux = (...words) => exec('tmux', ['-L', socket, '-f', '/dev/null', ...words]);
  const script = join(config, 'login.sh');
  await writeFile(script, `#!/bin/sh\n${dbgate.binary} login --no-browser\necho "code=$?"\nexec sleep 600\n`, { mode: 0o755 });
  const settings = { ...dbgate.env(config), DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent', XDG_RUNTIME_DIR: '/nonexistent' };
  const words = Object.entries(settings).flatMap(([key, value]) => ['-e', `${key}=${value}`]);
  await tmux('new-session', '-d', '-x', '300', '-y', '50', ...words, script);
  const text = async () => (await tmux('capture-pane', '-p', '-J')).stdout;
  return {
    text,
    type: (keys) => tmux('send-keys', keys, 'Enter'),
    see: (pattern) => until(`${pattern} in the terminal`, async () => pattern.exec(await text())),
    stop: () => tmux('kill-server').catch(() => {}),
  };
}

test('a terminal without a keyring is asked once whether a file will do', async () => {
  const config = join(dbgate.folder, 'people', 'terminal');
  await mkdir(config, { recursive: true });
  const asked = /Keep the sign-in in a file .*only you can read\? \[y\/N\]/;
  for (const round of [1, 2]) {
    await someone.forget();
    const screen = await terminal(config, `asked-${round}`);
    try {
      if (round === 1) {
        await screen.see(asked);
        assert.doesNotMatch(await screen.text(), /http\S+authorize|\/auth\?/, 'the browser comes after the question');
        await screen.type('y');
      }
      const [url] = await screen.see(/^http\S+/m);
      await someone.signIn(url, 'ada');
      const [, code] = await screen.see(/code=(\d+)/);
      const text = await screen.text();
      assert.equal(code, '0', text);
      assert.equal(asked.test(text), round === 1, text);
    } finally {
      await screen.stop();
    }
  }
  assert.match(await readFile(join(config, 'config.toml'), 'utf8'), /token_store = "file"/);
  const [name] = (await readdir(join(config, 'tokens'))).filter((entry) => entry.startsWith('login-'));
  assert.equal((await stat(join(config, 'tokens', name))).mode & 0o777, 0o600);
  const status = await dbgate.run(['status', '-o', 'json'], { config_dir: config });
  assert.match(JSON.parse(status.out).store, /^a file in /);
});

test('whoever says no is not signed in, and nothing is written', async () => {
  const config = join(dbgate.folder, 'people', 'no');
  await mkdir(config, { recursive: true });
  const screen = await terminal(config, 'no');
  try {
    await screen.see(/\[y\/N\]/);
    await screen.type('n');
    const [, code] = await screen.see(/code=(\d+)/);
    assert.equal(code, '7');
    assert.match(await screen.text(), /--token-store memory/);
    assert.doesNotMatch(await screen.text(), /^http\S+/m);
  } finally {
    await screen.stop();
  }
  assert.deepEqual((await readdir(config)).filter((name) => name !== 'login.sh'), []);
});

// A session that outlives its command; says whether a client gets in.
async function openSession(config) {
  const words = ['env', dbgate.database, '--format', 'url', '--duration', '30m', '--reason', 'a test'];
  const { out, err, code } = await dbgate.run(words, { config_dir: config });
  assert.equal(code, 0, err);
  const url = out.trim();
  return async () => {
    const { stdout } = await exec('psql', [url, '--no-psqlrc', '-Atc', 'select 40 + 2']).catch((error) => error);
    return stdout.trim() === '42';
  };
}

async function login(config) {
  await someone.forget();
  const result = await dbgate.run(['login', '--no-browser', '--token-store', 'file'], {
    config_dir: config, opened: (url) => someone.signIn(url, 'ada'),
  });
  assert.equal(result.code, 0, result.err);
}

test('a logout ends the sessions of the login, however old its token, and keeps them when it is told to', async () => {
  const config = join(dbgate.folder, 'people', 'leaving');
  await login(config);
  const works = await openSession(config);
  // The broker's token expires, and is renewed by a command: the login is the same.
  await new Promise((resolve) => setTimeout(resolve, 3500));
  assert.ok(await works(), 'a session needs no token');
  const another = await openSession(config);
  await new Promise((resolve) => setTimeout(resolve, 3500));
  const kept = await dbgate.run(['logout', '--keep-sessions'], { config_dir: config });
  assert.equal(kept.code, 0, kept.err);
  assert.ok(await works() && await another());

  await login(config);
  const first = await openSession(config);
  await new Promise((resolve) => setTimeout(resolve, 3500));
  const second = await openSession(config);
  await new Promise((resolve) => setTimeout(resolve, 3500));
  const elsewhere = join(dbgate.folder, 'people', 'elsewhere');
  await login(elsewhere);
  const other = await openSession(elsewhere);
  const out = await dbgate.run(['logout'], { config_dir: config });
  assert.equal(out.code, 0, out.err);
  assert.match(out.err, /your 2 open sessions were ended/);
  assert.deepEqual([await first(), await second()], [false, false]);
  assert.ok(await other() && await works(), 'other logins go on');
});

test('a logout needs no issuer to end the sessions', async () => {
  const config = join(dbgate.folder, 'people', 'alone');
  await login(config);
  const works = await openSession(config);
  await new Promise((resolve) => setTimeout(resolve, 3500));
  await issuer.stop();
  const out = await dbgate.run(['logout'], { config_dir: config });
  assert.equal(out.code, 0, out.err);
  assert.match(out.err, /the issuer was not told/);
  assert.equal(await works(), false);
});
