// Compares the keys of clients/go with all vectors in the directory of the first argument.
package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"keyspace"
)

func main() {
	checked := 0
	for _, name := range []string{"derived_keys", "hashed_keys", "undated_keys", "undated_values"} {
		contents, err := os.ReadFile(filepath.Join(os.Args[1], name+".csv"))
		check(err)
		lines := strings.Split(strings.TrimSuffix(string(contents), "\n"), "\n")
		columns := strings.Split(lines[0], ",")
		for _, text := range lines[1:] {
			line := map[string]string{}
			for at, field := range strings.Split(text, ",") {
				line[columns[at]] = field
			}
			if key := keyOf(line); key != line["key"] {
				fail(name, key, "for", text)
			}
			checked++
		}
	}
	for _, wrong := range [][2]int64{{-1, 0}, {1000 << 48, 0}, {0, -1}, {0, 1 << 42}} {
		_, uuid := keyspace.UUIDv7FromTimestamp(wrong[0], wrong[1], "")
		_, ulid := keyspace.ULIDFromTimestamp(wrong[0], wrong[1], "")
		if uuid == nil || ulid == nil {
			fail(wrong, "is not refused")
		}
	}
	fmt.Println("checked", checked, "keys")
}

func keyOf(line map[string]string) string {
	salt := line["salt"]
	micros := int64(0)
	if text, dated := line["unix_micros"]; dated {
		micros = number(text)
	}
	isUUID := line["kind"] == "uuid"
	var key [16]byte
	var err error
	if text, has := line["id"]; has {
		id := number(text)
		switch fits := id >= 0 && id < 1<<42; {
		case fits && isUUID:
			key, err = keyspace.UUIDv7FromTimestamp(micros, id, salt)
		case fits:
			key, err = keyspace.ULIDFromTimestamp(micros, id, salt)
		default: // A key migration hashes ids that do not fit.
			key, err = hashed(isUUID, micros, id, salt)
		}
	} else if value := line["value"]; line["type"] == "bigint" {
		key, err = hashed(isUUID, micros, number(value), salt)
	} else if line["type"] == "uuid" {
		var bytes [16]byte
		_, wrong := hex.Decode(bytes[:], []byte(strings.ReplaceAll(value, "-", "")))
		check(wrong)
		key, err = hashed(isUUID, micros, bytes, salt)
	} else {
		key, err = hashed(isUUID, micros, value, salt)
	}
	check(err)
	if isUUID {
		return fmt.Sprintf("%x-%x-%x-%x-%x", key[:4], key[4:6], key[6:8], key[8:10], key[10:])
	}
	return keyspace.ULIDText(key)
}

func hashed[V int64 | [16]byte | string](isUUID bool, micros int64, value V, salt string) ([16]byte, error) {
	if isUUID {
		return keyspace.UUIDv7FromTimestampHashed(micros, value, salt)
	}
	return keyspace.ULIDFromTimestampHashed(micros, value, salt)
}

func number(text string) int64 {
	number, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return number
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(words ...any) {
	fmt.Fprintln(os.Stderr, words...)
	os.Exit(1)
}
