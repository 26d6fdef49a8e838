-- Catalogs are vacuumed and a checkpoint is made, so that every measurement begins alike.
VACUUM ANALYZE pg_class;
VACUUM ANALYZE pg_sequence;
VACUUM ANALYZE pg_depend;
VACUUM ANALYZE keyspace_internal.interleaved_node;
VACUUM ANALYZE keyspace_internal.interleaved_sequence;
-- ANALYZE has just replaced the statistics. The measured statement would prune the dead rows.
VACUUM pg_statistic;
CHECKPOINT;
