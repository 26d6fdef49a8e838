<?php
// PHP's PDO. The first argument is the connection string.

$pdo = new PDO("pgsql:" . $argv[1], options: [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);

function rows(string $sql, array $parameters = []): array
{
    global $pdo;
    $statement = $pdo->prepare($sql);
    $statement->execute($parameters);
    return $statement->fetchAll(PDO::FETCH_ASSOC);
}

function check(bool $condition, mixed $what): void
{
    if (!$condition) {
        throw new Exception(json_encode($what));
    }
}

// uuid and ulid are strings in both directions.
$view = rows("INSERT INTO page_view (url) VALUES (?) RETURNING id", ["/"])[0];
check(rows("SELECT id FROM page_view WHERE id = ?", [$view["id"]]) == [$view], $view);
$payments = rows("INSERT INTO payment (amount) VALUES (1), (2) RETURNING id");
[$first, $second] = array_column($payments, "id");
check(strlen($first) == 26 && $first < $second, $payments);
foreach ([false, true] as $emulated) {
    $pdo->setAttribute(PDO::ATTR_EMULATE_PREPARES, $emulated);
    check(rows("SELECT id FROM payment WHERE id = ?", [$first]) == [["id" => $first]], $first);

    // An array is its text. A key has no character that would need a quote.
    $refunds = "{" . implode(",", [$first, $second]) . "}";
    $updated = rows("UPDATE payment SET refunds = ? WHERE id = ? RETURNING refunds", [$refunds, $first]);
    check(explode(",", trim($updated[0]["refunds"], "{}")) == [$first, $second], $updated);
    check(count(rows("SELECT FROM payment WHERE id = ANY(?)", [$refunds])) == 2, $refunds);
}

$pdo->pgsqlCopyFromArray("payment", ["7", "7"], fields: "amount");
check(count(rows("SELECT FROM payment WHERE amount = 7")) == 2, "COPY");

$invoice = rows("INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid AS shown")[0];
check(rows("SELECT id FROM invoice WHERE id = ?::ulid::uuid", [$invoice["shown"]])[0]["id"] == $invoice["id"], $invoice);

$inserts = [
    "INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no AS id",
    "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id",
];
foreach ($inserts as $sql) {
    $ids = array_column(rows($sql), "id");
    check(count($ids) == 2 && is_int($ids[0]) && array_filter($ids, fn ($id) => $id % 2 != 0) == [], $ids);
}
// lastInsertId() is that of a sequence; without its name, the last one of the session.
check($pdo->lastInsertId() == $ids[1] && $pdo->lastInsertId("ticket_no") % 2 == 0, $ids);

echo "tested: PDO ", phpversion("pdo_pgsql"), "\n";
