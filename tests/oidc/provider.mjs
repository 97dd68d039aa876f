// The certified OpenID provider (npm oidc-provider), with three people and keys that can be rotated.

import { generateKeyPair, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';

// It warns about what is for tests only; this is one.
for (const say of ['info', 'warn']) {
  const plain = console[say];
  console[say] = (...words) => (`${words[0]}`.includes('oidc-provider') ? undefined : plain(...words));
}
const { Provider } = await import('oidc-provider');

const generate = promisify(generateKeyPair);

const people = {
  ada: { email: 'ada@corp.example', groups: ['engineers'] },
  rex: { email: 'rex@corp.example', groups: ['reviewers'] },
  ann: { email: 'ann@corp.example', groups: ['auditors'] },
  eve: { email: 'eve@corp.example', groups: ['sales'] },
  noa: { email: 'noa@corp.example' },
  // Somebody acts for ada; and ada's own token was made for an agent.
  bot: { email: 'bot@corp.example', groups: ['engineers'], on_behalf_of: 'ada' },
  ada2: { email: 'ada2@corp.example', groups: ['engineers'], act: { sub: 'assistant' } },
};

// alg -> how its key is made
const kinds = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  ES384: ['ec', { namedCurve: 'P-384' }],
  EdDSA: ['ed25519', {}],
};

export async function makeKey(alg) {
  const { privateKey } = await generate(...kinds[alg]);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg };
}

// What the provider has handed out; it outlives a change of keys.
class Memory {
  static kept = new Map();

  constructor(model) { this.model = model; }

  key(id) { return `${this.model}:${id}`; }

  async upsert(id, payload) { Memory.kept.set(this.key(id), payload); }

  async find(id) { return Memory.kept.get(this.key(id)); }

  async findByUid(uid) {
    return [...Memory.kept].find(([key, value]) => key.startsWith(`${this.model}:`) && value.uid === uid)?.[1];
  }

  async findByUserCode() { return undefined; }

  async consume(id) { Memory.kept.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }

  async destroy(id) { Memory.kept.delete(this.key(id)); }

  async revokeByGrantId(grantId) {
    for (const [key, value] of Memory.kept) if (value.grantId === grantId) Memory.kept.delete(key);
  }
}

// thin: the ID token says who, and nothing more; the groups are at userinfo.
function build(issuer, { keys, alg, thin }) {
  return new Provider(issuer, {
    adapter: Memory,
    jwks: { keys },
    clients: [{
      client_id: 'dbgate',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: alg,
    }],
    claims: { openid: ['sub', 'act', 'on_behalf_of'], email: ['email'], groups: ['groups'] },
    scopes: ['openid', 'offline_access', 'email', 'groups'],
    conformIdTokenClaims: thin,
    enabledJWA: { idTokenSigningAlgValues: Object.keys(kinds) },
    pkce: { required: () => true },
    features: { revocation: { enabled: true }, devInteractions: { enabled: true } },
    cookies: { keys: ['a key for the tests'] },
    rotateRefreshToken: true,
    async findAccount(_ctx, sub) {
      return people[sub] && { accountId: sub, claims: async () => ({ sub, ...people[sub] }) };
    },
  });
}

// Listens once; what answers can be exchanged.
export async function start(settings) {
  let handler;
  const seen = [];
  const server = createServer((request, response) => {
    seen.push(request.url.split('?')[0]);
    handler(request, response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const configure = (next) => {
    handler = build(issuer, next).callback();
  };
  configure(settings);
  return {
    issuer,
    configure,
    hits: (path) => seen.filter((url) => url === path).length,
    stop: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }),
  };
}
