// Package keyspacepgx makes pgx 5 read and write the type ulid of pg_keyspace.
package keyspacepgx

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// ULID is a ULID. In SQL it is NULL if it is a nil *ULID.
type ULID [16]byte

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// The type as a member of the extension, whatever its schema is: another type can have its name.
const findType = `
SELECT t.oid, t.typarray
FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
        AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
    JOIN pg_catalog.pg_type t ON t.oid = d.objid AND t.typname = 'ulid'
WHERE e.extname = 'pg_keyspace'`

// Register makes a connection know ulid and ulid[], in each mode in which pgx executes queries. In a
// pool, call it in pgxpool.Config.AfterConnect.
func Register(ctx context.Context, conn *pgx.Conn) error {
	var oid, arrayOID uint32
	err := conn.QueryRow(ctx, findType).Scan(&oid, &arrayOID)
	if errors.Is(err, pgx.ErrNoRows) {
		return errors.New("the extension pg_keyspace does not exist in this database")
	}
	if err != nil {
		return fmt.Errorf("type ulid: %w", err)
	}
	ulid := &pgtype.Type{Name: "ulid", OID: oid, Codec: codec{}}
	conn.TypeMap().RegisterType(ulid)
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "_ulid", OID: arrayOID, Codec: &pgtype.ArrayCodec{ElementType: ulid}})
	conn.TypeMap().RegisterDefaultPgType(ULID{}, "ulid")
	conn.TypeMap().RegisterDefaultPgType([]ULID{}, "_ulid")
	return nil
}

// codec has the binary form of a uuid, and the text form of a ULID. QueryExecModeExec and
// QueryExecModeSimpleProtocol use the text form.
type codec struct{}

func (codec) FormatSupported(format int16) bool {
	return format == pgtype.BinaryFormatCode || format == pgtype.TextFormatCode
}

func (codec) PreferredFormat() int16 {
	return pgtype.BinaryFormatCode
}

func (codec) PlanEncode(_ *pgtype.Map, _ uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(pgtype.UUIDValuer); !ok {
		return nil
	}
	return encodePlan(format)
}

type encodePlan int16

func (format encodePlan) Encode(value any, buf []byte) ([]byte, error) {
	uuid, err := value.(pgtype.UUIDValuer).UUIDValue()
	if err != nil || !uuid.Valid {
		return nil, err
	}
	if format == pgtype.TextFormatCode {
		return append(buf, ULID(uuid.Bytes).String()...), nil
	}
	return append(buf, uuid.Bytes[:]...), nil
}

func (codec) PlanScan(_ *pgtype.Map, _ uint32, format int16, target any) pgtype.ScanPlan {
	switch target.(type) {
	case pgtype.UUIDScanner, pgtype.TextScanner:
		return scanPlan(format)
	}
	return nil
}

type scanPlan int16

func (format scanPlan) Scan(src []byte, target any) error {
	var ulid ULID
	if src != nil {
		var err error
		if ulid, err = decode(int16(format), src); err != nil {
			return err
		}
	}
	if scanner, ok := target.(pgtype.UUIDScanner); ok {
		return scanner.ScanUUID(pgtype.UUID{Bytes: ulid, Valid: src != nil})
	}
	if src == nil {
		return target.(pgtype.TextScanner).ScanText(pgtype.Text{})
	}
	return target.(pgtype.TextScanner).ScanText(pgtype.Text{String: ulid.String(), Valid: true})
}

func (codec) DecodeDatabaseSQLValue(_ *pgtype.Map, _ uint32, format int16, src []byte) (driver.Value, error) {
	if src == nil {
		return nil, nil
	}
	ulid, err := decode(format, src)
	return ulid.String(), err
}

func (codec) DecodeValue(_ *pgtype.Map, _ uint32, format int16, src []byte) (any, error) {
	if src == nil {
		return nil, nil
	}
	return decode(format, src)
}

func decode(format int16, src []byte) (u ULID, err error) {
	if format == pgtype.TextFormatCode {
		return Parse(string(src))
	}
	if len(src) != len(u) {
		return u, fmt.Errorf("invalid length for ULID: %v", len(src))
	}
	copy(u[:], src)
	return u, nil
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
