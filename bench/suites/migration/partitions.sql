-- The shop with one audit table, and the same with that table partitioned.

--! do
DROP TABLE audit_shuffled;

--! plain
-- As it is.

--! parts
ALTER TABLE audit RENAME TO plain;
CREATE TABLE audit (no bigint NOT NULL, order_id bigint NOT NULL, what text) PARTITION BY RANGE (no);
DO $$BEGIN
    FOR part IN 0..:partitions - 1 LOOP
        EXECUTE format('CREATE TABLE audit_%s PARTITION OF audit FOR VALUES FROM (%s) TO (%s)',
                       part, part * :rows_of_each + 1, (part + 1) * :rows_of_each + 1);
    END LOOP;
END$$;
CREATE TABLE audit_rest PARTITION OF audit DEFAULT;
INSERT INTO audit SELECT * FROM plain ORDER BY no;
DROP TABLE plain;
ALTER TABLE audit ADD PRIMARY KEY (no);
CREATE INDEX audit_order_id_idx ON audit (order_id);
ALTER TABLE audit ADD CONSTRAINT audit_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders;
