-- The shop with one audit table that has the time of its order, and the same with orders in partitions.

--! do
DROP TABLE audit_shuffled;
ALTER TABLE audit RENAME TO without_time;
CREATE TABLE audit (no bigint NOT NULL, order_id bigint NOT NULL, order_at timestamptz NOT NULL, what text);
INSERT INTO audit SELECT a.no, a.order_id, o.created_at, a.what FROM without_time AS a JOIN orders AS o ON o.id = a.order_id ORDER BY a.no;
DROP TABLE without_time;
ALTER TABLE audit ADD PRIMARY KEY (no);
CREATE INDEX audit_order_id_idx ON audit (order_id, order_at);

--! plain
ALTER TABLE audit ADD CONSTRAINT audit_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders;

--! parts
ALTER TABLE orders RENAME TO plain;
CREATE TABLE orders (LIKE plain INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
DO $$
DECLARE
    first timestamptz := (SELECT min(created_at) FROM plain);
    step interval := ((SELECT max(created_at) FROM plain) - first) / :partitions;
BEGIN
    FOR part IN 0..:partitions - 1 LOOP
        EXECUTE format('CREATE TABLE orders_%s PARTITION OF orders FOR VALUES FROM (%L) TO (%L)',
                       part, first + part * step, first + (part + 1) * step);
    END LOOP;
END$$;
CREATE TABLE orders_rest PARTITION OF orders DEFAULT;
INSERT INTO orders SELECT * FROM plain ORDER BY id;
ALTER SEQUENCE orders_id_seq OWNED BY orders.id;
DROP TABLE plain;
ALTER TABLE orders ADD PRIMARY KEY (id, created_at);
ALTER TABLE audit ADD CONSTRAINT audit_order_id_fkey FOREIGN KEY (order_id, order_at) REFERENCES orders;
