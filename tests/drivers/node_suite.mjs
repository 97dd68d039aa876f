// Talks to the gateway through node-postgres: what a Node program does, in text and in binary.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

import pg from "pg";
import copyStreams from "pg-copy-streams";
import Cursor from "pg-cursor";

const table = `node_${randomBytes(4).toString("hex")}`;
const clear = "Radia Vogel";
const email = "r***@***.com";
const card = "******5433";
const select = "SELECT id, name, email, card FROM customers WHERE id = $1";

function settings() {
    const url = new URL(process.env.DRIVERS_URL);
    const file = url.searchParams.get("sslrootcert");
    return {
        host: url.hostname,
        port: Number(url.port),
        user: decodeURIComponent(url.username),
        password: decodeURIComponent(url.password),
        database: url.pathname.slice(1),
        ssl: file ? { ca: readFileSync(file, "utf8") } : false,
    };
}

async function open() {
    const client = new pg.Client(settings());
    client.on("error", (error) => console.log(`connection: ${error.message}`));
    await client.connect();
    return client;
}

async function goesOn(client) {
    const answer = await client.query("SELECT 40 + $1::int AS sum", [2]);
    assert.equal(answer.rows[0].sum, 42);
}

async function collect(stream) {
    const parts = [];
    for await (const part of stream) parts.push(part);
    return Buffer.concat(parts);
}

// node-postgres keeps this to itself. It sends the key in clear text, as other drivers do; `secret` puts it in TLS.
async function cancel(client, secret) {
    const { connection } = new pg.Client(settings());
    await new Promise((resolve, reject) => {
        const send = () => connection.cancel(client.processID, client.secretKey);
        connection.once("error", reject);
        connection.once("end", resolve);
        connection.once("sslconnect", send);
        if (!secret) connection.ssl = false;
        connection.once("connect", () => (secret ? connection.requestSsl() : send()));
        connection.connect(settings().port, settings().host);
    });
}

const suite = {
    async "connects"(client) {
        const { rows } = await client.query("SHOW server_version");
        assert.match(rows[0].server_version, /^\d\d/);
    },

    async "selects in text"(client) {
        const simple = await client.query("SELECT id, name, email, card FROM customers WHERE id = 7");
        assert.deepEqual(simple.rows, [{ id: "7", name: clear, email, card }]);
        const { rows, fields } = await client.query(select, [7]);
        assert.deepEqual(rows, [{ id: "7", name: clear, email, card }]);
        assert.deepEqual(fields.map((field) => field.name), ["id", "name", "email", "card"]);
        const array = await client.query({ text: select, values: [7], rowMode: "array" });
        assert.deepEqual(array.rows, [["7", clear, email, card]]);
    },

    async "selects in binary"(client) {
        const { rows } = await client.query({ text: select, values: [7], binary: true });
        assert.equal(rows[0].name, clear);
        assert.equal(rows[0].email, email);
        assert.equal(rows[0].card, card);
        const { rows: typed } = await client.query({
            text: "SELECT 7::int4 AS n, true AS yes, created_at, email FROM customers WHERE id = 7",
            binary: true,
        });
        assert.equal(typed[0].n, 7);
        assert.equal(typed[0].yes, true);
        assert.equal(typed[0].email, email);
    },

    async "several statements in one"(client) {
        const answers = await client.query("SELECT 1 AS a; SELECT email FROM customers WHERE id = 7; SELECT 3 AS c");
        assert.deepEqual(answers.map((answer) => answer.rows), [[{ a: 1 }], [{ email }], [{ c: 3 }]]);
    },

    async "prepares once, runs again"(client) {
        for (let n = 1; n < 20; n += 1) {
            const { rows } = await client.query({ name: "by-id", text: select, values: [n] });
            assert.equal(rows[0].id, String(n));
            assert.match(rows[0].email, /\*\*\*/);
        }
        const { rows } = await client.query("SELECT count(*)::int AS n FROM pg_prepared_statements");
        assert.equal(rows[0].n, 1);
    },

    async "many at once"(client) {
        const asked = Array.from({ length: 50 }, (_, n) => client.query(select, [n + 1]));
        const answers = await Promise.all(asked);
        assert.deepEqual(answers.map((answer) => answer.rows[0].id), asked.map((_, n) => String(n + 1)));
    },

    async "copies in"(client) {
        await client.query(`CREATE TABLE ${table} (id int, note text)`);
        const sink = client.query(copyStreams.from(`COPY ${table} FROM STDIN`));
        const lines = Array.from({ length: 1000 }, (_, n) => `${n}\tline ${n}\n`);
        await pipeline(Readable.from(lines), sink);
        assert.equal(sink.rowCount, 1000);
        const binary = client.query(copyStreams.from(`COPY ${table} (id) FROM STDIN (FORMAT BINARY)`));
        const head = Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1");
        const row = Buffer.from([0, 1, 0, 0, 0, 4, 0, 0, 3, 232]);
        await pipeline(Readable.from([head, row, Buffer.from([255, 255])]), binary);
        const { rows } = await client.query(`SELECT count(*)::int AS n, max(id) AS last FROM ${table}`);
        assert.deepEqual(rows, [{ n: 1001, last: 1000 }]);
    },

    async "copies out"(client) {
        const text = await collect(client.query(copyStreams.to("COPY (SELECT id, name, email FROM customers WHERE id = 7) TO STDOUT")));
        assert.equal(text.toString(), `7\t${clear}\t${email}\n`);
        const all = await collect(client.query(copyStreams.to("COPY customers (id, email) TO STDOUT (FORMAT CSV)")));
        assert.equal(all.toString().trim().split("\n").length, 1000);
        assert.doesNotMatch(all.toString(), /@example\.com/);
        const binary = await collect(client.query(copyStreams.to("COPY (SELECT name FROM customers WHERE id = 7) TO STDOUT (FORMAT BINARY)")));
        assert.equal(binary.subarray(0, 6).toString(), "PGCOPY");
        assert.ok(binary.includes(clear));
        const masked = await collect(client.query(copyStreams.to("COPY (SELECT email FROM customers WHERE id = 7) TO STDOUT (FORMAT BINARY)")));
        const length = Buffer.alloc(4);
        length.writeInt32BE(email.length);
        const row = [Buffer.from([0, 1]), length, Buffer.from(email), Buffer.from([255, 255])];
        assert.deepEqual(masked.subarray(19), Buffer.concat(row));
        const own = await collect(client.query(copyStreams.to(`COPY ${table} TO STDOUT`)));
        assert.match(own.toString(), /^0\tline 0\n1\tline 1\n/);
    },

    async "cancels"(client) {
        for (const secret of settings().ssl ? [true, false] : [false]) {
            const before = Date.now();
            const asleep = assert.rejects(client.query("SELECT pg_sleep(30)"), { code: "57014" });
            await sleep(500);
            await cancel(client, secret);
            await asleep;
            assert.ok(Date.now() - before < 10_000);
            await goesOn(client);
        }
    },

    async "transacts"(client) {
        await client.query("BEGIN");
        await client.query(`INSERT INTO ${table} VALUES ($1, $2)`, [2000, "kept"]);
        await client.query("SAVEPOINT here");
        await assert.rejects(client.query("SELECT 1 / $1::int", [0]), { code: "22012" });
        await assert.rejects(client.query("SELECT 1"), { code: "25P02" });
        await client.query("ROLLBACK TO SAVEPOINT here");
        await client.query(`INSERT INTO ${table} VALUES ($1, $2)`, [2001, "kept"]);
        await client.query("COMMIT");
        const { rows } = await client.query(`SELECT id FROM ${table} WHERE id >= 2000 ORDER BY id`);
        assert.deepEqual(rows, [{ id: 2000 }, { id: 2001 }]);
    },

    async "is refused and goes on"(client) {
        for (const text of ["DROP TABLE customers", "DELETE FROM orders", "SET ROLE postgres"]) {
            await assert.rejects(client.query(text), { code: "42501", message: /denied/ });
            await goesOn(client);
            await assert.rejects(client.query({ text, queryMode: "extended" }), { code: "42501", message: /denied/ });
            await goesOn(client);
            await assert.rejects(client.query({ name: `named ${text}`, text }), { code: "42501", message: /denied/ });
            await goesOn(client);
        }
        await client.query("BEGIN");
        await client.query("SAVEPOINT here");
        await assert.rejects(client.query("DROP TABLE customers"), { code: "42501" });
        await client.query("ROLLBACK TO SAVEPOINT here");
        await goesOn(client);
        await client.query("COMMIT");
        const three = [client.query("SELECT 1"), client.query("DROP TABLE customers"), client.query("SELECT 3 AS n")];
        const settled = await Promise.allSettled(three);
        assert.deepEqual(settled.map((one) => one.status), ["fulfilled", "rejected", "fulfilled"]);
        assert.equal(settled[2].value.rows[0].n, 3);
    },

    async "refuses a COPY of server files"(client) {
        const sink = client.query(copyStreams.from(`COPY ${table} FROM '/etc/passwd'`));
        await assert.rejects(pipeline(Readable.from(["1\tx\n"]), sink), { code: "42501" });
    },

    async "fetches in parts"(client) {
        const cursor = client.query(new Cursor("SELECT id, email FROM customers ORDER BY id LIMIT $1", [50]));
        const seen = [];
        for (;;) {
            const rows = await cursor.read(7);
            if (rows.length === 0) break;
            seen.push(...rows);
        }
        await cursor.close();
        assert.equal(seen.length, 50);
        assert.ok(seen.every((row) => row.email.includes("***")));
        const left = client.query(new Cursor("SELECT id FROM customers ORDER BY id", []));
        assert.equal((await left.read(3)).length, 3);
        await left.close();
    },

    async "a pool"() {
        const pool = new pg.Pool({ ...settings(), max: 5 });
        const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => pool.query(select, [n + 1])));
        assert.ok(answers.every((answer) => answer.rows[0].email.includes("***")));
        await pool.end();
    },
};

let failed = 0;
let client = await open();
for (const [name, test] of Object.entries(suite)) {
    try {
        await test(client);
        await goesOn(client);
        console.log(`ok   ${name}`);
    } catch (error) {
        failed += 1;
        console.log(`FAIL ${name}: ${process.env.DRIVERS_TRACE ? error.stack : error.message}`);
        client.end().catch(() => {});
        client = await open();
    }
}
await client.end();
const { version } = JSON.parse(readFileSync(new URL("node_modules/pg/package.json", import.meta.url), "utf8"));
const all = Object.keys(suite).length;
console.log(`node-postgres ${version}: ${all - failed} of ${all}`);
process.exitCode = failed > 0 ? 1 : 0;
