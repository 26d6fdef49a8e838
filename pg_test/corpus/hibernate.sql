-- An order service in the manner of Hibernate: the application draws ids in blocks of 50 from
-- sequences (optimizer "pooled"), so that keys have no default; generated names of constraints; a
-- table for each subclass; collections with composite keys.
CREATE SEQUENCE customers_seq INCREMENT BY 50;
CREATE SEQUENCE orders_seq INCREMENT BY 50;
CREATE SEQUENCE order_items_seq INCREMENT BY 50;
CREATE SEQUENCE products_seq INCREMENT BY 50;
CREATE SEQUENCE documents_seq INCREMENT BY 50;
CREATE SEQUENCE hibernate_sequence;
CREATE TABLE hibernate_sequences (
    sequence_name character varying(255) NOT NULL,
    next_val bigint,
    PRIMARY KEY (sequence_name)
);
CREATE TABLE customers (
    id bigint /* by hand: uuid DEFAULT public.uuidv7() */ NOT NULL,
    version integer NOT NULL,
    email character varying(255) NOT NULL,
    name character varying(255),
    birthday date,
    created_date timestamp(6) NOT NULL,
    last_modified_date timestamp(6),
    referred_by_id bigint /* by hand: uuid */,
    CONSTRAINT customers_pkey PRIMARY KEY (id),
    CONSTRAINT uk_rfbvkrffamfql7cjmen8v976v UNIQUE (email),
    CONSTRAINT fk9qx5r2m0t7v6k1n3b8c4d2e1f FOREIGN KEY (referred_by_id) REFERENCES customers
);
CREATE TABLE addresses (
    id bigint NOT NULL,
    street character varying(255),
    city character varying(255),
    zip character varying(20),
    CONSTRAINT addresses_pkey PRIMARY KEY (id)
);
CREATE TABLE customers_addresses (
    customer_id bigint /* by hand: uuid */ NOT NULL,
    address_id bigint NOT NULL,
    CONSTRAINT customers_addresses_pkey PRIMARY KEY (customer_id, address_id),
    CONSTRAINT fk2c0q6m8h4j1l7p9s3u5w0y2a4 FOREIGN KEY (customer_id) REFERENCES customers,
    CONSTRAINT fk8d1r7n9i5k2m8q0t4v6x1z3b5 FOREIGN KEY (address_id) REFERENCES addresses
);
CREATE TABLE products (
    id bigint NOT NULL,
    version integer NOT NULL,
    sku character varying(64) NOT NULL,
    title character varying(255),
    price numeric(38, 2),
    CONSTRAINT products_pkey PRIMARY KEY (id),
    CONSTRAINT uk_fhmd06dsmj6k0n90swsh8ie9g UNIQUE (sku)
);
CREATE TABLE orders (
    id bigint /* by hand: uuid DEFAULT public.uuidv7() */ NOT NULL,
    version integer NOT NULL,
    customer_id bigint /* by hand: uuid */ NOT NULL,
    billing_address_id bigint,
    shipping_address_id bigint,
    number character varying(255),
    status character varying(255) NOT NULL,
    placed_at timestamp(6) NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (id),
    CONSTRAINT orders_status_check CHECK (status IN ('NEW', 'PAID', 'SHIPPED', 'CANCELLED')),
    CONSTRAINT fkpxtb8awmi0dk6smoh2vp1litg FOREIGN KEY (customer_id) REFERENCES customers
);
CREATE INDEX idx_orders_customer_placed ON orders (customer_id, placed_at DESC);
CREATE TABLE order_items (
    id bigint NOT NULL,
    order_id bigint /* by hand: uuid */ NOT NULL,
    product_id bigint NOT NULL,
    line_no integer NOT NULL,
    quantity integer NOT NULL,
    note character varying(255),
    CONSTRAINT order_items_pkey PRIMARY KEY (id),
    CONSTRAINT uk_order_line UNIQUE (order_id, line_no),
    CONSTRAINT fkbioxgbv59vetrxe0ejfubep1w FOREIGN KEY (order_id) REFERENCES orders,
    CONSTRAINT fkocimc7dtr037rh4ls4l95nlfi FOREIGN KEY (product_id) REFERENCES products
);
CREATE TABLE order_tags (
    order_id bigint /* by hand: uuid */ NOT NULL,
    tag character varying(64) NOT NULL,
    CONSTRAINT order_tags_pkey PRIMARY KEY (order_id, tag),
    CONSTRAINT fk3e2s8o0j6l3n9r1u5w7y2a4c6 FOREIGN KEY (order_id) REFERENCES orders
);
CREATE TABLE payments (
    dtype character varying(31) NOT NULL,
    id bigint NOT NULL,
    order_id bigint /* by hand: uuid */,
    customer_id bigint /* by hand: uuid */,
    amount numeric(38, 2),
    iban character varying(34),
    card_token character varying(255),
    booked_at timestamp(6),
    CONSTRAINT payments_pkey PRIMARY KEY (id)
);
CREATE INDEX idx_payments_order ON payments (order_id);
CREATE TABLE documents (
    id bigint NOT NULL,
    title character varying(255),
    owner_id bigint,
    created_date timestamp(6) NOT NULL,
    CONSTRAINT documents_pkey PRIMARY KEY (id)
);
CREATE TABLE invoices (
    id bigint NOT NULL,
    order_id bigint /* by hand: uuid */ NOT NULL,
    total numeric(38, 2),
    CONSTRAINT invoices_pkey PRIMARY KEY (id),
    CONSTRAINT uk_invoices_order UNIQUE (order_id),
    CONSTRAINT fk4f3t9p1k7m4o0s2v6x8z3b5d7 FOREIGN KEY (id) REFERENCES documents
);
CREATE TABLE audit_entries (
    id bigint DEFAULT nextval('hibernate_sequence') NOT NULL,
    entity_name character varying(255) NOT NULL,
    entity_id bigint NOT NULL,
    actor_id bigint,
    happened_at timestamp(6) NOT NULL,
    CONSTRAINT audit_entries_pkey PRIMARY KEY (id)
);
CREATE INDEX idx_audit_entity ON audit_entries (entity_name, entity_id);
COMMENT ON COLUMN orders.customer_id IS 'who has placed it';

-- Rows
INSERT INTO hibernate_sequences VALUES ('default', 100);
INSERT INTO customers (id, version, email, name, created_date, referred_by_id)
    SELECT i, 0, 'c' || i || '@example.com', 'Customer ' || i, timestamp '2024-01-01' + i * interval '1 hour', CASE WHEN i % 5 = 0 THEN i - 1 END
    FROM generate_series(1, 800) AS i;
INSERT INTO addresses SELECT i, 'Street ' || i, 'City', i::text FROM generate_series(1, 900) AS i;
INSERT INTO customers_addresses SELECT i % 800 + 1, i FROM generate_series(1, 900) AS i;
INSERT INTO products SELECT i, 0, 'sku' || i, 'Product ' || i, i FROM generate_series(1, 100) AS i;
INSERT INTO orders (id, version, customer_id, billing_address_id, number, status, placed_at)
    SELECT i, 0, i % 800 + 1, i % 900 + 1, 'n' || i, 'PAID', timestamp '2024-02-01' + i * interval '10 seconds'
    FROM generate_series(1, 2500) AS i;
INSERT INTO order_items SELECT i, i % 2500 + 1, i % 100 + 1, i / 2500, 1, 'item ' || i FROM generate_series(1, 6000) AS i;
INSERT INTO order_tags SELECT i % 2500 + 1, 't' || i / 2500 FROM generate_series(1, 4000) AS i;
INSERT INTO payments (dtype, id, order_id, customer_id, amount, booked_at)
    SELECT 'Card', i, i, i % 800 + 1, i, timestamp '2024-02-01' + i * interval '10 seconds' FROM generate_series(1, 2400) AS i;
INSERT INTO documents SELECT i, 'Invoice ' || i, i % 9, timestamp '2024-02-02' + i * interval '1 minute' FROM generate_series(1, 1000) AS i;
INSERT INTO invoices SELECT i, i * 2, i FROM generate_series(1, 1000) AS i;
INSERT INTO audit_entries (entity_name, entity_id, actor_id, happened_at)
    SELECT (ARRAY['Order', 'Customer'])[i % 2 + 1], i % 800 + 1, i % 9, '2024-03-01' FROM generate_series(1, 500) AS i;
SELECT setval('customers_seq', 851), setval('orders_seq', 2551), setval('order_items_seq', 6051),
    setval('products_seq', 151), setval('documents_seq', 1051), setval('hibernate_sequence', 10001);
ANALYZE;
