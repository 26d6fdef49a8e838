// Package keyspace derives the same keys as pg_keyspace, without a server and without other
// packages.
//
// The instant is the number of microseconds since 1970, which is UnixMicro of a time.Time. A UUID
// is an array of 16 bytes, as pgx and the usual packages for UUIDs have it; a ULID is one, too, and
// ULIDText is its text.
package keyspace

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
)

var (
	ErrID        = errors.New("id is out of range for a derived key; use the hashed form")
	ErrTimestamp = errors.New("timestamp is out of range for a key")
)

// UUIDv7FromTimestamp is uuidv7_from_timestamp. Without a salt, pass an empty one.
func UUIDv7FromTimestamp(micros, id int64, salt string) ([16]byte, error) {
	tag, err := tag(micros, id, salt)
	if err != nil {
		return [16]byte{}, err
	}
	return uuid(micros, uint64(id)<<20|tag>>44), nil
}

// ULIDFromTimestamp is ulid_from_timestamp.
func ULIDFromTimestamp(micros, id int64, salt string) ([16]byte, error) {
	tag, err := tag(micros, id, salt)
	if err != nil {
		return [16]byte{}, err
	}
	// The id and the tag have 68 bits: four of them are in the upper half.
	return ulid(micros, uint64(id)>>38, uint64(id)<<26|tag>>38), nil
}

// UUIDv7FromTimestampHashed is uuidv7_from_timestamp_hashed. The value is an int64, a UUID of
// [16]byte, or a string.
func UUIDv7FromTimestampHashed[V int64 | [16]byte | string](micros int64, value V, salt string) ([16]byte, error) {
	first, _, err := hash(micros, value, salt)
	if err != nil {
		return [16]byte{}, err
	}
	return uuid(micros, first>>2), nil
}

// ULIDFromTimestampHashed is ulid_from_timestamp_hashed.
func ULIDFromTimestampHashed[V int64 | [16]byte | string](micros int64, value V, salt string) ([16]byte, error) {
	first, second, err := hash(micros, value, salt)
	if err != nil {
		return [16]byte{}, err
	}
	return ulid(micros, first>>60, first<<4|second>>60), nil
}

// ULIDText is the text form of a ULID.
func ULIDText(key [16]byte) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	high, low := binary.BigEndian.Uint64(key[:8]), binary.BigEndian.Uint64(key[8:])
	var text [26]byte
	for at := 25; at >= 0; at-- {
		text[at] = alphabet[low&31]
		high, low = high>>5, low>>5|high<<59
	}
	return string(text[:])
}

func tag(micros, id int64, salt string) (uint64, error) {
	if id < 0 || id >= 1<<42 {
		return 0, ErrID
	}
	instant, err := instant(micros)
	if err != nil {
		return 0, err
	}
	first, _ := siphash(salt, append(instant, int8Bytes(id)...), false)
	return first, nil
}

func hash(micros int64, value any, salt string) (uint64, uint64, error) {
	instant, err := instant(micros)
	if err != nil {
		return 0, 0, err
	}
	var kind byte
	var content []byte
	switch value := value.(type) {
	case int64:
		kind, content = 1, int8Bytes(value)
	case [16]byte:
		kind, content = 2, value[:]
	case string:
		kind, content = 3, []byte(value)
	}
	message := append(append([]byte{kind}, instant...), content...)
	first, second := siphash(salt, message, true)
	return first, second, nil
}

func instant(micros int64) ([]byte, error) {
	if micros < 0 || micros >= 1000<<48 {
		return nil, ErrTimestamp
	}
	return int8Bytes(micros), nil
}

func int8Bytes(number int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(number))
}

// head has the milliseconds, and the fraction of a millisecond in 4096ths.
func head(micros int64) (uint64, uint64) {
	return uint64(micros / 1000), uint64(micros % 1000 * 4096 / 1000)
}

func uuid(micros int64, tail uint64) [16]byte {
	milliseconds, fraction := head(micros)
	return bytes(milliseconds<<16|7<<12|fraction, 2<<62|tail)
}

func ulid(micros int64, high, low uint64) [16]byte {
	milliseconds, fraction := head(micros)
	return bytes(milliseconds<<16|fraction<<4|high, low)
}

func bytes(high, low uint64) (key [16]byte) {
	binary.BigEndian.PutUint64(key[:8], high)
	binary.BigEndian.PutUint64(key[8:], low)
	return key
}

// siphash is SipHash-2-4 with one or two words of output.
func siphash(salt string, message []byte, isLong bool) (uint64, uint64) {
	key := sha256.Sum256([]byte("pg_keyspace derived key v1\x00" + salt))
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:16])
	v0, v1 := k0^0x736f6d6570736575, k1^0x646f72616e646f6d
	v2, v3 := k0^0x6c7967656e657261, k1^0x7465646279746573
	last := uint64(0xff)
	if isLong {
		v1, last = v1^0xee, 0xee
	}
	rounds := func(count int) {
		for ; count > 0; count-- {
			v0 += v1
			v1 = bits.RotateLeft64(v1, 13) ^ v0
			v0 = bits.RotateLeft64(v0, 32)
			v2 += v3
			v3 = bits.RotateLeft64(v3, 16) ^ v2
			v0 += v3
			v3 = bits.RotateLeft64(v3, 21) ^ v0
			v2 += v1
			v1 = bits.RotateLeft64(v1, 17) ^ v2
			v2 = bits.RotateLeft64(v2, 32)
		}
	}
	padded := append(message[:len(message):len(message)], make([]byte, 8-len(message)%8)...)
	padded[len(padded)-1] = byte(len(message))
	for ; len(padded) > 0; padded = padded[8:] {
		word := binary.LittleEndian.Uint64(padded)
		v3 ^= word
		rounds(2)
		v0 ^= word
	}
	v2 ^= last
	rounds(4)
	first := v0 ^ v1 ^ v2 ^ v3
	if !isLong {
		return first, 0
	}
	v1 ^= 0xdd
	rounds(4)
	return first, v0 ^ v1 ^ v2 ^ v3
}
