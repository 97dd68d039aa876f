//! What holds a password is masked, in every form people write it; what holds none stays.

use std::borrow::Cow;

use crate::audit::scrub;

/// Statements in which `hunter2` is a secret.
const SECRET: &[&str] = &[
    "CREATE ROLE bob PASSWORD 'hunter2'",
    "create role bob login password 'hunter2' valid until '2027-01-01'",
    "CREATE ROLE bob WITH ENCRYPTED PASSWORD 'hunter2'",
    "CREATE USER bob UNENCRYPTED PASSWORD 'hunter2'",
    "ALTER ROLE bob PASSWORD E'hun\\tter2 hunter2'",
    "ALTER ROLE bob PASSWORD e'it\\'s hunter2'",
    "ALTER ROLE bob PASSWORD U&'hunter2' UESCAPE '!'",
    "ALTER ROLE bob PASSWORD $$hunter2$$",
    "ALTER ROLE bob PASSWORD $pw$hunter2$pw$",
    "ALTER ROLE bob PASSWORD 'it''s hunter2'",
    "ALTER ROLE bob PASSWORD 'first'\n  'hunter2'",
    "ALTER USER bob /* quick */ PASSWORD -- now\n 'hunter2'",
    "ALTER USER \"bob\" PASSWORD 'hunter2';",
    "ALTER USER CURRENT_USER WITH PASSWORD 'hunter2'; SELECT 1",
    "ALTER ROLE bob PASSWORD 'hunter2",
    "ALTER ROLE bob PASSWD 'hunter2'",
    "ALTER ROLE bob PASWORD 'hunter2'",
    "CREATE USER 'bob' IDENTIFIED BY 'hunter2'",
    "SELECT 1; ALTER ROLE bob PASSWORD 'hunter2'",
    "CREATE GROUP g PASSWORD 'hunter2'",
    "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'bob', password 'hunter2')",
    "ALTER USER MAPPING FOR bob SERVER s OPTIONS (SET password 'hunter2')",
    "CREATE USER MAPPING FOR bob SERVER s OPTIONS (\"sslpassword\" 'hunter2')",
    "CREATE USER MAPPING FOR bob SERVER s OPTIONS (aws_key 'hunter2')",
    "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', api_token 'hunter2')",
    "CREATE SUBSCRIPTION s CONNECTION 'host=h user=u password=hunter2' PUBLICATION p",
    "ALTER SUBSCRIPTION s CONNECTION 'host=h password=''hunter2'''",
    "ALTER SYSTEM SET primary_conninfo = 'host=h password=hunter2 port=5432'",
    "ALTER SYSTEM SET ssl_passphrase_command TO 'echo hunter2'",
    "SELECT dblink_connect('host=h user=u password=hunter2 dbname=d')",
    "SELECT dblink_connect('c', 'postgresql://u:hunter2@h/d')",
    "SELECT * FROM dblink($$host=h password=hunter2$$, 'select 1') AS t(a int)",
    "SELECT * FROM dblink('password = ''hunter2'' host=h', 'select 1') AS t(a int)",
    "\\connect postgres://bob:hunter2@db.example/prod",
    "\\c \"host=h password=hunter2\"",
    "\\c host=h password=hunter2",
    "\\connect postgresql://db.example/prod?user=bob&password=hunter2&sslmode=require",
    "SET app.password = 'hunter2'",
    "SET LOCAL my.api_key TO 'hunter2'",
    "SELECT set_config('app.secret', 'hunter2', true)",
    "UPDATE users SET password = 'hunter2' WHERE id = 7",
    "UPDATE users SET password = crypt('hunter2', gen_salt('bf'))",
    "UPDATE users SET \"userPassword\" = md5('hunter2' || 'x')",
    "UPDATE users SET (name, password) = ('bob', 'hunter2')",
    "UPDATE users SET (name, password) = ROW('bob', 'hunter2')",
    "INSERT INTO users (name, password, age) VALUES ('bob', 'hunter2', 7), ('eve', 'x hunter2', 8)",
    "INSERT INTO users (name, password) SELECT 'bob', 'x' WHERE password_hash <> 'hunter2'",
    "SELECT * FROM users WHERE password IN ('a', 'hunter2')",
    "SELECT * FROM users WHERE password LIKE 'hunter2%'",
    "SELECT * FROM users u WHERE u.api_token = 'hunter2'",
    "SELECT * FROM users WHERE password = any(array['a', 'hunter2'])",
    "SELECT name FROM users WHERE pass = crypt('hunter2', pass)",
    "SELECT pgp_sym_encrypt('text', 'hunter2')",
    "SELECT hmac('data', 'hunter2', 'sha256')",
    "DO $$ BEGIN EXECUTE 'ALTER ROLE bob PASSWORD ''hunter2'''; END $$",
    "DO $x$ BEGIN ALTER ROLE bob PASSWORD 'hunter2'; END $x$",
    "DO 'BEGIN ALTER ROLE bob PASSWORD ''hunter2''; END'",
    "DO E'BEGIN ALTER ROLE bob PASSWORD \\'hunter2\\'; END'",
    "SELECT format('ALTER ROLE %I PASSWORD %L', 'bob', 'hunter2')",
    "SELECT 'ALTER ROLE bob PASSWORD ' || quote_literal('hunter2')",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $f$ ALTER ROLE bob PASSWORD 'hunter2' $f$",
    "PREPARE p AS UPDATE users SET secret = 'hunter2'",
    "SELECT '{\"password\": \"hunter2\", \"name\": \"bob\"}'::jsonb",
    "SELECT '{\"auth\": {\"token\":\"hunter2\"}}'",
    "SELECT http_header('Authorization', 'Bearer hunter2hunter2hunter2')",
    "SELECT 1 -- password: hunter2",
    "/* PGPASSWORD=hunter2 */ SELECT 1",
    "ALTER ROLE bob PASSWORD 'SCRAM-SHA-256$4096:hunter2==$a:b'",
    "SELECT 'SCRAM-SHA-256$4096:hunter2==$a:b'",
    "COPY t FROM PROGRAM 'curl https://u:hunter2@example.com/x'",
    "CREATE DATABASE LINK x USING (password => 'hunter2')",
    "SELECT connect(host => 'h', password := 'hunter2')",
    "SELECT '-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----'",
    "PASSWORD 'hunter2'",
];

#[test]
fn no_password_stays_in_any_form() {
    let mut leaks = Vec::new();
    for text in SECRET {
        let scrubbed = scrub::statement(text);
        if scrubbed.contains("hunter2") {
            leaks.push(format!("{text}\n  → {scrubbed}"));
        }
        let again = scrub::statement(&scrubbed).into_owned();
        assert_eq!(again, scrubbed, "scrubbing twice changes {text}");
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    assert!(SECRET.len() >= 70);
}

#[test]
fn what_holds_no_secret_stays_byte_for_byte() {
    for text in [
        "SELECT 1",
        "",
        "SELECT 'it''s', E'a\\'b', $$x$$, U&'d\\0061t' FROM \"Users\" WHERE a = $1 -- why not",
        "SELECT password FROM users WHERE id = '5'",
        "SELECT name, password, age FROM users WHERE name = 'bob' AND age > 7",
        "SELECT token.id FROM token WHERE token.kind = 'word'",
        "CREATE TABLE t (id int PRIMARY KEY, name text DEFAULT 'x', password text NOT NULL)",
        "SELECT u.name FROM users u JOIN tokens t ON t.user_id = u.id WHERE u.name = 'bob'",
        "ALTER ROLE bob SET search_path = 'shop'",
        "ALTER ROLE bob VALID UNTIL '2027-01-01'",
        "SET password_encryption = 'scram-sha-256'",
        "INSERT INTO t (id, name) VALUES (1, 'secretary of state')",
        "INSERT INTO users (name, password) VALUES ($1, $2)",
        "SELECT * FROM orders WHERE note LIKE '%key%'",
        "/* a /* nested */ comment */ SELECT 'https://example.com/a@b'",
        "SELECT a::text, b->>'name' FROM t WHERE c <@ '{1,2}'",
        "BEGIN; UPDATE t SET a = 'b' WHERE key = 'c'; COMMIT",
        "SELECT 'unterminated",
        "SELECT $1, $tag, $$open",
        "\u{fffd}\u{1f600}'\u{e9}' key",
    ] {
        let scrubbed = scrub::statement(text);
        assert_eq!(scrubbed, text);
    }
}

#[test]
fn only_the_secret_is_masked() {
    for (text, expected) in [
        (
            "CREATE ROLE bob LOGIN PASSWORD 'x' VALID UNTIL '2027-01-01' CONNECTION LIMIT 3",
            "CREATE ROLE bob LOGIN PASSWORD '***' VALID UNTIL '2027-01-01' CONNECTION LIMIT 3",
        ),
        (
            "INSERT INTO u (name, password) VALUES ('bob', 'x'), ('eve', 'y') RETURNING 'z'",
            "INSERT INTO u (name, password) VALUES ('bob', '***'), ('eve', '***') RETURNING 'z'",
        ),
        (
            "UPDATE u SET password = 'x', name = 'bob' WHERE city = 'Rome'",
            "UPDATE u SET password = '***', name = 'bob' WHERE city = 'Rome'",
        ),
        (
            "CREATE USER MAPPING FOR b SERVER s OPTIONS (user 'bob', password 'x')",
            "CREATE USER MAPPING FOR b SERVER s OPTIONS (user 'bob', password '***')",
        ),
        (
            "SELECT dblink_connect('host=h password=x dbname=d')",
            "SELECT dblink_connect('host=h password=*** dbname=d')",
        ),
        (
            "\\c postgresql://bob:x@h:5432/d?sslmode=require",
            "\\c postgresql://bob:***@h:5432/d?sslmode=require",
        ),
        (
            "SELECT '{\"a\": 1, \"password\": \"x\", \"b\": 2}'",
            "SELECT '{\"a\": 1, \"password\": \"***\", \"b\": 2}'",
        ),
        (
            "ALTER ROLE bob PASSWORD 'x'; SELECT 'y'",
            "ALTER ROLE bob PASSWORD '***'; SELECT 'y'",
        ),
    ] {
        assert_eq!(scrub::statement(text), expected);
    }
}

#[test]
fn errors_that_quote_statements_are_masked() {
    for text in [
        "ERROR: boom\nCONTEXT: SQL statement \"ALTER ROLE bob PASSWORD 'hunter2'\"\nPL/pgSQL function f()",
        "connection failed: password=hunter2 host=h",
        "could not connect to postgres://u:hunter2@h/d: timeout",
        "token: eyJhbGciOiJSUzI1NiJ9.eyJodW50ZXIyIjoxfQ.hunter2",
    ] {
        let scrubbed = scrub::plain(text);
        assert!(!scrubbed.contains("hunter2"), "{scrubbed}");
    }
    let kept = "it's for bob's role: reset the user's mail, don't worry";
    assert_eq!(scrub::plain(kept), kept);
}

#[test]
fn json_stays_json() {
    let text =
        "[\"bob\",\"password=hunter2 host=h\",null,7]\n{\"token\":\"hunter2\",\"n\":\"x\"}\n";
    let scrubbed = scrub::json(text);
    assert_eq!(
        scrubbed,
        "[\"bob\",\"password=*** host=h\",null,7]\n{\"token\":\"***\",\"n\":\"x\"}\n"
    );
    assert!(matches!(scrub::json("[\"bob\"]"), Cow::Borrowed(_)));
}

proptest::proptest! {
    #[test]
    fn scrubbing_any_text_ends_and_takes_nothing_harmless(text in "[a-zA-Z0-9'\"$\\\\/*().,;=: -]{0,200}") {
        let scrubbed = scrub::statement(&text).into_owned();
        let suspicious = ["pass", "pwd", "secret", "token", "key", "role", "user", "group", "server", "cred", "bearer",
            "crypt", "hmac", "://", "subscr", "akia", "eyj"];
        if !suspicious.iter().any(|sign| text.to_lowercase().contains(sign)) {
            proptest::prop_assert_eq!(&scrubbed, &text);
        }
    }

    #[test]
    fn a_password_is_gone_wherever_it_stands(before in "[a-z0-9 ,.()]{0,40}", after in "[a-z0-9 '\",.();]{0,40}") {
        let text = format!("{before}; ALTER ROLE bob PASSWORD 'hunter2' {after}");
        proptest::prop_assert!(!scrub::statement(&text).contains("hunter2"));
    }
}

#[test]
fn errors_do_not_quote_the_secrets_of_their_statement() {
    for (text, statement, expected) in [
        (
            "syntax error at or near \"'hunter22'\"",
            "ALTER ROLE x PASSWORD 'hunter22' 'more'",
            "syntax error at or near \"'***'\"",
        ),
        (
            "role \"x\" does not exist",
            "ALTER ROLE x PASSWORD 'hunter22'",
            "role \"x\" does not exist",
        ),
        ("near \"'t'\"", "SELECT 't'", "near \"'t'\""),
        (
            "hunter2 and hunter22",
            "ALTER ROLE x PASSWORD 'hunter2'; ALTER ROLE x PASSWORD 'hunter22'",
            "*** and ***",
        ),
    ] {
        assert_eq!(scrub::quoting(text, statement), expected);
    }
}
