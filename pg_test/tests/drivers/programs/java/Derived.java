import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import keyspace.DerivedKeys;

/** Compares the keys of clients/java with all vectors in the directory of the first argument. */
public final class Derived {
    public static void main(String[] arguments) throws IOException {
        int checked = 0;
        for (String name : List.of("derived_keys", "hashed_keys", "undated_keys", "undated_values")) {
            List<String> lines = Files.readAllLines(Path.of(arguments[0], name + ".csv"));
            String[] columns = lines.get(0).split(",");
            for (String text : lines.subList(1, lines.size())) {
                String[] fields = text.split(",", -1);
                Map<String, String> line = new HashMap<>();
                for (int at = 0; at < columns.length; at++) {
                    line.put(columns[at], fields[at]);
                }
                if (!keyOf(line).equals(line.get("key"))) {
                    throw new AssertionError(name + ": " + keyOf(line) + " for " + text);
                }
                checked++;
            }
        }
        long[][] wrong = {{-1, 0}, {1000L << 48, 0}, {0, -1}, {0, 1L << 42}};
        for (long[] pair : wrong) {
            mustFail(() -> DerivedKeys.uuidv7FromTimestamp(pair[0], pair[1], ""));
            mustFail(() -> DerivedKeys.ulidFromTimestamp(pair[0], pair[1], ""));
        }
        System.out.println("checked " + checked + " keys");
    }

    private static String keyOf(Map<String, String> line) {
        boolean isUuid = line.get("kind").equals("uuid");
        long micros = Long.parseLong(line.getOrDefault("unix_micros", "0"));
        String salt = line.get("salt");
        String value = line.get("value");
        if (line.containsKey("id")) {
            long id = Long.parseLong(line.get("id"));
            // A key migration hashes ids that do not fit.
            if (id < 0 || id >= 1L << 42) {
                return hashed(isUuid, micros, id, salt);
            }
            return isUuid
                    ? DerivedKeys.uuidv7FromTimestamp(micros, id, salt).toString()
                    : DerivedKeys.ulidText(DerivedKeys.ulidFromTimestamp(micros, id, salt));
        }
        return switch (line.get("type")) {
            case "bigint" -> hashed(isUuid, micros, Long.parseLong(value), salt);
            case "uuid" -> hashed(isUuid, micros, UUID.fromString(value), salt);
            default -> hashed(isUuid, micros, value, salt);
        };
    }

    private static String hashed(boolean isUuid, long micros, Object value, String salt) {
        return isUuid
                ? DerivedKeys.uuidv7FromTimestampHashed(micros, value, salt).toString()
                : DerivedKeys.ulidText(DerivedKeys.ulidFromTimestampHashed(micros, value, salt));
    }

    private static void mustFail(Runnable call) {
        try {
            call.run();
        } catch (IllegalArgumentException error) {
            return;
        }
        throw new AssertionError("a value out of range is not refused");
    }
}
