package keyspace;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.util.PGobject;

/**
 * The type ulid in JDBC: getObject returns a Ulid once the type is registered with the connection, and
 * setObject takes one.
 */
public final class Ulid extends PGobject implements Comparable<Ulid> {
    private static final long serialVersionUID = 1;
    private static final String ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /** Whether all types with this name in search_path are members of the extension; NULL if there is none. */
    private static final String IS_OURS = """
            SELECT bool_and(EXISTS (
                SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
                    AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.extname = 'pg_keyspace'))
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            WHERE t.typname = 'ulid' AND n.nspname = ANY (pg_catalog.current_schemas(true))
            """;

    /** For the driver. */
    public Ulid() {
        setType("ulid");
    }

    /** From the text form. */
    public Ulid(String text) {
        this();
        setValue(text);
    }

    /** Of the same 128 bits. */
    public Ulid(UUID uuid) {
        this(DerivedKeys.ulidText(uuid));
    }

    /**
     * Registers the type with a connection. The driver knows types by their names, so ulid must be the
     * type of the extension, and no other schema in search_path may have a type with this name.
     */
    public static void register(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(IS_OURS)) {
            rows.next();
            boolean isOurs = rows.getBoolean(1);
            if (rows.wasNull()) {
                throw new SQLException("type ulid does not exist; is the schema of pg_keyspace in search_path?", "42704");
            }
            if (!isOurs) {
                throw new SQLException("search_path has a type ulid that is not the one of pg_keyspace", "42725");
            }
        }
        connection.unwrap(PGConnection.class).addDataType("ulid", Ulid.class);
    }

    @Override
    public void setValue(String text) {
        value = text == null ? null : canonical(text);
    }

    /** The same 128 bits. */
    public UUID toUuid() {
        long high = 0;
        long low = 0;
        for (int at = 0; at < 26; at++) {
            high = high << 5 | low >>> 59;
            low = low << 5 | ALPHABET.indexOf(value.charAt(at));
        }
        return new UUID(high, low);
    }

    @Override
    public int compareTo(Ulid other) {
        return value.compareTo(other.value);
    }

    private static String canonical(String text) {
        StringBuilder canonical = new StringBuilder(26);
        for (int at = 0; at < text.length(); at++) {
            char character = text.charAt(at);
            if (character >= 'a' && character <= 'z') {
                character -= 'a' - 'A';
            }
            canonical.append(
                    switch (character) {
                        case 'I', 'L' -> '1';
                        case 'O' -> '0';
                        default -> character;
                    });
        }
        boolean isValid = canonical.length() == 26
                && canonical.charAt(0) <= '7'
                && canonical.chars().allMatch(character -> ALPHABET.indexOf(character) >= 0);
        if (!isValid) {
            throw new IllegalArgumentException("invalid ULID: \"" + text + "\"");
        }
        return canonical.toString();
    }
}
