-- The tables of the article's case: orders, and audit tables that refer to them and have no time. The rows of one are in
-- the order of time, those of the other in none.

--! do
-- As wide as orders are.
CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    customer_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'placed',
    total numeric(10, 2) NOT NULL,
    address text NOT NULL
);
-- Three share a time, as imports leave them, and those of one transaction all do.
INSERT INTO orders (customer_id, created_at, status, total, address)
    SELECT i % 50000 + 1,
           '2024-01-01 00:00:00.000123+00'::timestamptz
               + (CASE WHEN i > :first AND i <= :last THEN :first ELSE i END / 3) * interval '1 s',
           'delivered', i % 100000 / 100.0, 'street ' || i % 1000 || ', ' || repeat('x', 30)
    FROM generate_series(1, :orders) AS i;
CREATE TABLE audit (no bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, what text);
CREATE TABLE audit_shuffled (no bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, what text);
-- Each reference would be looked up one by one.
SET session_replication_role = replica;
INSERT INTO audit (order_id, what)
    SELECT (i - 1) / :rows_of_each + 1, 'what was done' FROM generate_series(1, :audit_rows) AS i;
INSERT INTO audit_shuffled (order_id, what)
    SELECT i::bigint * :stride % :orders + 1, 'what was done' FROM generate_series(1, :audit_rows) AS i;
RESET session_replication_role;
CREATE INDEX audit_order_id_idx ON audit (order_id);
CREATE INDEX audit_shuffled_order_id_idx ON audit_shuffled (order_id);
