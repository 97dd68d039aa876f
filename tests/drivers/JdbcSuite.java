// Talks to the gateway through the PostgreSQL driver of JDBC: what a Java program or an IDE does.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

class JdbcSuite {
    static final String TABLE = "jdbc_" + Long.toHexString(System.nanoTime());
    static final String CLEAR = "Radia Vogel";
    static final String EMAIL = "r***@***.com";
    static final String CARD = "******5433";
    static final String SELECT = "SELECT id, name, email, card FROM customers WHERE id = ?";

    interface Test {
        void run(Connection connection) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Test> suite = new LinkedHashMap<>();
        suite.put("connects", JdbcSuite::connects);
        suite.put("selects in text", connection -> selects(0));
        suite.put("selects in binary", connection -> selects(-1));
        suite.put("simple protocol", connection -> simple());
        suite.put("prepares once, runs again", JdbcSuite::prepares);
        suite.put("copies in", JdbcSuite::copiesIn);
        suite.put("copies out", JdbcSuite::copiesOut);
        suite.put("cancels", JdbcSuite::cancels);
        suite.put("time limit of the client", JdbcSuite::timeLimit);
        suite.put("transacts", JdbcSuite::transacts);
        suite.put("is refused and goes on", JdbcSuite::refused);
        suite.put("fetches in parts", JdbcSuite::fetches);
        suite.put("batches", JdbcSuite::batches);
        suite.put("reads the catalog", JdbcSuite::catalog);
        int failed = 0;
        Connection connection = open(Map.of());
        for (var entry : suite.entrySet()) {
            try {
                entry.getValue().run(connection);
                goesOn(connection);
                System.out.println("ok   " + entry.getKey());
            } catch (Throwable error) {
                failed += 1;
                System.out.println("FAIL " + entry.getKey() + ": " + error);
                if (System.getenv("DRIVERS_TRACE") != null) error.printStackTrace();
                connection.close();
                connection = open(Map.of());
            }
        }
        String version = connection.getMetaData().getDriverVersion();
        connection.close();
        System.out.printf("JDBC %s: %d of %d%n", version, suite.size() - failed, suite.size());
        System.exit(failed > 0 ? 1 : 0);
    }

    static Connection open(Map<String, String> more) throws Exception {
        URI url = new URI(System.getenv("DRIVERS_URL"));
        String[] account = url.getRawUserInfo().split(":", 2);
        Properties settings = new Properties();
        settings.put("user", decode(account[0]));
        settings.put("password", decode(account[1]));
        settings.put("sslmode", "disable");
        for (String pair : Objects.requireNonNullElse(url.getRawQuery(), "").split("&")) {
            String[] parts = pair.split("=", 2);
            if (parts.length == 2) settings.put(decode(parts[0]), decode(parts[1]));
        }
        settings.putAll(more);
        return DriverManager.getConnection(
            "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath(), settings);
    }

    static String decode(String text) {
        return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    static void same(Object wanted, Object got) {
        if (!Objects.equals(wanted, got)) throw new AssertionError("not " + wanted + " but " + got);
    }

    static void fails(String state, Test test, Connection connection) throws Exception {
        try {
            test.run(connection);
        } catch (SQLException error) {
            same(state, error.getSQLState());
            return;
        }
        throw new AssertionError("no error " + state);
    }

    static void run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    static Object one(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int n = 0; n < values.length; n += 1) statement.setObject(n + 1, values[n]);
            ResultSet rows = statement.executeQuery();
            rows.next();
            return rows.getObject(1);
        }
    }

    static void goesOn(Connection connection) throws SQLException {
        same(42, one(connection, "SELECT 40 + ?::int4", 2));
    }

    static void connects(Connection connection) throws Exception {
        same(true, connection.isValid(5));
        same("PostgreSQL", connection.getMetaData().getDatabaseProductName());
    }

    // The driver prepares and asks for binary after so many runs; -1 is at once.
    static void selects(int threshold) throws Exception {
        try (Connection connection = open(Map.of("prepareThreshold", "" + threshold))) {
            for (int n = 0; n < 3; n += 1) {
                try (PreparedStatement statement = connection.prepareStatement(SELECT)) {
                    statement.setLong(1, 7);
                    ResultSet rows = statement.executeQuery();
                    rows.next();
                    same(7L, rows.getLong(1));
                    same(CLEAR, rows.getString(2));
                    same(EMAIL, rows.getString(3));
                    same(CARD, rows.getString(4));
                }
                Array tags = (Array) one(connection, "SELECT tags FROM customers WHERE id = ?", 7L);
                same("vip", ((String[]) tags.getArray())[0]);
                same("12.99", one(connection, "SELECT price FROM products WHERE id = ?", 1L).toString());
                same("1950-09-17", one(connection, "SELECT birth_date FROM customers WHERE id = ?", 7L).toString());
            }
        }
    }

    static void simple() throws Exception {
        try (Connection connection = open(Map.of("preferQueryMode", "simple"))) {
            same(EMAIL, one(connection, "SELECT email FROM customers WHERE id = ?", 7L));
        }
    }

    static void prepares(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement(SELECT)) {
            for (long n = 1; n < 20; n += 1) {
                statement.setLong(1, n);
                ResultSet rows = statement.executeQuery();
                rows.next();
                same(n, rows.getLong(1));
                same(true, rows.getString(3).contains("***"));
            }
        }
    }

    static void copiesIn(Connection connection) throws Exception {
        run(connection, "CREATE TABLE " + TABLE + " (id int, note text)");
        CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder lines = new StringBuilder();
        for (int n = 0; n < 1000; n += 1) lines.append(n).append("\tline ").append(n).append('\n');
        same(1000L, copy.copyIn("COPY " + TABLE + " FROM STDIN", new StringReader(lines.toString())));
        byte[] head = "PGCOPY\n\u00ff\r\n\0\0\0\0\0\0\0\0\0".getBytes(StandardCharsets.ISO_8859_1);
        byte[] row = {0, 1, 0, 0, 0, 4, 0, 0, 3, (byte) 232, -1, -1};
        byte[] all = new byte[head.length + row.length];
        System.arraycopy(head, 0, all, 0, head.length);
        System.arraycopy(row, 0, all, head.length, row.length);
        same(1L, copy.copyIn("COPY " + TABLE + " (id) FROM STDIN (FORMAT BINARY)", new ByteArrayInputStream(all)));
        same(1001L, one(connection, "SELECT count(*) FROM " + TABLE));
    }

    static void copiesOut(Connection connection) throws Exception {
        CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
        StringWriter text = new StringWriter();
        copy.copyOut("COPY (SELECT name, email FROM customers WHERE id = 7) TO STDOUT", text);
        same(CLEAR + "\t" + EMAIL + "\n", text.toString());
        ByteArrayOutputStream binary = new ByteArrayOutputStream();
        same(1000L, copy.copyOut("COPY customers TO STDOUT (FORMAT BINARY)", binary));
        String masked = binary.toString(StandardCharsets.ISO_8859_1);
        same(true, masked.startsWith("PGCOPY\n") && masked.contains(EMAIL) && !masked.contains("@example.com"));
    }

    static void cancels(Connection connection) throws Exception {
        long begin = System.nanoTime();
        try (Statement statement = connection.createStatement()) {
            CompletableFuture.runAsync(() -> {
                try {
                    Thread.sleep(500);
                    statement.cancel();
                } catch (Exception error) {
                    System.out.println("cancel: " + error);
                }
            });
            fails("57014", same -> statement.execute("SELECT pg_sleep(30)"), connection);
        }
        same(true, System.nanoTime() - begin < 10_000_000_000L);
    }

    static void timeLimit(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            fails("57014", same -> statement.execute("SELECT pg_sleep(30)"), connection);
        }
    }

    static void transacts(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        run(connection, "INSERT INTO " + TABLE + " VALUES (2000, 'kept')");
        Savepoint here = connection.setSavepoint();
        fails("22012", same -> one(same, "SELECT 1 / ?::int4", 0), connection);
        fails("25P02", same -> one(same, "SELECT 1"), connection);
        connection.rollback(here);
        run(connection, "INSERT INTO " + TABLE + " VALUES (2001, 'kept')");
        connection.commit();
        connection.setAutoCommit(true);
        same(2L, one(connection, "SELECT count(*) FROM " + TABLE + " WHERE id >= ?", 2000));
    }

    static void refused(Connection connection) throws Exception {
        for (String sql : new String[] {"DROP TABLE customers", "DELETE FROM orders", "SET ROLE postgres"}) {
            for (int n = 0; n < 7; n += 1) {
                fails("42501", same -> run(same, sql), connection);
                goesOn(connection);
            }
        }
        connection.setAutoCommit(false);
        Savepoint here = connection.setSavepoint();
        fails("42501", same -> run(same, "DROP TABLE customers"), connection);
        connection.rollback(here);
        goesOn(connection);
        fails("42501", same -> run(same, "SELECT 1; DROP TABLE customers; SELECT 2"), connection);
        connection.rollback();
        connection.setAutoCommit(true);
    }

    static void fetches(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(7);
            ResultSet rows = statement.executeQuery("SELECT id, email FROM customers ORDER BY id LIMIT 50");
            long seen = 0;
            while (rows.next()) {
                seen += 1;
                same(seen, rows.getLong(1));
                same(true, rows.getString(2).contains("***"));
            }
            same(50L, seen);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void batches(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO " + TABLE + " VALUES (?, ?)")) {
            for (int n = 3000; n < 3200; n += 1) {
                statement.setInt(1, n);
                statement.setString(2, "batch");
                statement.addBatch();
            }
            same(200, statement.executeBatch().length);
        }
        same(200L, one(connection, "SELECT count(*) FROM " + TABLE + " WHERE id >= ?", 3000));
    }

    static void catalog(Connection connection) throws Exception {
        var data = connection.getMetaData();
        int columns = 0;
        for (ResultSet rows = data.getColumns(null, "public", "customers", "%"); rows.next();) columns += 1;
        same(9, columns);
        ResultSet keys = data.getPrimaryKeys(null, "public", "customers");
        keys.next();
        same("id", keys.getString("COLUMN_NAME"));
        ResultSet foreign = data.getImportedKeys(null, "public", "orders");
        foreign.next();
        same("customers", foreign.getString("PKTABLE_NAME"));
        same(true, data.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}).next());
        same(true, data.getIndexInfo(null, "public", "customers", false, false).next());
        same(true, data.getTypeInfo().next());
        same(true, data.getSchemas().next());
    }
}
