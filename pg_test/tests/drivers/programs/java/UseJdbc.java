import java.io.StringReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import keyspace.Ulid;
import org.postgresql.PGConnection;

/** JDBC. The first argument is the URL. */
public final class UseJdbc {
    private static Connection connection;

    public static void main(String[] arguments) throws Exception {
        connection = DriverManager.getConnection(arguments[0]);
        uuid();
        anotherType();
        ulidAsText();
        ulidAsType();
        manyRows();
        for (String insert : List.of(
                "INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no",
                "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id")) {
            try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(insert)) {
                int count = 0;
                for (; rows.next(); count++) {
                    check(rows.getLong(1) % 2 == 0);
                }
                check(count == 2);
            }
        }
        System.out.println("tested: JDBC " + connection.getMetaData().getDriverVersion());
    }

    private static void uuid() throws SQLException {
        UUID id = one("INSERT INTO page_view (url) VALUES ('/') RETURNING id", UUID.class);
        try (PreparedStatement select = connection.prepareStatement("SELECT id FROM page_view WHERE id = ?")) {
            select.setObject(1, id);
            ResultSet rows = select.executeQuery();
            check(rows.next() && rows.getObject(1).equals(id));
        }
    }

    /** The driver would take another type of this name for ours. */
    private static void anotherType() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String[] path : new String[][] {{"decoy, public", "42725"}, {"public, decoy", "42725"}, {"''", "42704"}}) {
                statement.execute("SET search_path = " + path[0]);
                try {
                    Ulid.register(connection);
                    throw new AssertionError("registered with " + path[0]);
                } catch (SQLException error) {
                    check(error.getSQLState().equals(path[1]));
                }
            }
            statement.execute("RESET search_path");
        }
    }

    /** Without the lines. */
    private static void ulidAsText() throws SQLException {
        String key;
        try (Statement insert = connection.createStatement()) {
            ResultSet rows = insert.executeQuery("INSERT INTO payment (amount) VALUES (1) RETURNING id");
            rows.next();
            key = rows.getString(1);
            check(rows.getObject(1) instanceof org.postgresql.util.PGobject);
        }
        try (PreparedStatement select = connection.prepareStatement("SELECT ARRAY[id] FROM payment WHERE id = ?")) {
            // A text is varchar, for which there is no operator.
            select.setString(1, key);
            try {
                select.executeQuery();
                throw new AssertionError("a text is accepted");
            } catch (SQLException error) {
                check(error.getSQLState().equals("42883"));
            }
            select.setObject(1, key, Types.OTHER);
            ResultSet rows = select.executeQuery();
            check(rows.next());
            check(rows.getArray(1).getArray() instanceof Object[]);
            check(rows.getArray(1).toString().equals("{" + key + "}"));
        }
    }

    private static void ulidAsType() throws SQLException {
        Ulid.register(connection);
        Ulid key = one("SELECT id FROM payment", Ulid.class);
        Ulid other = new Ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV");
        try (PreparedStatement update = connection.prepareStatement(
                "UPDATE payment SET refunds = ? WHERE id = ? RETURNING id, refunds, id::uuid")) {
            update.setArray(1, connection.createArrayOf("ulid", new Object[] {key, other}));
            update.setObject(2, key);
            ResultSet rows = update.executeQuery();
            check(rows.next() && rows.getObject(1).equals(key));
            Object[] refunds = (Object[]) rows.getArray(2).getArray();
            check(Arrays.toString(refunds).equals("[" + key + ", " + other + "]"));
            check(refunds[0] instanceof Ulid);
            check(rows.getObject(3).equals(key.toUuid()) && new Ulid(key.toUuid()).equals(key));
        }
        try (PreparedStatement select = connection.prepareStatement("SELECT FROM payment WHERE id = ANY(?)")) {
            select.setArray(1, connection.createArrayOf("ulid", new Object[] {key}));
            check(select.executeQuery().next());
        }
        check(other.toUuid().toString().equals("01563e3a-b5d3-d676-4c61-efb99302bd5b"));
        check(new Ulid("o1arz3ndektsv4rrffq69g5fav").equals(other) && other.compareTo(key) < 0);
        for (String wrong : List.of("", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01ARZ3NDEKTSV4RRFFQ69G5FA")) {
            try {
                new Ulid(wrong);
            } catch (IllegalArgumentException error) {
                continue;
            }
            throw new AssertionError(wrong);
        }
    }

    /** A batch, with its keys in the order of the rows, and COPY. */
    private static void manyRows() throws Exception {
        List<Ulid> keys = new ArrayList<>();
        try (PreparedStatement insert = connection.prepareStatement(
                "INSERT INTO payment (amount) VALUES (?)", new String[] {"id"})) {
            for (int amount = 0; amount < 300; amount++) {
                insert.setInt(1, amount);
                insert.addBatch();
            }
            insert.executeBatch();
            for (ResultSet rows = insert.getGeneratedKeys(); rows.next(); ) {
                keys.add(rows.getObject(1, Ulid.class));
            }
        }
        check(keys.size() == 300);
        for (int at = 1; at < keys.size(); at++) {
            check(keys.get(at - 1).compareTo(keys.get(at)) < 0);
        }
        long copied = connection.unwrap(PGConnection.class).getCopyAPI()
                .copyIn("COPY payment (id, amount) FROM STDIN", new StringReader("01ARZ3NDEKTSV4RRFFQ69G5FAV\t7\n"));
        check(copied == 1);
    }

    private static <T> T one(String sql, Class<T> type) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            check(rows.next());
            return type.cast(rows.getObject(1));
        }
    }

    private static void check(boolean condition) {
        if (!condition) {
            throw new AssertionError();
        }
    }
}
