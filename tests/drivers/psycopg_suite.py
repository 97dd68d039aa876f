"""Talks to the gateway through psycopg 3: what a Python program does, in text and in binary."""
import datetime
import decimal
import io
import os
import sys
import threading
import time
import uuid

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

URL = os.environ["DRIVERS_URL"]
TABLE = "psycopg_" + uuid.uuid4().hex[:8]
CLEAR = "Radia Vogel"
EMAIL = "r***@***.com"
CARD = "******5433"
SELECT = "SELECT id, name, email, card FROM customers WHERE id = %s"
FRESH = "SELECT 40 + %s"


def goes_on(connection):
    assert connection.execute(FRESH, (2,)).fetchone() == (42,)


def connects(connection):
    version = connection.execute("SHOW server_version").fetchone()[0]
    assert version[:2].isdigit(), version
    assert connection.info.server_version >= 120000
    assert connection.info.parameter_status("client_encoding") == "UTF8"


def selects_text(connection):
    cursor = connection.cursor(binary=False)
    assert cursor.execute(SELECT, (7,)).fetchone() == (7, CLEAR, EMAIL, CARD)
    plain = psycopg.ClientCursor(connection)
    assert plain.execute(SELECT, (7,)).fetchone() == (7, CLEAR, EMAIL, CARD)
    everything = cursor.execute("SELECT * FROM customers WHERE id = 7").fetchone()
    assert everything[2] == EMAIL and everything[4] == CARD, everything


def selects_binary(connection):
    cursor = connection.cursor(binary=True, row_factory=dict_row)
    row = cursor.execute(SELECT, (7,)).fetchone()
    assert row == {"id": 7, "name": CLEAR, "email": EMAIL, "card": CARD}, row
    row = cursor.execute(
        "SELECT birth_date, address, tags, created_at, phone FROM customers WHERE id = %b AND name = %b", (7, CLEAR)
    ).fetchone()
    assert row["birth_date"] == datetime.date(1950, 9, 17), row
    assert row["address"] == {"city": "Berlin", "zip": "10091"}, row
    assert row["tags"] == ["vip", "since2022"], row
    assert row["created_at"].tzinfo is not None
    assert row["phone"] == "******59", row
    price = cursor.execute("SELECT price FROM products WHERE id = 1").fetchone()["price"]
    assert price == decimal.Decimal("12.99"), price


def prepares(connection):
    cursor = connection.cursor()
    for n in range(1, 20):
        row = cursor.execute("SELECT id, email FROM customers WHERE id = %s", (n,), prepare=True).fetchone()
        assert row[0] == n and "***" in row[1], row
    assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0] >= 1


def prepares_many(connection):
    """More statements than psycopg keeps: it deallocates the oldest."""
    connection.prepared_max = 5
    for n in range(20):
        assert connection.execute(f"SELECT {n} + %s", (1,), prepare=True).fetchone() == (n + 1,)


def copies_in(connection):
    connection.execute(f"CREATE TABLE {TABLE} (id int, note text, at timestamptz)")
    with connection.cursor().copy(f"COPY {TABLE} (id, note) FROM STDIN") as copy:
        for n in range(1000):
            copy.write_row((n, f"line\t{n}\n"))
    with connection.cursor().copy(f"COPY {TABLE} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "timestamptz"])
        copy.write_row((1000, "binary", datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)))
        copy.write_row((1001, None, None))
    with connection.cursor().copy(f"COPY {TABLE} (id, note) FROM STDIN (FORMAT CSV)") as copy:
        copy.write(b"1002,\"a \"\"quoted\"\" word\"\n")
    count, last = connection.execute(f"SELECT count(*), max(id) FROM {TABLE}").fetchone()
    assert (count, last) == (1003, 1002), (count, last)
    assert connection.execute(f"SELECT note FROM {TABLE} WHERE id = 3").fetchone() == ("line\t3\n",)


def copy_in_given_up(connection):
    """An error in the client ends the COPY with CopyFail."""
    try:
        with connection.cursor().copy(f"COPY {TABLE} (id) FROM STDIN") as copy:
            copy.write_row((5000,))
            raise ValueError("changed my mind")
    except ValueError:
        pass
    assert connection.execute(f"SELECT count(*) FROM {TABLE} WHERE id = 5000").fetchone() == (0,)
    try:
        with connection.cursor().copy(f"COPY {TABLE} (id) FROM STDIN") as copy:
            copy.write(b"not a number\n")
        raise AssertionError("no error")
    except errors.InvalidTextRepresentation:
        pass


def copies_out(connection):
    with connection.cursor().copy("COPY (SELECT id, name, email FROM customers WHERE id = 7) TO STDOUT") as copy:
        assert list(copy.rows()) == [("7", CLEAR, EMAIL)]
    with connection.cursor().copy("COPY products (id, name, price) TO STDOUT (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "text", "numeric"])
        assert (1, "Chair 1", decimal.Decimal("12.99")) in list(copy.rows())
    with connection.cursor().copy("COPY customers (id, email, birth_date) TO STDOUT (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "text", "date"])
        rows = {id: (email, birth) for id, email, birth in copy.rows()}
    assert len(rows) == 1000 and all("***" in email for email, _ in rows.values())
    assert rows[7][0] == EMAIL and isinstance(rows[7][1], datetime.date), rows[7]
    out = io.BytesIO()
    with connection.cursor().copy("COPY customers (id, email) TO STDOUT (FORMAT CSV, HEADER)") as copy:
        for block in copy:
            out.write(block)
    assert out.getvalue().startswith(b"id,email\n1,l***@***.com\n"), out.getvalue()[:60]
    assert out.getvalue().count(b"\n") == 1001 and b"@example.com" not in out.getvalue()
    with connection.cursor().copy(f"COPY {TABLE} TO STDOUT (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "timestamptz"])
        assert sum(1 for _ in copy.rows()) == 1003


def copy_out_given_up(connection):
    """An error in the client makes psycopg cancel the COPY."""
    for sql in ("COPY customers TO STDOUT", "COPY (SELECT * FROM generate_series(1, 90000)) TO STDOUT"):
        try:
            with connection.cursor().copy(sql) as copy:
                next(iter(copy))
                raise ValueError("changed my mind")
        except ValueError:
            pass
        goes_on(connection)


def cancels(connection):
    threading.Timer(0.5, connection.cancel).start()
    begin = time.monotonic()
    try:
        connection.execute("SELECT pg_sleep(30)")
        raise AssertionError("not canceled")
    except errors.QueryCanceled as error:
        assert error.sqlstate == "57014"
    assert time.monotonic() - begin < 10
    goes_on(connection)
    threading.Timer(0.5, connection.cancel_safe).start()
    try:
        connection.execute("SELECT pg_sleep(%s)", (30,))
        raise AssertionError("not canceled")
    except errors.QueryCanceled:
        pass


def transacts(connection):
    with connection.transaction():
        connection.execute(f"INSERT INTO {TABLE} (id) VALUES (%s)", (2000,))
        try:
            with connection.transaction():
                connection.execute("SELECT 1 / %s::int", (0,))
        except errors.DivisionByZero:
            pass
        connection.execute(f"INSERT INTO {TABLE} (id) VALUES (%s)", (2001,))
    count = connection.execute(f"SELECT count(*) FROM {TABLE} WHERE id >= 2000").fetchone()[0]
    assert count == 2, count
    connection.autocommit = False
    try:
        connection.execute("SELECT nothing FROM customers")
        raise AssertionError("no error")
    except errors.UndefinedColumn:
        pass
    try:
        connection.execute("SELECT 1")
        raise AssertionError("no error")
    except errors.InFailedSqlTransaction:
        pass
    connection.rollback()
    connection.autocommit = True


def refuses(connection):
    for sql in ("DROP TABLE customers", "DELETE FROM orders", "SET ROLE postgres"):
        for prepare in (False, True):
            try:
                connection.execute(sql, prepare=prepare)
                raise AssertionError(f"not refused: {sql}")
            except errors.InsufficientPrivilege as error:
                assert "denied" in error.diag.message_primary, error.diag.message_primary
            goes_on(connection)
    with connection.transaction():
        try:
            with connection.transaction():
                connection.execute("DROP TABLE customers")
        except errors.InsufficientPrivilege:
            pass
        goes_on(connection)
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def pipelines(connection):
    with connection.pipeline():
        cursors = [connection.execute("SELECT id, email FROM customers WHERE id = %s", (n,)) for n in range(1, 50)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(1, 50))
    with connection.pipeline() as pipeline:
        first = connection.execute(FRESH, (1,))
        pipeline.sync()
        refused = connection.execute("DROP TABLE customers")
        after = connection.execute(FRESH, (2,))
        try:
            pipeline.sync()
            raise AssertionError("not refused")
        except errors.InsufficientPrivilege:
            pass
        last = connection.execute(FRESH, (3,))
        pipeline.sync()
        assert first.fetchone() == (41,)
        assert refused.description is None and after.description is None
        assert last.fetchone() == (43,)


def fetches_in_parts(connection):
    with connection.transaction(), connection.cursor("part") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT id, email FROM customers ORDER BY id LIMIT 50")
        rows = list(cursor)
        assert [row[0] for row in rows] == list(range(1, 51))
        assert all("***" in row[1] for row in rows)


def writes_many(connection):
    cursor = connection.cursor()
    cursor.executemany(f"INSERT INTO {TABLE} (id, note) VALUES (%s, %s)", [(n, "many") for n in range(3000, 3100)])
    assert cursor.rowcount == 100, cursor.rowcount
    cursor.executemany(
        f"UPDATE {TABLE} SET note = %s WHERE id = %s RETURNING id", [("x", n) for n in (3000, 3001)], returning=True
    )
    assert cursor.fetchone() == (3000,)


def notices(connection):
    heard = []
    connection.add_notice_handler(lambda diagnostic: heard.append(diagnostic.message_primary))
    connection.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} (id int)")
    assert heard and "already exists" in heard[0], heard


SUITE = [
    connects, selects_text, selects_binary, prepares, prepares_many, copies_in, copy_in_given_up, copies_out,
    copy_out_given_up, cancels, transacts, refuses, pipelines, fetches_in_parts, writes_many, notices,
]


def main():
    failed = 0
    connection = psycopg.connect(URL, autocommit=True)
    for test in SUITE:
        try:
            test(connection)
            goes_on(connection)
            print(f"ok   {test.__name__}")
        except Exception as error:  # each test is its own
            failed += 1
            print(f"FAIL {test.__name__}: {type(error).__name__}: {error}")
            if os.environ.get("DRIVERS_TRACE"):
                import traceback
                traceback.print_exc()
            connection.close()
            connection = psycopg.connect(URL, autocommit=True)
    connection.close()
    print(f"psycopg {psycopg.__version__}, libpq {psycopg.pq.version()}: {len(SUITE) - failed} of {len(SUITE)}")
    return int(failed > 0)


sys.exit(main())
