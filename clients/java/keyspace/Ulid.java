package keyspace;

import java.sql.Connection;
import java.sql.SQLException;
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

    /** Registers the type with a connection. */
    public static void register(Connection connection) throws SQLException {
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
