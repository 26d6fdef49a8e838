package keyspace;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.UUID;

/**
 * Derives the same keys as pg_keyspace, without a server and without other packages. A ULID is its
 * 128 bits as a UUID; {@link #ulidText} is its text.
 */
public final class DerivedKeys {
    private static final String ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    private DerivedKeys() {}

    /** The instant that a key is derived from: microseconds since 1970. */
    public static long unixMicros(Instant instant) {
        return ChronoUnit.MICROS.between(Instant.EPOCH, instant);
    }

    /** uuidv7_from_timestamp. Without a salt, pass an empty one. */
    public static UUID uuidv7FromTimestamp(long micros, long id, String salt) {
        return uuid(micros, id << 20 | tag(micros, id, salt) >>> 44);
    }

    /** ulid_from_timestamp. */
    public static UUID ulidFromTimestamp(long micros, long id, String salt) {
        // The id and the tag have 68 bits: four of them are in the upper half.
        return ulid(micros, id >>> 38, id << 26 | tag(micros, id, salt) >>> 38);
    }

    /** uuidv7_from_timestamp_hashed. The value is a Long, a UUID or a String. */
    public static UUID uuidv7FromTimestampHashed(long micros, Object value, String salt) {
        return uuid(micros, hash(micros, value, salt)[0] >>> 2);
    }

    /** ulid_from_timestamp_hashed. */
    public static UUID ulidFromTimestampHashed(long micros, Object value, String salt) {
        long[] words = hash(micros, value, salt);
        return ulid(micros, words[0] >>> 60, words[0] << 4 | words[1] >>> 60);
    }

    /** The text form of a ULID. */
    public static String ulidText(UUID key) {
        long high = key.getMostSignificantBits();
        long low = key.getLeastSignificantBits();
        char[] text = new char[26];
        for (int at = 25; at >= 0; at--) {
            text[at] = ALPHABET.charAt((int) (low & 31));
            low = low >>> 5 | high << 59;
            high >>>= 5;
        }
        return new String(text);
    }

    private static long tag(long micros, long id, String salt) {
        if (id < 0 || id >= 1L << 42) {
            throw new IllegalArgumentException("id is out of range for a derived key; use the hashed form");
        }
        checkInstant(micros);
        byte[] message = ByteBuffer.allocate(16).putLong(micros).putLong(id).array();
        return siphash(salt, message, false)[0];
    }

    private static long[] hash(long micros, Object value, String salt) {
        checkInstant(micros);
        byte type;
        byte[] content;
        if (value instanceof Long number) {
            type = 1;
            content = ByteBuffer.allocate(8).putLong(number).array();
        } else if (value instanceof UUID uuid) {
            type = 2;
            content = ByteBuffer.allocate(16)
                    .putLong(uuid.getMostSignificantBits()).putLong(uuid.getLeastSignificantBits()).array();
        } else if (value instanceof String text) {
            type = 3;
            content = text.getBytes(StandardCharsets.UTF_8);
        } else {
            throw new IllegalArgumentException("a value to be hashed is a Long, a UUID or a String");
        }
        byte[] message =
                ByteBuffer.allocate(9 + content.length).put(type).putLong(micros).put(content).array();
        return siphash(salt, message, true);
    }

    private static void checkInstant(long micros) {
        if (micros < 0 || micros >= 1000L << 48) {
            throw new IllegalArgumentException("timestamp is out of range for a key");
        }
    }

    private static UUID uuid(long micros, long tail) {
        return new UUID(micros / 1000 << 16 | 7 << 12 | fraction(micros), 2L << 62 | tail);
    }

    private static UUID ulid(long micros, long high, long low) {
        return new UUID(micros / 1000 << 16 | fraction(micros) << 4 | high, low);
    }

    /** The fraction of a millisecond in 4096ths. */
    private static long fraction(long micros) {
        return micros % 1000 * 4096 / 1000;
    }

    /** SipHash-2-4 with one or two words of output. */
    private static long[] siphash(String salt, byte[] message, boolean isLong) {
        ByteBuffer key = ByteBuffer.wrap(sha256("pg_keyspace derived key v1\0" + salt)).order(ByteOrder.LITTLE_ENDIAN);
        long k0 = key.getLong();
        long k1 = key.getLong();
        long[] v = {
            k0 ^ 0x736f6d6570736575L, k1 ^ 0x646f72616e646f6dL ^ (isLong ? 0xee : 0),
            k0 ^ 0x6c7967656e657261L, k1 ^ 0x7465646279746573L
        };
        byte[] padded = Arrays.copyOf(message, message.length + 8 - message.length % 8);
        padded[padded.length - 1] = (byte) message.length;
        ByteBuffer words = ByteBuffer.wrap(padded).order(ByteOrder.LITTLE_ENDIAN);
        while (words.hasRemaining()) {
            long word = words.getLong();
            v[3] ^= word;
            rounds(v, 2);
            v[0] ^= word;
        }
        v[2] ^= isLong ? 0xee : 0xff;
        rounds(v, 4);
        long first = v[0] ^ v[1] ^ v[2] ^ v[3];
        if (!isLong) {
            return new long[] {first};
        }
        v[1] ^= 0xdd;
        rounds(v, 4);
        return new long[] {first, v[0] ^ v[1] ^ v[2] ^ v[3]};
    }

    private static void rounds(long[] v, int count) {
        for (; count > 0; count--) {
            v[0] += v[1];
            v[1] = Long.rotateLeft(v[1], 13) ^ v[0];
            v[0] = Long.rotateLeft(v[0], 32);
            v[2] += v[3];
            v[3] = Long.rotateLeft(v[3], 16) ^ v[2];
            v[0] += v[3];
            v[3] = Long.rotateLeft(v[3], 21) ^ v[0];
            v[2] += v[1];
            v[1] = Long.rotateLeft(v[1], 17) ^ v[2];
            v[2] = Long.rotateLeft(v[2], 32);
        }
    }

    private static byte[] sha256(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // Every Java platform has it.
        }
    }
}
