INSERT INTO payment (amount) VALUES (1) RETURNING id AS key \gset
UPDATE payment SET amount = amount + 1 WHERE id = :key;
