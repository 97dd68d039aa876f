"""Talks to the gateway through asyncpg, which speaks binary and the extended protocol wherever it can."""
import asyncio
import io
import os
import ssl
import sys
import time
import uuid
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

TABLE = "asyncpg_" + uuid.uuid4().hex[:8]
CLEAR = "Radia Vogel"
EMAIL = "r***@***.com"
CARD = "******5433"
SELECT = "SELECT id, name, email, card FROM customers WHERE id = $1"


def settings():
    url = urlsplit(os.environ["DRIVERS_URL"])
    file = parse_qs(url.query).get("sslrootcert")
    return dict(
        host=url.hostname,
        port=url.port,
        user=url.username,
        password=unquote(url.password),
        database=url.path[1:],
        ssl=ssl.create_default_context(cafile=file[0]) if file else False,
    )


async def goes_on(connection):
    assert await connection.fetchval("SELECT 40 + $1::int4", 2) == 42


async def fails(error, asked):
    try:
        await asked
    except error as failed:
        return failed
    raise AssertionError(f"no {error.__name__}")


async def selects(connection):
    assert tuple(await connection.fetchrow(SELECT, 7)) == (7, CLEAR, EMAIL, CARD)
    row = await connection.fetchrow("SELECT tags, address, created_at, phone FROM customers WHERE id = $1", 7)
    assert row["tags"] == ["vip", "since2022"] and row["phone"] == "******59", row
    # An enum: asyncpg looks its type up with a long recursive query.
    assert await connection.fetchval("SELECT status FROM orders WHERE id = $1", 1) == "paid"


async def prepares(connection):
    statement = await connection.prepare(SELECT)
    for n in range(1, 20):
        row = await statement.fetchrow(n)
        assert row["id"] == n and "***" in row["email"], row


async def copies(connection):
    await connection.execute(f"CREATE TABLE {TABLE} (id int, note text)")
    await connection.copy_records_to_table(TABLE, records=[(n, f"line {n}") for n in range(1000)])
    await connection.copy_to_table(TABLE, source=io.BytesIO(b"1000,text\n"), format="csv")
    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}") == 1001
    out = io.BytesIO()
    await connection.copy_from_query("SELECT name, email FROM customers WHERE id = $1", 7, output=out)
    assert out.getvalue() == f"{CLEAR}\t{EMAIL}\n".encode(), out.getvalue()
    out = io.BytesIO()
    await connection.copy_from_table("customers", output=out, format="binary")
    assert out.getvalue().startswith(b"PGCOPY\n\xff\r\n\0") and out.getvalue().endswith(b"\xff\xff")
    assert EMAIL.encode() in out.getvalue() and b"@example.com" not in out.getvalue()


async def cancels(connection):
    begin = time.monotonic()
    await fails(asyncio.TimeoutError, connection.fetch("SELECT pg_sleep(30)", timeout=0.5))
    await goes_on(connection)
    assert time.monotonic() - begin < 10


async def transacts(connection):
    insert = f"INSERT INTO {TABLE} VALUES ($1, $2)"
    async with connection.transaction():
        await connection.execute(insert, 2000, "kept")
        inner = connection.transaction()
        await inner.start()
        await fails(asyncpg.DivisionByZeroError, connection.fetch("SELECT 1 / $1::int4", 0))
        await fails(asyncpg.InFailedSQLTransactionError, connection.fetch("SELECT 1"))
        await inner.rollback()
        await connection.execute(insert, 2001, "kept")
    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE} WHERE id >= 2000") == 2


async def is_refused(connection):
    for sql in ("DROP TABLE customers", "DELETE FROM orders", "SET ROLE postgres"):
        for ask in (connection.execute, connection.fetch, connection.prepare):
            error = await fails(asyncpg.InsufficientPrivilegeError, ask(sql))
            assert "denied" in str(error), error
            await goes_on(connection)
    async with connection.transaction():
        inner = connection.transaction()
        await inner.start()
        await fails(asyncpg.InsufficientPrivilegeError, connection.execute("DROP TABLE customers"))
        await inner.rollback()
        await goes_on(connection)


async def fetches_in_parts(connection):
    async with connection.transaction():
        asked = connection.cursor("SELECT id, email FROM customers ORDER BY id LIMIT $1", 50, prefetch=7)
        rows = [row async for row in asked]
    assert [row["id"] for row in rows] == list(range(1, 51))
    assert all("***" in row["email"] for row in rows)


async def writes_many(connection):
    await connection.executemany(f"INSERT INTO {TABLE} VALUES ($1, $2)", [(n, "many") for n in range(3000, 3200)])
    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE} WHERE id >= 3000") == 200


async def pools(_):
    """A pool resets a connection before it hands it to the next."""
    async with asyncpg.create_pool(min_size=1, max_size=3, **settings()) as pool:
        rows = await asyncio.gather(*(pool.fetchrow(SELECT, n) for n in range(1, 30)))
    assert all("***" in row["email"] for row in rows)


SUITE = [selects, prepares, copies, cancels, transacts, is_refused, fetches_in_parts, writes_many, pools]


async def main():
    failed = 0
    connection = await asyncpg.connect(**settings())
    for test in SUITE:
        try:
            await test(connection)
            await goes_on(connection)
            print(f"ok   {test.__name__}")
        except Exception as error:  # each test is its own
            failed += 1
            print(f"FAIL {test.__name__}: {type(error).__name__}: {error}")
            connection.terminate()
            connection = await asyncpg.connect(**settings())
    await connection.close()
    print(f"asyncpg {asyncpg.__version__}: {len(SUITE) - failed} of {len(SUITE)}")
    return int(failed > 0)


sys.exit(asyncio.run(main()))
