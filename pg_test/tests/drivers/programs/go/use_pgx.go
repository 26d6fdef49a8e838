// pgx 5. The first argument is its version.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"keyspacepgx"
)

var ctx = context.Background()

func main() {
	conn, err := pgx.Connect(ctx, "")
	check(err == nil, err)

	// A uuid is a pgtype.UUID, a [16]byte or a string.
	view := one[pgtype.UUID](conn, "INSERT INTO page_view (url) VALUES ('/') RETURNING id")
	check(one[pgtype.UUID](conn, "SELECT id FROM page_view WHERE id = ANY($1)", []pgtype.UUID{view}) == view, view)

	// Without the lines a key is a string, and an array a list of strings, but CopyFrom takes none.
	text := one[string](conn, "INSERT INTO payment (amount) VALUES (1) RETURNING id")
	check(one[string](conn, "SELECT id FROM payment WHERE id = $1", text) == text, text)
	check(one[string](conn, "SELECT id FROM payment WHERE id = ANY($1)", []string{text}) == text, text)
	texts := one[[]string](conn, "SELECT ARRAY[id] FROM payment")
	check(len(texts) == 1 && texts[0] == text, texts)
	row := [][]any{{text, 1}}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"payment"}, []string{"id", "amount"}, pgx.CopyFromRows(row))
	check(err != nil, "CopyFrom takes a string")

	err = keyspacepgx.Register(ctx, conn)
	check(err == nil, err)
	var key keyspacepgx.ULID
	err = conn.QueryRow(ctx, "SELECT id FROM payment WHERE id = $1::text::ulid", text).Scan(&key)
	check(err == nil && key.String() == text, err)
	check(one[keyspacepgx.ULID](conn, "SELECT id FROM payment WHERE id = $1", key) == key, key)
	check(one[keyspacepgx.ULID](conn, "SELECT id FROM payment WHERE id = ANY($1)", []keyspacepgx.ULID{key}) == key, key)
	other, err := keyspacepgx.Parse("o1arz3ndektsv4rrffq69g5fav")
	check(err == nil && other.String() == "01ARZ3NDEKTSV4RRFFQ69G5FAV", other)
	refunds := one[[]keyspacepgx.ULID](conn, "UPDATE payment SET refunds = $1 RETURNING refunds", []keyspacepgx.ULID{key, other})
	check(len(refunds) == 2 && refunds[0] == key && refunds[1] == other, refunds)
	check(one[*keyspacepgx.ULID](conn, "SELECT $1::ulid", (*keyspacepgx.ULID)(nil)) == nil, "NULL")
	check(one[string](conn, "SELECT $1::ulid", key) == text, "a string is the text of the ULID")
	inEachMode(key, other)
	anotherType(key)
	check(one[string](conn, "SELECT $1::ulid::text", other) == other.String(), other)
	for _, wrong := range []string{"", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01ARZ3NDEKTSV4RRFFQ69G5FA"} {
		_, err := keyspacepgx.Parse(wrong)
		check(err != nil, wrong)
	}
	for _, text := range []string{"00000000000000000000000000", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"} {
		ulid, err := keyspacepgx.Parse(text)
		check(err == nil && ulid.String() == text, text)
	}

	// CopyFrom has only the binary form.
	rows := [][]any{}
	for number := 0; number < 1000; number++ {
		rows = append(rows, []any{keyspacepgx.ULID{14: byte(number >> 8), 15: byte(number)}, "copied"})
	}
	_, err = conn.Exec(ctx, "CREATE TABLE letter (id ulid PRIMARY KEY DEFAULT ulid(), name text)")
	check(err == nil, err)
	copied, err := conn.CopyFrom(ctx, pgx.Identifier{"letter"}, []string{"id", "name"}, pgx.CopyFromRows(rows))
	check(err == nil && copied == 1000, err)

	// A batch.
	batch := &pgx.Batch{}
	for number := 0; number < 300; number++ {
		batch.Queue("INSERT INTO letter (name) VALUES ($1) RETURNING id", fmt.Sprint(number))
	}
	results := conn.SendBatch(ctx, batch)
	previous := keyspacepgx.ULID{}
	for number := 0; number < 300; number++ {
		var id keyspacepgx.ULID
		err := results.QueryRow().Scan(&id)
		check(err == nil && id.String() > previous.String(), err)
		previous = id
	}
	check(results.Close() == nil, "the batch")

	var id pgtype.UUID
	var shown keyspacepgx.ULID
	err = conn.QueryRow(ctx, "INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid").Scan(&id, &shown)
	check(err == nil && id.Bytes == shown, err)

	for _, insert := range []string{
		"INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no",
		"INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id",
	} {
		rows, err := conn.Query(ctx, insert)
		check(err == nil, err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		check(err == nil && len(ids) == 2 && ids[0]%2 == 0 && ids[1]%2 == 0, ids)
	}
	fmt.Println("tested: pgx", os.Args[1])
}

// Another type of this name is not ours, even where search_path finds it first.
func anotherType(key keyspacepgx.ULID) {
	config, err := pgx.ParseConfig("")
	check(err == nil, err)
	config.RuntimeParams["search_path"] = "decoy, public"
	conn, err := pgx.ConnectConfig(ctx, config)
	check(err == nil, err)
	check(keyspacepgx.Register(ctx, conn) == nil, "register")
	check(one[keyspacepgx.ULID](conn, "SELECT id FROM payment WHERE id = $1", key) == key, key)
	check(one[any](conn, "SELECT $1::text::decoy.ulid", "01563e3a-b5d3-d676-4c61-efb99302bd5b") == any("01563e3a-b5d3-d676-4c61-efb99302bd5b"), "decoy")
	check(conn.Close(ctx) == nil, "close")
}

// Some modes send and receive the text form.
func inEachMode(key, other keyspacepgx.ULID) {
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		config, err := pgx.ParseConfig("")
		check(err == nil, err)
		config.DefaultQueryExecMode = mode
		conn, err := pgx.ConnectConfig(ctx, config)
		check(err == nil, err)
		check(keyspacepgx.Register(ctx, conn) == nil, mode)
		check(one[keyspacepgx.ULID](conn, "SELECT id FROM payment WHERE id = $1", key) == key, mode)
		found := one[[]keyspacepgx.ULID](conn, "SELECT refunds FROM payment WHERE id = ANY($1)", []keyspacepgx.ULID{key, other})
		check(len(found) == 2 && found[0] == key && found[1] == other, mode)
		check(one[string](conn, "SELECT id FROM payment WHERE id = $1", key) == key.String(), mode)
		check(one[*keyspacepgx.ULID](conn, "SELECT $1::ulid", (*keyspacepgx.ULID)(nil)) == nil, mode)
		rows, err := conn.Query(ctx, "SELECT id FROM payment WHERE id = $1", key)
		check(err == nil && rows.Next(), mode)
		values, err := rows.Values()
		check(err == nil && values[0] == any(key), values)
		rows.Close()
		check(conn.Close(ctx) == nil, mode)
	}
}

func one[T any](conn *pgx.Conn, sql string, arguments ...any) (value T) {
	err := conn.QueryRow(ctx, sql, arguments...).Scan(&value)
	check(err == nil, fmt.Sprint(sql, ": ", err))
	return value
}

func check(condition bool, what any) {
	if !condition {
		panic(what)
	}
}
