-- The shell type, for the functions that must be created before the type.
CREATE TYPE @extschema@.ulid;
