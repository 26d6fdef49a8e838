// Package keyspacepgx makes pgx 5 read and write the type ulid of pg_keyspace.
package keyspacepgx

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// ULID is a ULID. In SQL it is NULL if it is a nil *ULID.
type ULID [16]byte

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Register makes a connection know ulid and ulid[]. In a pool, call it in
// pgxpool.Config.AfterConnect.
func Register(ctx context.Context, conn *pgx.Conn) error {
	var oid, arrayOID uint32
	row := conn.QueryRow(ctx, "SELECT oid, typarray FROM pg_type WHERE oid = to_regtype('ulid')")
	if err := row.Scan(&oid, &arrayOID); err != nil {
		return fmt.Errorf("type ulid: %w; is pg_keyspace in search_path?", err)
	}
	// The binary form is that of uuid. The text form is not, so only the binary one is offered.
	ulid := &pgtype.Type{Name: "ulid", OID: oid, Codec: binaryCodec{}}
	conn.TypeMap().RegisterType(ulid)
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "_ulid", OID: arrayOID, Codec: &pgtype.ArrayCodec{ElementType: ulid}})
	conn.TypeMap().RegisterDefaultPgType(ULID{}, "ulid")
	conn.TypeMap().RegisterDefaultPgType([]ULID{}, "_ulid")
	return nil
}

type binaryCodec struct{ pgtype.UUIDCodec }

func (binaryCodec) FormatSupported(format int16) bool {
	return format == pgtype.BinaryFormatCode
}

// ScanUUID is how pgx sets it.
func (u *ULID) ScanUUID(value pgtype.UUID) error {
	if !value.Valid {
		return errors.New("cannot scan NULL into ULID")
	}
	*u = value.Bytes
	return nil
}

// UUIDValue is how pgx reads it.
func (u ULID) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: u, Valid: true}, nil
}

// String is the text form.
func (u ULID) String() string {
	var text [26]byte
	// The first character has three bits, so two bits come before the first byte.
	bits, count, at := uint16(0), 2, 0
	for _, value := range u {
		bits, count = bits<<8|uint16(value), count+8
		for ; count >= 5; at++ {
			count -= 5
			text[at] = alphabet[bits>>count&31]
		}
	}
	return string(text[:])
}

// Parse reads the text form.
func Parse(text string) (u ULID, err error) {
	if len(text) != 26 {
		return u, fmt.Errorf("invalid ULID: %q", text)
	}
	bits, count, at := uint16(0), -2, 0
	for position := range text {
		digit := strings.IndexByte(alphabet, canonical(text[position]))
		if digit < 0 || position == 0 && digit > 7 {
			return ULID{}, fmt.Errorf("invalid ULID: %q", text)
		}
		bits, count = bits<<5|uint16(digit), count+5
		if count >= 8 {
			count -= 8
			u[at] = byte(bits >> count)
			at++
		}
	}
	return u, nil
}

func canonical(character byte) byte {
	if 'a' <= character && character <= 'z' {
		character -= 'a' - 'A'
	}
	switch character {
	case 'I', 'L':
		return '1'
	case 'O':
		return '0'
	}
	return character
}
