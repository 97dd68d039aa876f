-- A second world for the red team: other types, other masks, triggers, policies, constraints and functions of its own.
-- Values of protected columns are canaries: `qz7x`, two letters for the column, the row, and fourteen letters of a hash.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS vault CASCADE;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public;
CREATE SCHEMA vault;
CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;
CREATE FUNCTION canary(code text, n int) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT 'qz7x' || code || substr(md5('clinic' || code || n), 1, 14) $$;
CREATE FUNCTION figure(code text, n int) RETURNS bigint LANGUAGE sql IMMUTABLE AS
  $$ SELECT 600000000 + ('x' || substr(md5('figure' || code || n), 1, 7))::bit(28)::int $$;

CREATE TYPE mood AS ENUM ('calm', 'worried', 'angry');
CREATE TYPE place AS (street text, town text);
CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE wards (id int PRIMARY KEY, name text NOT NULL UNIQUE, beds int NOT NULL DEFAULT 10, floor int NOT NULL);
CREATE TABLE patients (
  id int PRIMARY KEY,
  ward int NOT NULL REFERENCES wards(id),
  name text NOT NULL,
  mail mail NOT NULL UNIQUE,
  phone varchar(60),
  ssn char(24) NOT NULL,
  alias citext NOT NULL,
  born date NOT NULL,
  seen timestamptz NOT NULL,
  woken time NOT NULL,
  admitted timestamp NOT NULL,
  income numeric(14,2) NOT NULL,
  debt bigint NOT NULL,
  grade int NOT NULL,
  rank smallint NOT NULL,
  ratio double precision NOT NULL,
  dose real NOT NULL,
  alive boolean NOT NULL,
  code uuid NOT NULL,
  file jsonb NOT NULL,
  old json NOT NULL,
  photo bytea NOT NULL,
  tags text[] NOT NULL,
  address place NOT NULL,
  host inet NOT NULL,
  mood mood NOT NULL,
  stay daterange NOT NULL,
  discount numeric NOT NULL DEFAULT 0,
  color text NOT NULL DEFAULT 'blue',
  memo text,
  search tsvector,
  CONSTRAINT patients_discount CHECK (discount < income),
  CONSTRAINT patients_pair UNIQUE (color, debt, id));
CREATE INDEX patients_income ON patients (income);
CREATE INDEX patients_lower ON patients (lower(mail));
CREATE TABLE invoices (
  id int PRIMARY KEY, patient int NOT NULL REFERENCES patients(id) ON DELETE CASCADE, payer mail REFERENCES patients(mail),
  total numeric(10,2) NOT NULL, paid date, state text NOT NULL DEFAULT 'open', note text);
CREATE TABLE visits (
  id int NOT NULL, at date NOT NULL, patient int NOT NULL, report text NOT NULL, minutes int NOT NULL, PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM ('2000-01-01') TO ('2024-01-01');
CREATE TABLE visits_new PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2030-01-01');
CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, pin bigint NOT NULL);
CREATE TABLE doctors (license text NOT NULL) INHERITS (people);
CREATE TABLE vault.keys (id int PRIMARY KEY, owner int NOT NULL, secret text NOT NULL, hint text NOT NULL,
  secret_upper text GENERATED ALWAYS AS (upper(secret)) STORED);
CREATE TABLE "Odd Names" ("Key" int PRIMARY KEY, "The Secret" text NOT NULL, "select" text NOT NULL);
CREATE TABLE words (w text NOT NULL);
CREATE TABLE inbox (id serial PRIMARY KEY, a text, b text, n numeric, d date, j jsonb);
CREATE TABLE log (id serial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), what text NOT NULL);
CREATE TABLE tenants (id int PRIMARY KEY, name text NOT NULL, quota int NOT NULL);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants_all ON tenants USING (true) WITH CHECK (true);
CREATE TABLE bookings (room int NOT NULL, during daterange NOT NULL, who text NOT NULL,
  EXCLUDE USING gist (room WITH =, during WITH &&));
CREATE SEQUENCE tickets;

CREATE VIEW v_patients AS SELECT id, name, mail, phone, income, born FROM patients;
CREATE VIEW v_nested AS SELECT id AS k, mail AS contact, income AS points FROM v_patients WHERE id > 0;
CREATE VIEW v_rich AS SELECT id, name, EXISTS (SELECT 1 FROM patients x WHERE x.id = p.id AND x.income > 700000000) AS rich FROM patients p;
CREATE VIEW v_count AS SELECT id, (SELECT count(*) FROM patients x WHERE x.income > p.income) AS richer FROM patients p;
CREATE VIEW v_filtered AS SELECT id, name FROM patients WHERE income > 700000000;
CREATE VIEW v_sorted AS SELECT id, name FROM patients ORDER BY income;
CREATE VIEW v_window AS SELECT id, rank() OVER (ORDER BY income) AS place FROM patients;
CREATE VIEW v_case AS SELECT id, CASE WHEN income > 700000000 THEN 'high' ELSE 'low' END AS class FROM patients;
CREATE VIEW v_lateral AS SELECT p.id, l.x FROM patients p, LATERAL (SELECT p.mail AS x) l;
CREATE VIEW v_all AS SELECT * FROM patients;
CREATE VIEW v_whole AS SELECT id, p AS whole FROM patients p;
CREATE VIEW v_json AS SELECT id, jsonb_build_object('m', mail) AS doc FROM patients;
CREATE VIEW v_union AS SELECT id, name AS x FROM wards UNION ALL SELECT id, mail FROM patients;
CREATE VIEW v_agg AS SELECT ward, max(income) AS top, string_agg(mail, ',') AS mails FROM patients GROUP BY ward;
CREATE VIEW v_wards AS SELECT w.id, w.name, count(p.id) AS patients FROM wards w LEFT JOIN patients p ON p.ward = w.id GROUP BY w.id;
CREATE RECURSIVE VIEW v_chain(id, path) AS SELECT id, mail::text FROM patients WHERE id = 1
  UNION ALL SELECT p.id, c.path || p.mail FROM patients p JOIN v_chain c ON p.id = c.id + 1;
CREATE MATERIALIZED VIEW m_patients AS SELECT id, name, mail, income FROM patients WITH NO DATA;
CREATE MATERIALIZED VIEW m_rich AS SELECT id, EXISTS (SELECT 1 FROM patients x WHERE x.id = p.id AND x.income > 700000000) AS rich,
  (SELECT count(*) FROM patients x WHERE x.income > p.income) AS richer, row_number() OVER (ORDER BY income) AS place FROM patients p WITH NO DATA;

CREATE FUNCTION f_twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION f_mail(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT mail::text FROM patients WHERE id = $1';
CREATE FUNCTION f_known(text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT 1 FROM patients WHERE mail = $1)';
CREATE FUNCTION f_who(text) RETURNS int LANGUAGE sql STABLE AS 'SELECT id FROM patients WHERE mail = $1';
CREATE FUNCTION f_richer(numeric) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM patients WHERE income > $1';
CREATE FUNCTION f_atomic(i int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT mail FROM patients WHERE id = i; END;
CREATE FUNCTION f_row(int) RETURNS patients LANGUAGE sql STABLE AS 'SELECT * FROM patients WHERE id = $1';
CREATE FUNCTION f_set() RETURNS TABLE (k int, v text) LANGUAGE sql STABLE AS 'SELECT id, secret FROM vault.keys';
CREATE FUNCTION f_default(i int, x text DEFAULT 'none') RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT x || i';
CREATE FUNCTION f_notice(i int) RETURNS int LANGUAGE plpgsql AS $f$ DECLARE e text; BEGIN SELECT mail INTO e FROM patients WHERE id = i; RAISE NOTICE 'mail %', e; RETURN i; END $f$;
CREATE FUNCTION f_dyn(q text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $f$ DECLARE r text; BEGIN EXECUTE q INTO r; RETURN r; END $f$;
CREATE FUNCTION f_const() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RAISE NOTICE '%', (SELECT mail FROM patients WHERE id = 2); RETURN 1; END $f$;
CREATE FUNCTION full_name(p patients) RETURNS text LANGUAGE sql STABLE AS 'SELECT p.name || p.mail';
CREATE PROCEDURE p_fetch(INOUT x text) LANGUAGE plpgsql AS $f$ BEGIN SELECT mail INTO x FROM patients WHERE id = 2; END $f$;
CREATE AGGREGATE glue(text) (SFUNC = textcat, STYPE = text, INITCOND = '');
CREATE FUNCTION text_less(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < $2';
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = text_less);
CREATE OPERATOR #= (LEFTARG = text, RIGHTARG = text, FUNCTION = text_lt);

CREATE FUNCTION t_log() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE NOTICE 'changed: % % %', NEW.id, (SELECT mail FROM patients WHERE id = 3), (SELECT ssn FROM patients WHERE id = 4); RETURN NEW; END $f$;
CREATE TRIGGER inbox_log AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION t_log();
CREATE FUNCTION t_tell() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM pg_notify('changes', (SELECT mail FROM patients WHERE id = 5)); RETURN NEW; END $f$;
CREATE TABLE beacons (id int PRIMARY KEY, color text NOT NULL);
CREATE TRIGGER beacons_tell AFTER UPDATE ON beacons FOR EACH ROW EXECUTE FUNCTION t_tell();
CREATE FUNCTION t_fail() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'no: %', (SELECT secret FROM vault.keys WHERE id = 3) USING DETAIL = 'qz7x detail ' || (SELECT mail FROM patients WHERE id = 6); END $f$;
CREATE TRIGGER log_fail BEFORE DELETE ON log FOR EACH ROW EXECUTE FUNCTION t_fail();
CREATE FUNCTION t_copy() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.note := (SELECT mail FROM patients WHERE id = NEW.patient); RETURN NEW; END $f$;
--@seed
INSERT INTO wards SELECT i, 'Ward ' || i, 10 + i, i % 3 FROM generate_series(1, 4) i;
INSERT INTO patients
SELECT i, 1 + i % 4, 'Patient ' || lpad(i::text, 2, '0'), canary('em', i) || '@mail.example', canary('ph', i), canary('sn', i), canary('al', i),
  date '1931-01-01' + (figure('bo', i) % 500)::int, timestamptz '2024-02-02 02:02:02+00' + i * interval '31 hours 7 minutes 11 seconds',
  time '03:03:03' + i * interval '37 minutes 13 seconds', timestamp '2021-05-05 05:05:05' + i * interval '49 hours 3 minutes 7 seconds',
  figure('in', i) + 0.25, figure('de', i), figure('gr', i), 20000 + i * 7, figure('ra', i) + 0.25, (figure('do', i) % 8000000) + 0.5, i % 3 <> 0,
  ('7e57c0de-' || substr(md5('u' || i), 1, 4) || '-4' || substr(md5('u' || i), 5, 3) || '-8' || substr(md5('u' || i), 8, 3) || '-' || substr(md5('u' || i), 11, 12))::uuid,
  jsonb_build_object('pass', canary('js', i), 'n', i, 'deep', jsonb_build_object('list', jsonb_build_array(canary('js', i), i))),
  json_build_object('k', canary('jo', i)), convert_to(canary('by', i), 'UTF8'), ARRAY[canary('ta', i), canary('tb', i)], ROW(canary('st', i), 'Town ' || i)::place,
  ('10.' || i || '.33.' || (i * 7))::inet, (ARRAY['calm','worried','angry']::mood[])[1 + i % 3], daterange(date '1931-01-01' + i, date '1931-01-01' + i + 9), 0, 'blue', 'memo ' || i
FROM generate_series(1, 12) i;
INSERT INTO invoices SELECT i, 1 + i % 12, NULL, i * 10.5, CASE WHEN i % 2 = 0 THEN date '2024-05-05' + i END, 'open', 'note ' || i FROM generate_series(1, 30) i;
INSERT INTO visits SELECT i, date '2023-06-01' + i * 30, 1 + i % 12, 'report ' || canary('re', i), i FROM generate_series(1, 20) i;
INSERT INTO people SELECT i, 'Person ' || i, figure('pi', i) FROM generate_series(1, 4) i;
INSERT INTO doctors SELECT i, 'Doctor ' || i, figure('pi', i), 'L' || i FROM generate_series(5, 8) i;
INSERT INTO vault.keys SELECT i, i, canary('ke', i), 'hint ' || i FROM generate_series(1, 8) i;
INSERT INTO "Odd Names" SELECT i, canary('od', i), 'plain ' || i FROM generate_series(1, 5) i;
INSERT INTO beacons SELECT i, 'red' FROM generate_series(1, 3) i;
INSERT INTO words SELECT 'word' || i FROM generate_series(1, 10) i;
INSERT INTO inbox (a, b, n) VALUES ('a1', 'b1', 1);
INSERT INTO log (what) SELECT 'log ' || i FROM generate_series(1, 5) i;
INSERT INTO tenants SELECT i, 'Tenant ' || i, i * 100 FROM generate_series(1, 5) i;
INSERT INTO bookings VALUES (1, '[2024-01-01,2024-01-10)', canary('bk', 1)), (2, '[2024-02-01,2024-02-10)', canary('bk', 2));
--@after
REFRESH MATERIALIZED VIEW m_patients;
REFRESH MATERIALIZED VIEW m_rich;
CREATE TRIGGER invoices_copy BEFORE UPDATE ON invoices FOR EACH ROW WHEN (OLD.state = 'copy') EXECUTE FUNCTION t_copy();
GRANT USAGE, CREATE ON SCHEMA public, vault TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA public, vault TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public, vault TO PUBLIC;
DROP FUNCTION canary(text, int);
DROP FUNCTION figure(text, int);
GRANT postgres TO dbgate_write;
ANALYZE;
