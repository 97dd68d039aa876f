-- What the figures are taken over: accounts to look up, and the same rows twice, once with columns that are protected.

CREATE TABLE account (id integer PRIMARY KEY, balance integer NOT NULL, owner text NOT NULL);
INSERT INTO account SELECT n, n % 1000, 'owner ' || n FROM generate_series(1, 100000) n;

CREATE TABLE clean (id integer, code text, name text, note text, amount numeric(12,2));
INSERT INTO clean
SELECT n, md5(n::text), 'name ' || n, repeat(chr(97 + n % 26), 30), n * 1.25 FROM generate_series(1, 1000000) n;

CREATE TABLE guarded AS SELECT * FROM clean;
CREATE TABLE keyed AS SELECT * FROM clean;
