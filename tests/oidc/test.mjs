// Signing in at a provider nobody here wrote, in a real browser, and staying signed in.

import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, stat, symlink, writeFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import * as person from './person.mjs';
import * as provider from './provider.mjs';
import * as site from './site.mjs';

let issuer;
let keys;
let dbgate;
let someone;

before(async () => {
  keys = {};
  for (const alg of ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']) keys[alg] = await provider.makeKey(alg);
  issuer = await provider.start({ keys: Object.values(keys), alg: 'RS256', thin: true });
  // A token is renewed when it has less than 60 s left: this one is renewed with every command.
  dbgate = await site.start(issuer.issuer, { token: '61s' });
  someone = await person.open();
}, { timeout: 120_000 });

after(async () => {
  await someone?.close();
  await dbgate?.close();
  await issuer?.stop();
});

function fresh(name) {
  return join(dbgate.folder, 'people', name);
}

async function login(config_dir, name, more = []) {
  await someone.forget();
  return dbgate.run(['login', '--no-browser', '--token-store', 'file', '-o', 'json', ...more], {
    config_dir,
    opened: (url) => someone.signIn(url, name),
  });
}

async function status(config_dir, env) {
  const result = await dbgate.run(['status', '-o', 'json'], { config_dir, env });
  return { ...result, json: result.code === 0 ? JSON.parse(result.out) : null };
}

test('a person signs in with every algorithm, with thick and with thin tokens', async () => {
  for (const alg of ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
    for (const thin of [true, false]) {
      issuer.configure({ keys: Object.values(keys), alg, thin });
      const asked = issuer.hits('/me');
      const result = await login(fresh(`${alg}-${thin}`), 'ada');
      assert.equal(result.code, 0, `${alg} ${result.err}`);
      assert.match(result.page, /You can close this window/);
      const { subject } = JSON.parse(result.out);
      assert.equal(subject.sub, 'ada');
      assert.deepEqual(subject.groups, ['engineers']);
      assert.equal(subject.display, 'ada@corp.example');
      assert.equal(issuer.hits('/me') > asked, thin, 'userinfo is asked for thin tokens alone');
    }
  }
  issuer.configure({ keys: Object.values(keys), alg: 'RS256', thin: true });
});

test('status says who, and where the sign-in is kept; the store is private', async () => {
  const config = fresh('status');
  assert.equal((await login(config, 'rex')).code, 0);
  const { json } = await status(config);
  assert.equal(json.subject.sub, 'rex');
  assert.match(json.store, /tokens/);
  const tokens = join(config, 'tokens');
  assert.equal((await stat(tokens)).mode & 0o777, 0o700);
  for (const name of await readdir(tokens)) {
    assert.equal((await stat(join(tokens, name))).mode & 0o777, 0o600, name);
  }
  await chmod(tokens, 0o755);
  const refused = await status(config);
  assert.equal(refused.code, 7);
  assert.match(refused.err, /others may enter it/);
});

test('the token is renewed silently, one refresh token after the other, by many commands at once', async () => {
  const config = fresh('renewal');
  assert.equal((await login(config, 'ada')).code, 0);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const all = await Promise.all(Array.from({ length: 6 }, () => status(config)));
  for (const one of all) assert.equal(one.code, 0, one.err);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  assert.equal((await status(config)).code, 0);
});

test('keys are rotated, at once and with overlap', async () => {
  const config = fresh('rotation');
  assert.equal((await login(config, 'ada')).code, 0);
  const next = await provider.makeKey('RS256');
  issuer.configure({ keys: [next, keys.RS256], alg: 'RS256', thin: true });
  // Keys are looked up at most once in 30 s.
  await new Promise((resolve) => setTimeout(resolve, 31_000));
  const overlapping = await status(config);
  assert.equal(overlapping.code, 0, overlapping.err);
  const abrupt = await provider.makeKey('RS256');
  issuer.configure({ keys: [abrupt], alg: 'RS256', thin: true });
  await new Promise((resolve) => setTimeout(resolve, 31_000));
  const after = await status(config);
  assert.equal(after.code, 0, after.err);
  keys.RS256 = abrupt;
  issuer.configure({ keys: Object.values(keys), alg: 'RS256', thin: true });
});

test('who is in no group of the policy is told which claim was looked for, and which came', async () => {
  for (const [name, expected] of [
    ['eve', /groups `sales` came, by the claim `groups`/],
    ['noa', /the token has no group in the claim `groups`; its claims are .*\bemail\b.*\bsub\b/],
  ]) {
    const config = fresh(name);
    assert.equal((await login(config, name)).code, 0);
    const result = await dbgate.run(['exec', dbgate.database, '-c', 'select 1'], { config_dir: config });
    assert.equal(result.code, 3, result.err);
    assert.match(result.err, /no role matched/);
    assert.match(result.err, /looked for .*`engineers`/);
    assert.match(result.err, expected);
  }
});

test('who acts for somebody keeps both names, into the audit log', async () => {
  for (const thin of [true, false]) {
    issuer.configure({ keys: Object.values(keys), alg: 'RS256', thin });
    for (const [name, id, behalf] of [['bot', 'bot', 'ada'], ['ada2', 'assistant', 'ada2']]) {
      const config = fresh(`${name}-${thin}`);
      assert.equal((await login(config, name)).code, 0);
      const { json } = await status(config);
      assert.equal(json.subject.kind, 'agent');
      assert.equal(json.subject.sub, id);
      assert.ok(json.subject.behalf.endsWith(`#${behalf}`), json.subject.behalf);
      const words = ['exec', dbgate.database, '-c', `select '${name} ${thin}'`];
      const result = await dbgate.run(words, { config_dir: config });
      assert.equal(result.code, 0, result.err);
    }
  }
  issuer.configure({ keys: Object.values(keys), alg: 'RS256', thin: true });
  const auditor = fresh('auditor');
  assert.equal((await login(auditor, 'ann')).code, 0);
  const log = await dbgate.run(['audit', 'search', '-o', 'ndjson'], { config_dir: auditor });
  assert.equal(log.code, 0, log.err);
  const entries = log.out.trim().split('\n').map((line) => JSON.parse(line));
  for (const [id, behalf] of [['bot', 'ada'], ['assistant', 'ada2']]) {
    const theirs = entries.filter((entry) => JSON.stringify(entry).includes('statement')
      && entry.subject?.sub === id && JSON.stringify(entry.subject.behalf ?? '').includes(`"${behalf}"`));
    assert.ok(theirs.length >= 2, `${id} for ${behalf}: ${log.out.slice(0, 2000)}`);
  }
});

test('whoever cancels in the browser is not signed in', async () => {
  const config = fresh('cancel');
  await someone.forget();
  const result = await dbgate.run(['login', '--no-browser', '--token-store', 'file'], {
    config_dir: config,
    opened: (url) => someone.cancel(url),
  });
  assert.equal(result.code, 4, result.err);
  assert.match(result.err, /access_denied/);
  assert.equal((await status(config)).code, 4);
});

test('BROWSER is started with the address as one word, and nothing of it reaches stdout', async () => {
  const config = fresh('browser');
  await mkdir(config, { recursive: true });
  const script = join(config, 'browser');
  const seen = join(config, 'seen');
  await writeFile(script, `#!/bin/sh\necho noise\necho noise >&2\nprintf '%s\\n' "$#" "$@" > ${seen}\n`);
  await chmod(script, 0o755);
  await someone.forget();
  const result = await dbgate.run(['login', '--token-store', 'file', '-o', 'json'], {
    config_dir: config,
    env: { BROWSER: script },
    opened: async () => {
      let text = '';
      while (!text.includes('http')) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        text = await readFile(seen, 'utf8').catch(() => '');
      }
      const [count, url] = text.split('\n');
      assert.equal(count, '1');
      return someone.signIn(url, 'ann');
    },
  });
  assert.equal(result.code, 0, result.err);
  assert.doesNotMatch(result.out + result.err, /noise/);
  assert.equal(JSON.parse(result.out).subject.sub, 'ann');
});

test('without a keyring a script is told what to choose, before any browser', async () => {
  const opened = [];
  const result = await dbgate.run(['login'], {
    config_dir: fresh('script'),
    env: { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent', XDG_RUNTIME_DIR: '/nonexistent' },
    opened: async (url) => { opened.push(url); return ''; },
  });
  assert.equal(result.code, 7, result.err);
  assert.match(result.err, /--token-store file/);
  assert.deepEqual(opened, []);
});

test('the memory store keeps nothing', async () => {
  const config = fresh('memory');
  const result = await dbgate.run(['login', '--no-browser', '--token-store', 'memory'], {
    config_dir: config,
    opened: async (url) => { await someone.forget(); return someone.signIn(url, 'ada'); },
  });
  assert.equal(result.code, 0, result.err);
  assert.ok(!(await readdir(config)).includes('tokens'));
  assert.equal((await status(config, { DBGATE_TOKEN_STORE: 'memory' })).code, 4);
});

test('a token folder that is a link is refused before the browser', async () => {
  const config = fresh('link');
  await mkdir(join(config, 'elsewhere'), { recursive: true });
  await symlink(join(config, 'elsewhere'), join(config, 'tokens'));
  const result = await dbgate.run(['login', '--no-browser', '--token-store', 'file'], { config_dir: config });
  assert.equal(result.code, 7, result.err);
  assert.match(result.err, /it is a link/);
});

test('a port may be chosen, and the ID token may come in a file', async () => {
  const config = fresh('chosen');
  const { createServer } = await import('node:net');
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address();
  await new Promise((resolve) => taken.close(resolve));
  await someone.forget();
  const result = await dbgate.run(['login', '--no-browser', '--token-store', 'file', '--port', `${port}`], {
    config_dir: config,
    opened: (url) => {
      assert.equal(new URL(url).searchParams.get('redirect_uri'), `http://127.0.0.1:${port}/callback`);
      return someone.signIn(url, 'ada');
    },
  });
  assert.equal(result.code, 0, result.err);

  // What a job brings: an ID token of the provider's, in a file and in the environment, without any login.
  const [name] = (await readdir(join(config, 'tokens'))).filter((entry) => entry.startsWith('login-'));
  const { refresh_token } = JSON.parse(await readFile(join(config, 'tokens', name), 'utf8'));
  const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'dbgate', refresh_token });
  const { id_token: token } = await (await fetch(`${issuer.issuer}/token`, { method: 'POST', body })).json();
  const file = join(config, 'token');
  await writeFile(file, `${token}\n`, { mode: 0o600 });
  for (const [words, env] of [
    [['--id-token-file', file], {}],
    [[], { DBGATE_ID_TOKEN_FILE: file }],
    [[], { DBGATE_ID_TOKEN: token }],
  ]) {
    const answer = await dbgate.run(['status', '-o', 'json', ...words], { config_dir: fresh('nobody'), env });
    assert.equal(answer.code, 0, answer.err);
    assert.equal(JSON.parse(answer.out).subject.sub, 'ada');
    assert.match(JSON.parse(answer.out).store, /the ID token came with the command/);
  }
});

test('a port in use is told', async () => {
  const taken = new URL(dbgate.url).port;
  const result = await dbgate.run(['login', '--no-browser', '--token-store', 'memory', '--port', taken], {
    config_dir: fresh('port'),
  });
  assert.equal(result.code, 7, result.err);
  assert.match(result.err, new RegExp(`port ${taken}`));
});

test('after a logout the tokens are worth nothing, here and at the issuer', async () => {
  const config = fresh('logout');
  assert.equal((await login(config, 'ada')).code, 0);
  const tokens = join(config, 'tokens');
  const [name] = (await readdir(tokens)).filter((entry) => entry.startsWith('login-'));
  const kept = await readFile(join(tokens, name));
  const out = await dbgate.run(['logout'], { config_dir: config });
  assert.equal(out.code, 0, out.err);
  assert.equal((await status(config)).code, 4);
  // Whoever had copied the file has nothing.
  await writeFile(join(tokens, name), kept, { mode: 0o600 });
  const stolen = await status(config);
  assert.equal(stolen.code, 4, stolen.err);
});

test('tokens that are not the broker\'s to take are refused with a reason', async () => {
  const config = fresh('bad');
  for (const [token, reason] of [
    ['nonsense', /no ID token/],
    ['eyJhbGciOiJub25lIn0.e30.', /signed with `none`/],
  ]) {
    const result = await status(config, { DBGATE_ID_TOKEN: token });
    assert.equal(result.code, 4, result.err);
    assert.match(result.err, reason);
  }
});
