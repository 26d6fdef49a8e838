-- A call for each row; written so, the rows are not stored.

--! run
--! time :name counts
SELECT count(:call) FROM (SELECT generate_series(1, :rows) AS n) AS g;
