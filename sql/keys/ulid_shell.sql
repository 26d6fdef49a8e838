-- The type's name, for the functions that are made before the type can be.
CREATE TYPE @extschema@.ulid;
